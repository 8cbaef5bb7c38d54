-- Orgs of which the month before is recorded, but ended at another instant than that at which this
-- period begins for them now: their time zone or anchor day has changed. $1: this period.
with calendars as materialized (
    select timezone, anchor_day, billing.period_start($1::text::date, timezone, anchor_day) as starts_at
    from (select distinct timezone, anchor_day from billing.orgs) as kinds
)
select
    org.org_id::text,
    max(closed.period_end) as period_end
from billing.org_periods as closed
join billing.orgs as org on org.org_id = closed.org_id
join calendars on calendars.timezone = org.timezone and calendars.anchor_day = org.anchor_day
where closed.period = $1::text::date - interval '1 month'
    and closed.period_end <> calendars.starts_at
group by org.org_id
order by org.org_id
