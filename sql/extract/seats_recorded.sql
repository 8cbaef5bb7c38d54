-- Who had a seat when, where this period is recorded of some orgs: of those without the events that
-- the run had not seen. Seats know no cutoff, so the snapshot alone decides.
copy (
    with recorded as not materialized (
        select distinct on (periods.org_id) periods.org_id, runs.snapshot
        from billing.org_periods as periods
        join billing.close_runs as runs on runs.run_id = periods.seen_by
        where periods.period = current_setting('periodclose.period')::date
            and current_setting('periodclose.keeps_cutoff')::boolean
        order by periods.org_id, periods.revision desc
    ),
    seen as (
        select events.*
        from billing.seat_events as events
        left join recorded as own on own.org_id = events.org_id
        where own.org_id is null
            or pg_visible_in_snapshot(events.recorded_xid, own.snapshot)
    )
    select
        assigned.org_id,
        assigned.user_id,
        assigned.role,
        assigned.occurred_at,
        least(revoked.occurred_at, assigned.expires_at)::timestamptz
    from seen as assigned
    left join seen as revoked
        on revoked.org_id = assigned.org_id
        and revoked.seat_id = assigned.seat_id
        and revoked.kind = 'revoked'
    where assigned.kind = 'assigned'
) to stdout (format binary)
