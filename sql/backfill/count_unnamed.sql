-- Rows of the cache that the truth does not name, though it names their metric.
select count(*)
from billing.usage_cache as cache
where cache.metric in (select metric from pg_temp.backfill_plan)
    and not exists (
        select from pg_temp.backfill_plan as plan
        where plan.org_id = cache.org_id and plan.metric = cache.metric
    )
