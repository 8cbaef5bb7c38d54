-- The cache's rows of a batch, in the order in which all who write many lock them. $1 and $2: places
-- from and until, the first not among them.
select count(*)
from (
    select
    from billing.usage_cache as cache
    join pg_temp.backfill_plan as plan using (org_id, metric)
    where plan.place > $1::bigint and plan.place <= $2::bigint
    order by cache.org_id, cache.metric
    for no key update of cache
) as locked
