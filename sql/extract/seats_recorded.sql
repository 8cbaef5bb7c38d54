-- The seat book as sql/extract/seats.sql sends it, where this period is recorded of some orgs: of those
-- without the events that the run had not seen. Seats know no cutoff, so the snapshot alone decides.
-- Events from before the bounds of sql/extract/recorded_scope.sql were seen by all of those runs; of
-- the others the run of their org is looked up. $1: the period.
copy (
    select packed.*
    from generate_series(
            0::bigint,
            pg_relation_size('billing.seat_events') / current_setting('block_size')::bigint,
            16::bigint
        ) as blocks (block)
    cross join lateral (
        with ranged as not materialized (
            select *
            from billing.seat_events as events
            where ctid >= ('(' || block || ',0)')::tid
                and ctid < ('(' || block + 16 || ',0)')::tid
                and (
                    recorded_xid < (select current_setting('periodclose.own_written')::xid8)
                    or coalesce((
                        select coalesce(pg_visible_in_snapshot(recorded_xid, runs.snapshot), false)
                        from billing.org_periods as periods
                        join billing.close_runs as runs on runs.run_id = periods.seen_by
                        where periods.period = $1::date and periods.org_id = events.org_id
                        order by periods.revision desc
                        limit 1
                    ), true)
                )
        )
        select
            string_agg(org_id, E'\n') as orgs,
            string_agg(case when kind = 'assigned' then user_id else '' end, E'\n') as users,
            string_agg(
                case
                    when kind <> 'assigned' or role is null and expires_at is null then ''
                    when expires_at is null and role in ('owner', 'admin', 'member', 'viewer') then role
                    when expires_at is null and strpos(role, E'\n') = 0 and not starts_with(role, E'\x01')
                    then role
                    else E'\x01' || encode(
                        timestamptz_send(coalesce(expires_at, 'infinity'))
                        || convert_to(coalesce(role, ''), 'UTF8'), 'hex')
                end,
                E'\n'
            ) as roles,
            string_agg(int8send(seat_id) || timestamptz_send(occurred_at), ''::bytea) as seats
        from ranged
    ) as packed
    where packed.orgs is not null
) to stdout (format binary)
