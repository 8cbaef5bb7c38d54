-- Months of usage_history.csv. What a run has recorded stays. Returns rows read, written, refused.
with sound as (
    select * from pg_temp.ingest_history
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
), merged as (
    insert into billing.org_billing_usage_monthly as monthly (
        org_id, metric, period, usage, closing_level, overage, cost, currency, projected,
        projected_cost
    )
    select
        org_id, metric, period, quantity, closing_level, overage, cost, currency, projected,
        projected_cost
    from sound
    on conflict (org_id, metric, period) do update
    set usage = excluded.usage,
        closing_level = excluded.closing_level,
        overage = excluded.overage,
        cost = excluded.cost,
        currency = excluded.currency,
        projected = excluded.projected,
        projected_cost = excluded.projected_cost
    where monthly.run_id is null
        and (monthly.usage, monthly.closing_level, monthly.overage, monthly.cost, monthly.currency,
            monthly.projected, monthly.projected_cost)
            is distinct from (excluded.usage, excluded.closing_level, excluded.overage,
                excluded.cost, excluded.currency, excluded.projected, excluded.projected_cost)
    returning 1
), closed as (
    insert into billing.org_periods (org_id, period, revision, recorded_at)
    select org_id, max(period), 1, now()
    from sound
    group by org_id
    on conflict (org_id, period) do nothing
    returning 1
)
select
    (select count(*) from pg_temp.ingest_history) as rows_read,
    (select count(*) from merged) as rows_taken,
    (select count(*) from pg_temp.ingest_history)
        - (select count(*) from sound) + 0 * (select count(*) from closed) as rows_refused
