-- Orgs whose last recorded period ended at another instant than that at which the one after it begins
-- for them now: their time zone or anchor day has changed. With that period, as months since year 0.
-- Few that are subscribed have none of the month before: only of them earlier months are asked, one by
-- one, since all that was ever recorded is many times the rows of a month. And that is looked up by the
-- whole key, whatever the planner expects of tables that nothing has analysed since they were filled:
-- it may not turn it around (limit), or join orgs by a loop (except). $1: this period.
with recursive closed_before as materialized (
    select periods.org_id, periods.period, max(periods.period_end) as period_end
    from billing.org_periods as periods
    where periods.period = $1::text::date - interval '1 month'
    group by periods.org_id, periods.period
), months (period) as (
    select max(periods.period)
    from billing.org_periods as periods
    where periods.period < $1::text::date - interval '1 month'
    union all
    select (select max(periods.period) from billing.org_periods as periods where periods.period < months.period)
    from months
    where months.period is not null
), missing as materialized (
    select subscription.org_id::text
    from billing.subscriptions as subscription
    where (subscription.starts_at is null or subscription.starts_at < $1::text::date + interval '64 days')
        and (subscription.ends_at is null or subscription.ends_at > $1::text::date - interval '2 days')
        and exists (select from months where period is not null)
    except
    select org_id
    from closed_before
), closed as materialized (
    select org_id, period, period_end
    from closed_before
    union all
    select missing.org_id, latest.period, latest.period_end
    from missing
    cross join lateral (
        select looked_up.period, looked_up.period_end
        from (
            select period
            from months
            where period is not null
            order by period desc
        ) as descending
        cross join lateral (
            select periods.period, periods.period_end
            from billing.org_periods as periods
            where periods.period = descending.period and periods.org_id = missing.org_id
            order by periods.revision desc
            limit 1
        ) as looked_up
        limit 1
    ) as latest
), calendars as materialized (
    select
        kinds.timezone, kinds.anchor_day, kinds.period,
        billing.period_start((kinds.period + interval '1 month')::date, kinds.timezone, kinds.anchor_day) as starts_at
    from (
        select distinct org.timezone, org.anchor_day, closed.period
        from closed
        join billing.orgs as org on org.org_id = closed.org_id
    ) as kinds
)
select
    org.org_id::text,
    (extract(year from closed.period) * 12 + extract(month from closed.period) - 1)::bigint as months,
    closed.period_end
from closed
join billing.orgs as org on org.org_id = closed.org_id
join calendars
    on calendars.timezone = org.timezone
    and calendars.anchor_day = org.anchor_day
    and calendars.period = closed.period
where closed.period_end <> calendars.starts_at
order by org.org_id
