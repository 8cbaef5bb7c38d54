-- Rows of the cache that were made for this batch and needed for nothing: another truth row was
-- keyed before. $1 and $2: places from and until, the first not among them.
delete from billing.usage_cache as cache
using pg_temp.backfill_plan as plan
where plan.place > $1::bigint
    and plan.place <= $2::bigint
    and cache.org_id = plan.org_id
    and cache.metric = plan.metric
    and cache.count = 0
    and cache.set_at is null
    and cache.changed_at is null
