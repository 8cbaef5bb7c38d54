-- Writes the differences of a batch into ledger and cache. $1 and $2: places from and until, the
-- first not among them; $3: what the keys of this truth begin with, null: it has none. What is keyed
-- was written from the same truth before, and may have moved on since. What the org's plan counts by
-- events or distinct keys is compared with usage_counts, and moved there, too: such rows are marked by
-- their unique_key, since a recount takes no other for a number of events. Who counts holds the row of
-- the cache, so a count is still the one that was compared.
with due as materialized (
    select
        plan.place, plan.org_id, plan.metric, plan.quantity,
        coalesce(counted.count, cache.count, 0)::numeric as cached,
        plan.quantity - coalesce(counted.count, cache.count, 0) as difference,
        case when counted.count is not null then 'counted' end as unique_key,
        greatest(now(), cache.set_at) as occurred_at,
        $3::text || plan.metric as event_id
    from pg_temp.backfill_plan as plan
    left join billing.usage_cache as cache
        on cache.org_id = plan.org_id and cache.metric = plan.metric
    left join lateral (
        select billing.counted_usage(plan.org_id, plan.metric) as count
        where plan.is_counted
    ) as counted on true
    where plan.place > $1::bigint and plan.place <= $2::bigint
), keyed as (
    insert into billing.usage_keys (org_id, event_id, content, occurred_at)
    select org_id, event_id, billing.usage_content(metric, 'delta', difference, unique_key), occurred_at
    from due
    where event_id is not null
    on conflict (org_id, event_id) do nothing
    returning org_id, event_id
), fresh as materialized (
    select due.*
    from due
    where due.difference <> 0
        and (due.event_id is null or exists (
            select from keyed where keyed.org_id = due.org_id and keyed.event_id = due.event_id
        ))
), written as (
    insert into billing.usage_ledger
        (occurred_at, kind, org_id, metric, quantity, reason, event_id, unique_key)
    select occurred_at, 'delta', org_id, metric, difference, 'migration', event_id, unique_key
    from fresh
    returning 1
), cached as (
    update billing.usage_cache as cache
    set count = cache.count + fresh.difference,
        changed_at = greatest(cache.changed_at, fresh.occurred_at),
        last_updated = now()
    from fresh
    where cache.org_id = fresh.org_id and cache.metric = fresh.metric
    returning 1
), counts as (
    insert into billing.usage_counts (org_id, metric, period, count)
    select org_id, metric, billing.current_period(org_id, now()), quantity
    from fresh
    where unique_key is not null
    order by org_id, metric
    on conflict (org_id, metric, period) do update
    set count = excluded.count
    returning 1
)
select
    fresh.org_id::text, fresh.metric::text, fresh.cached, fresh.quantity, fresh.difference,
    (select count(*) from written) = (select count(*) from cached) as is_whole
from fresh
order by fresh.place
