-- New subscriptions of subscriptions.csv. Returns rows read, written, refused.
with merged as (
    insert into billing.subscriptions as subscription (org_id, plan_id, starts_at, ends_at)
    select org_id, plan_id, starts_at, ends_at
    from pg_temp.ingest_subscriptions
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
    on conflict on constraint subscriptions_repeated do nothing
    returning 1
)
select
    (select count(*) from pg_temp.ingest_subscriptions) as rows_read,
    (select count(*) from merged) as rows_taken,
    (select count(*) from pg_temp.ingest_subscriptions
        where org_id in (select org_id from pg_temp.ingest_refused_orgs)) as rows_refused
