-- Plans of plans.csv. Returns rows read, written, refused.
with merged as (
    insert into billing.plans as plan (plan_id, name, currency)
    select plan_id, name, currency
    from pg_temp.ingest_plans
    on conflict (plan_id) do update
    set name = excluded.name, currency = excluded.currency
    where (plan.name, plan.currency) is distinct from (excluded.name, excluded.currency)
    returning 1
)
select
    (select count(*) from pg_temp.ingest_plans) as rows_read,
    (select count(*) from merged) as rows_taken,
    0::bigint as rows_refused
