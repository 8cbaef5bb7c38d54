-- Every metric of the plan that a period was rated with, and its latest record, if there is one.
-- $1: org, $2: the period's first day, $3: digest of the plan.
select
    price.metric::text,
    price.model in ('graduated', 'volume') as has_tiers,
    price.unit_price::numeric,
    coalesce(record.amount, 0)::numeric as amount,
    coalesce(record.cost, 0)::numeric as cost
from billing.sealed_prices as price
left join lateral (
    select overage.amount, overage.cost
    from billing.org_billing_overages as overage
    where overage.org_id = $1::text
        and overage.period = $2::text::date
        and overage.metric_type = price.metric
    order by overage.revision desc
    limit 1
) as record on true
where price.plan_digest = $3::bytea
order by price.metric
