-- The rows of the window, always in the same order, from the first one that is not done. Whether a
-- row is among them depends on nothing that may change: so a count is a position. The last column
-- tells rows apart that are the same in everything.
declare pushed no scroll cursor for
select
    entry.org_id::text,
    org.dodo_customer_id::text,
    entry.metric::text,
    entry.kind::text,
    entry.quantity::numeric,
    entry.occurred_at,
    entry.event_id::text,
    entry.unique_key::text,
    (entry.recorded_xid::text)::bigint,
    row_number() over (
        partition by entry.recorded_xid, entry.org_id, entry.metric, entry.kind, entry.quantity,
            entry.occurred_at, entry.event_id, entry.unique_key
    )
from billing.push_cursors as pushing
join billing.usage_ledger as entry
    on (entry.recorded_xid::text)::bigint
        >= coalesce((pg_snapshot_xmin(pushing.done_until)::text)::bigint, 0)
    and pg_visible_in_snapshot(entry.recorded_xid, pushing.sending_until)
    and not coalesce(pg_visible_in_snapshot(entry.recorded_xid, pushing.done_until), false)
    and (pushing.done_until is not null or entry.occurred_at >= pushing.begins_at)
    and entry.reason is distinct from 'monthly_reset'
    and not (entry.reason is not distinct from 'migration' and entry.kind = 'delta')
left join billing.orgs as org on org.org_id = entry.org_id
where pushing.target = 'dodo'
order by entry.recorded_xid, entry.occurred_at, entry.org_id, entry.metric, entry.kind,
    entry.quantity, entry.event_id, entry.unique_key
offset (select rows_done from billing.push_cursors where target = 'dodo')
