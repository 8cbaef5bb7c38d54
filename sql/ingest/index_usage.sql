-- Batches are ranges of lines. Of what is staged, series that the plans in force count by events or
-- distinct keys, with the present periods (as billing.counted_series): found once, since every batch
-- holds its rows against them.
create index ingest_usage_line on pg_temp.ingest_usage (file, line);
analyze pg_temp.ingest_usage;
analyze pg_temp.ingest_series;
insert into pg_temp.ingest_counted (org_id, metric, is_unique, period, starts_at, ends_at)
with counted as materialized (
    select series.org_id, series.metric, price.aggregation = 'unique' as is_unique, org.timezone, org.anchor_day
    from pg_temp.ingest_series as series
    join billing.orgs as org on org.org_id = series.org_id
    join billing.subscriptions as subscription
        on subscription.org_id = series.org_id
        and (subscription.starts_at is null or subscription.starts_at <= now())
        and (subscription.ends_at is null or now() < subscription.ends_at)
    join billing.prices as price
        on price.plan_id = subscription.plan_id
        and price.metric = series.metric
        and price.aggregation in ('count', 'unique')
), calendars as materialized (
    select
        timezone, anchor_day, period,
        billing.period_start(period, timezone, anchor_day) as starts_at,
        billing.period_start((period + interval '1 month')::date, timezone, anchor_day) as ends_at
    from (
        select
            timezone, anchor_day,
            case
                when now() < billing.period_start(this_month, timezone, anchor_day)
                then (this_month - interval '1 month')::date
                else this_month
            end as period
        from (
            select distinct timezone, anchor_day,
                date_trunc('month', now() at time zone timezone)::date as this_month
            from counted
        ) as kinds
    ) as present
)
select counted.org_id, counted.metric, counted.is_unique, calendars.period, calendars.starts_at, calendars.ends_at
from counted
join calendars on calendars.timezone = counted.timezone and calendars.anchor_day = counted.anchor_day;
analyze pg_temp.ingest_counted;
