-- Where truth and cache differ. What the org's plan counts by events or distinct keys stands in
-- usage_counts. $1 and $2: places from and until, the first not among them.
select
    plan.org_id::text,
    plan.metric::text,
    coalesce(counted.count, cache.count, 0)::numeric as cached,
    plan.quantity,
    plan.quantity - coalesce(counted.count, cache.count, 0) as difference
from pg_temp.backfill_plan as plan
left join billing.usage_cache as cache on cache.org_id = plan.org_id and cache.metric = plan.metric
left join lateral (
    select billing.counted_usage(plan.org_id, plan.metric) as count
    where plan.is_counted
) as counted on true
where plan.place > $1::bigint
    and plan.place <= $2::bigint
    and plan.quantity <> coalesce(counted.count, cache.count, 0)
order by plan.place
