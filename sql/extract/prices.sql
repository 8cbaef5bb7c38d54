-- Prices, in the columns of prices.csv.
copy (
    select
        plan_id::text,
        metric::text,
        aggregation::text,
        model::text,
        trim_scale(included)::text,
        trim_scale(hard_limit)::text,
        trim_scale(unit_price)::text,
        trim_scale(package_size)::text,
        unit::text
    from billing.prices
    order by plan_id collate "C", metric collate "C"
) to stdout (format binary)
