-- Where truth and cache differ. $1 and $2: places from and until, the first not among them.
select
    plan.org_id::text,
    plan.metric::text,
    coalesce(cache.count, 0)::numeric as cached,
    plan.quantity,
    plan.quantity - coalesce(cache.count, 0) as difference
from pg_temp.backfill_plan as plan
left join billing.usage_cache as cache on cache.org_id = plan.org_id and cache.metric = plan.metric
where plan.place > $1::bigint
    and plan.place <= $2::bigint
    and plan.quantity <> coalesce(cache.count, 0)
order by plan.place
