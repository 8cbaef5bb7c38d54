-- The next revision of records that cost something: at zero. $1: run, $2: period, $3: orgs, an array's
-- text, or null for all, $4: metric, or null for all. Returns, per currency, how many there are and
-- what is taken back.
with latest as (
    select distinct on (org_id, metric_type) *
    from billing.org_billing_overages
    where period = $2::text::date
        and ($3::text is null or org_id = any ($3::text::text[]))
        and ($4::text is null or metric_type = $4::text)
    order by org_id, metric_type, revision desc
),
waived as (
    insert into billing.org_billing_overages (
        org_id, metric_type, period, revision, billing_period_start, billing_period_end, plan_id,
        currency, usage, usage_limit, amount, model, unit_price, exact_cost, uncapped_cost, cost,
        previous_cost, billed, run_id, item_status, is_waived
    )
    select
        latest.org_id, metric_type, period, revision + 1, billing_period_start, billing_period_end,
        plan_id, latest.currency, usage, usage_limit, amount, model, unit_price, exact_cost,
        uncapped_cost, 0, cost, -cost, $1::bigint,
        case
            when item_status = 'disabled' then 'disabled'
            when org.status = 'suspended' then 'held'
            else 'recorded'
        end,
        true
    from latest
    left join billing.orgs as org on org.org_id = latest.org_id
    where cost > 0
    returning currency, billed
)
select currency, count(*) as records, sum(billed)::numeric as billed
from waived
group by currency
order by currency
