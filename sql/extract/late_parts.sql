-- The parts of the ledger in which an earlier period of some org lies that runs have recorded, and
-- from where on what was written there may have come too late for them: the first transaction that
-- one of them may not have seen, and the earliest cutoff. $1: the period.
with recorded as (
    select
        (period::timestamp at time zone 'UTC') as month_start,
        min(pg_snapshot_xmin(snapshot)::text::bigint) as written_from,
        min(cutoff)::timestamptz as recorded_after
    from billing.close_runs
    where state = 'recorded' and snapshot is not null and period < $1::text::date
    group by period
), parts as (
    select
        coalesce(substring(bound from $pattern$FROM \('([^']*)'\)$pattern$), '-infinity')::timestamptz as from_at,
        coalesce(substring(bound from $pattern$TO \('([^']*)'\)$pattern$), 'infinity')::timestamptz as until_at
    from (
        select pg_get_expr(part.relpartbound, part.oid) as bound
        from pg_partition_tree('billing.usage_ledger') as tree
        join pg_class as part on part.oid = tree.relid
        where tree.isleaf
    ) as bounds
)
-- A period named by a month may begin at its end, and a day earlier than in UTC.
select
    parts.from_at::text,
    parts.until_at::text,
    min(recorded.written_from)::text as written_from,
    min(recorded.recorded_after)::text as recorded_after
from parts
join recorded on parts.from_at < recorded.month_start + interval '2 months 1 day'
    and parts.until_at > recorded.month_start - interval '1 day'
group by parts.from_at, parts.until_at
order by parts.from_at
