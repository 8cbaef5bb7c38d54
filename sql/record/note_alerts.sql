-- Which parts of their limits were reached in the period, or are expected to be in the next. $1: period,
-- $2: run. Thresholds are the org's own, or those that hold for all that have none, in ascending order.
-- In the order of the table's key, so that its index is written from one end to the other.
with own as materialized (
    select org_id, billing.alert_thresholds(value) as thresholds
    from billing.org_settings
    where name = 'alert.thresholds'
), common as materialized (
    select billing.alert_thresholds(value) as thresholds
    from billing.setting_defaults
    where name = 'alert.thresholds'
), used as (
    select monthly.*, coalesce(own.thresholds, (select thresholds from common)) as thresholds
    from billing.org_billing_usage_monthly as monthly
    left join own on own.org_id = monthly.org_id
    where monthly.period = $1::text::date
        and monthly.run_id = $2::bigint
        and monthly.usage_limit > 0
        and greatest(monthly.usage, monthly.projected) > 0
), near as (
    select org_id, metric, usage, projected, usage_limit, unnest(thresholds) as threshold
    from used
    where greatest(usage, projected) >= usage_limit * thresholds[1]
)
insert into billing.usage_alerts
    (org_id, metric, period, threshold, usage, usage_limit, is_projected, run_id)
select org_id, metric, $1::text::date, threshold, usage, usage_limit, false, $2::bigint
from near
where usage >= usage_limit * threshold
union all
select org_id, metric, ($1::text::date + interval '1 month')::date, threshold, projected, usage_limit, true, $2::bigint
from near
where projected >= usage_limit * threshold
order by 1, 2, 3, 4
on conflict do nothing
