-- Tiers, in the columns of tiers.csv.
copy (
    select
        plan_id::text,
        metric::text,
        trim_scale(up_to)::text,
        trim_scale(unit_price)::text,
        trim_scale(flat_price)::text
    from billing.price_tiers
    order by plan_id collate "C", metric collate "C", up_to nulls last
) to stdout (format binary)
