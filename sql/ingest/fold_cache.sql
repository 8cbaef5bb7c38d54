-- What the ledger says of the noted series, into the cache: the last set and the changes since.
with entries as materialized (
    select entry.org_id, entry.metric, entry.kind, entry.occurred_at, entry.quantity, entry.event_id,
        entry.unique_key
    from billing.usage_ledger as entry
    join pg_temp.ingest_folds using (org_id, metric)
), last_sets as (
    select distinct on (org_id, metric) org_id, metric, occurred_at, quantity
    from entries
    where kind = 'set'
    order by org_id, metric, occurred_at desc, event_id desc nulls last, quantity desc,
        unique_key desc nulls last
), folded as (
    select
        entry.org_id,
        entry.metric,
        coalesce(max(level.quantity), 0) + coalesce(sum(entry.quantity) filter (
            where entry.kind = 'delta'
                and (level.occurred_at is null or entry.occurred_at >= level.occurred_at)
        ), 0) as quantity
    from entries as entry
    left join last_sets as level on level.org_id = entry.org_id and level.metric = entry.metric
    group by entry.org_id, entry.metric
)
update billing.usage_cache as cache
set count = folded.quantity
from folded
where cache.org_id = folded.org_id and cache.metric = folded.metric
