-- Orgs whose last recorded period ended at another instant than that at which the one after it begins
-- for them now: their time zone or anchor day has changed. With that period, as months since year 0.
-- Few have none of the month before: only for them it is looked for further back. $1: this period.
with closed as materialized (
    select periods.org_id, periods.period, max(periods.period_end) as period_end
    from billing.org_periods as periods
    where periods.period = $1::text::date - interval '1 month'
    group by periods.org_id, periods.period
    union all
    (
        select distinct on (periods.org_id) periods.org_id, periods.period, periods.period_end
        from billing.org_periods as periods
        where periods.period < $1::text::date - interval '1 month'
            and not exists (
                select
                from billing.org_periods as before
                where before.period = $1::text::date - interval '1 month' and before.org_id = periods.org_id
            )
        order by periods.org_id, periods.period desc, periods.revision desc
    )
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
