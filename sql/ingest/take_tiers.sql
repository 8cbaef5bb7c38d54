-- Tiers of tiers.csv. Returns rows read, written, refused.
with merged as (
    insert into billing.price_tiers as tier (plan_id, metric, up_to, unit_price, flat_price)
    select plan_id, metric, up_to, unit_price, flat_price
    from pg_temp.ingest_tiers
    on conflict on constraint price_tiers_overlap do update
    set unit_price = excluded.unit_price, flat_price = excluded.flat_price
    where (tier.unit_price, tier.flat_price)
        is distinct from (excluded.unit_price, excluded.flat_price)
    returning 1
)
select
    (select count(*) from pg_temp.ingest_tiers) as rows_read,
    (select count(*) from merged) as rows_taken,
    0::bigint as rows_refused
