-- Prices of prices.csv. Returns rows read, written, refused.
with staged as (
    select
        plan_id, metric,
        coalesce(aggregation, case when metric = 'seats' then 'last' else 'sum' end) as aggregation,
        model, included, hard_limit, unit_price, package_size, unit
    from pg_temp.ingest_prices
), merged as (
    insert into billing.prices as price (
        plan_id, metric, aggregation, model, included, hard_limit, unit_price, package_size, unit
    )
    select plan_id, metric, aggregation, model, included, hard_limit, unit_price, package_size, unit
    from staged
    on conflict (plan_id, metric) do update
    set aggregation = excluded.aggregation,
        model = excluded.model,
        included = excluded.included,
        hard_limit = excluded.hard_limit,
        unit_price = excluded.unit_price,
        package_size = excluded.package_size,
        unit = excluded.unit
    where (price.aggregation, price.model, price.included, price.hard_limit, price.unit_price,
            price.package_size, price.unit)
        is distinct from (excluded.aggregation, excluded.model, excluded.included,
            excluded.hard_limit, excluded.unit_price, excluded.package_size, excluded.unit)
    returning 1
)
select
    (select count(*) from staged) as rows_read,
    (select count(*) from merged) as rows_taken,
    0::bigint as rows_refused
