-- A batch of staged usage: keys, ledger, cache, and what is counted of the present period by plans in
-- force (as billing.recount_usage counts it). $1: file, $2 and $3: lines from and until, the
-- first not among them; $4: the last line whose rows without an event id were taken before.
-- Of rows with one event id the first stands, recorded when the first of those was that agree.
-- Series that another statement has to fold from the ledger are noted in ingest_folds: those that
-- were set before something known, and those that somebody else began meanwhile.
with batch as materialized (
    select
        line, org_id, metric, judged_kind as kind, quantity, occurred_at, event_id, unique_key,
        recorded_at
    from pg_temp.ingest_rows
    where file = $1::integer
        and line > $2::bigint
        and line <= $3::bigint
        and (event_id is not null or line > $4::bigint)
), events as (
    select distinct on (org_id, event_id)
        line, org_id, metric, kind, quantity, occurred_at, event_id, unique_key,
        case
            when bool_or(recorded_at is null) over same then null
            else min(recorded_at) over same
        end as recorded_at
    from batch
    where event_id is not null
    window same as (
        partition by org_id, event_id, metric, kind, quantity, occurred_at, unique_key
    )
    order by org_id, event_id, line
), keyed as (
    insert into billing.usage_keys (org_id, event_id, content, occurred_at)
    select
        org_id, event_id, billing.usage_content(metric, kind, quantity, unique_key), occurred_at
    from events
    order by org_id, event_id
    on conflict (org_id, event_id) do nothing
    returning org_id, event_id
), fresh as materialized (
    select events.*
    from events
    join keyed using (org_id, event_id)
    union all
    select *
    from batch
    where event_id is null
), written as (
    insert into billing.usage_ledger
        (occurred_at, recorded_at, kind, org_id, metric, quantity, event_id, unique_key)
    select occurred_at, recorded_at, kind, org_id, metric, quantity, event_id, unique_key
    from fresh
    order by line
    returning 1
), last_sets as (
    select distinct on (org_id, metric) org_id, metric, occurred_at, quantity
    from fresh
    where kind = 'set'
    order by org_id, metric, occurred_at desc, event_id desc nulls last, quantity desc,
        unique_key desc nulls last
), sums as (
    select
        fresh.org_id,
        fresh.metric,
        level.occurred_at as set_at,
        coalesce(max(level.quantity), 0) + coalesce(sum(fresh.quantity) filter (
            where fresh.kind = 'delta'
                and (level.occurred_at is null or fresh.occurred_at >= level.occurred_at)
        ), 0) as count,
        min(fresh.occurred_at) filter (where fresh.kind = 'delta') as first_at,
        max(fresh.occurred_at) filter (where fresh.kind = 'delta') as last_at
    from fresh
    left join last_sets as level on level.org_id = fresh.org_id and level.metric = fresh.metric
    group by fresh.org_id, fresh.metric, level.occurred_at
), changes as (
    select
        sums.*,
        known.org_id is not null as is_known,
        known.count as count_before,
        sums.set_at is null and (known.set_at is null or known.set_at <= sums.first_at) as adds,
        sums.set_at is not null
            and (known.set_at is null or known.set_at < sums.set_at)
            and (known.changed_at is null or known.changed_at < sums.set_at) as sets
    from sums
    left join billing.usage_cache as known
        on known.org_id = sums.org_id and known.metric = sums.metric
), cached as (
    insert into billing.usage_cache as cache (org_id, metric, count, set_at, changed_at)
    select
        org_id, metric, case when is_known and adds then count_before + count else count end,
        set_at, last_at
    from changes
    order by org_id, metric
    on conflict (org_id, metric) do update
    set count = excluded.count,
        set_at = greatest(cache.set_at, excluded.set_at),
        changed_at = greatest(cache.changed_at, excluded.changed_at),
        last_updated = now()
    returning org_id, metric, xmax <> 0 as was_there
), folds as (
    insert into pg_temp.ingest_folds (org_id, metric)
    select changes.org_id, changes.metric
    from changes
    join cached using (org_id, metric)
    where cached.was_there and (not changes.is_known or not (changes.adds or changes.sets))
    returning 1
), counting as materialized (
    select
        fresh.org_id, fresh.metric, counted.is_unique,
        case
            when fresh.occurred_at < counted.ends_at then counted.period
            else (counted.period + interval '1 month')::date
        end as period,
        case when counted.is_unique then sha256(convert_to(fresh.unique_key, 'UTF8')) end as key_digest
    from fresh
    join pg_temp.ingest_counted as counted using (org_id, metric)
    where fresh.kind = 'delta'
        and fresh.occurred_at >= counted.starts_at
        and (not counted.is_unique or fresh.unique_key is not null)
), first_keys as (
    insert into billing.usage_uniques (org_id, metric, period, key_digest)
    select distinct org_id, metric, period, key_digest
    from counting
    where is_unique
    order by org_id, metric, period, key_digest
    on conflict do nothing
    returning org_id, metric, period
), counts as (
    insert into billing.usage_counts as counted (org_id, metric, period, count)
    select org_id, metric, period, count(*)
    from (
        select org_id, metric, period from counting where not is_unique
        union all
        select org_id, metric, period from first_keys
    ) as found
    group by org_id, metric, period
    order by org_id, metric, period
    on conflict (org_id, metric, period) do update
    set count = counted.count + excluded.count
    returning 1
)
select
    (select count(*) from written) as rows_taken,
    (select count(*) from folds) as series_to_fold
