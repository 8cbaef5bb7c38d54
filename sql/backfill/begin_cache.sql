-- Rows of the cache for what has none yet, so that they can be locked. $1 and $2: places from and
-- until, the first not among them.
insert into billing.usage_cache (org_id, metric, count)
select org_id, metric, 0
from pg_temp.backfill_plan
where place > $1::bigint and place <= $2::bigint and quantity <> 0
order by org_id, metric
on conflict (org_id, metric) do nothing
