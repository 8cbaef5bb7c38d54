-- What the run has written, as the tables have it: held against what was sent, before it is
-- committed. $1: period, $2: run. One row of usage with no currency, and one per currency of records.
select
    null::text as currency,
    count(*) as rows,
    coalesce(sum(usage), 0)::numeric as cost,
    coalesce(sum(events), 0)::numeric as billed,
    (
        select count(*) from billing.org_periods
        where period = $1::text::date and recorded_by = $2::bigint
    ) as orgs
from billing.org_billing_usage_monthly
where period = $1::text::date and run_id = $2::bigint
union all
select
    currency,
    count(*),
    sum(cost),
    sum(billed),
    0
from billing.org_billing_overages
where period = $1::text::date and run_id = $2::bigint
group by currency
order by 1 nulls first
