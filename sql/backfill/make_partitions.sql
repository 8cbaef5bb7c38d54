-- The ledger's partitions that a batch needs: this month's; a level that was set for a later instant
-- changes then. $1 and $2: places from and until, the first not among them.
select billing.ensure_ledger_partition(month)
from (
    select distinct date_trunc('month', greatest(now(), cache.set_at) at time zone 'UTC') at time zone 'UTC' as month
    from pg_temp.backfill_plan as plan
    left join billing.usage_cache as cache using (org_id, metric)
    where plan.place > $1::bigint and plan.place <= $2::bigint
) as months
