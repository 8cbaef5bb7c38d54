-- Limits of limits.csv. Returns rows read, written, refused.
with merged as (
    insert into billing.org_limits as own (org_id, metric, soft_limit, hard_limit)
    select org_id, metric, soft_limit, hard_limit
    from pg_temp.ingest_limits
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
    on conflict (org_id, metric) do update
    set soft_limit = excluded.soft_limit, hard_limit = excluded.hard_limit
    where (own.soft_limit, own.hard_limit)
        is distinct from (excluded.soft_limit, excluded.hard_limit)
    returning 1
)
select
    (select count(*) from pg_temp.ingest_limits) as rows_read,
    (select count(*) from merged) as rows_taken,
    (select count(*) from pg_temp.ingest_limits
        where org_id in (select org_id from pg_temp.ingest_refused_orgs)) as rows_refused
