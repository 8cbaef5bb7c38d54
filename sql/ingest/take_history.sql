-- Months of usage_history.csv that are not known. What is recorded stays. Returns rows read, written,
-- refused.
with sound as (
    select * from pg_temp.ingest_history
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
), merged as (
    insert into billing.org_billing_usage_monthly (
        org_id, metric, period, usage, closing_level, overage, cost, currency, projected,
        projected_cost
    )
    select
        org_id, metric, period, quantity, closing_level, overage, cost, currency, projected,
        projected_cost
    from sound
    on conflict (period, org_id, metric, revision) do nothing
    returning 1
), closed as (
    insert into billing.org_periods (org_id, period)
    select org_id, max(period)
    from sound
    group by org_id
    on conflict (period, org_id, revision) do nothing
    returning 1
)
select
    (select count(*) from pg_temp.ingest_history) as rows_read,
    (select count(*) from merged) as rows_taken,
    (select count(*) from pg_temp.ingest_history)
        - (select count(*) from sound) + 0 * (select count(*) from closed) as rows_refused
