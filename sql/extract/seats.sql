-- The seat book: its events as they lie, many in one row, since a field of a COPY costs more than
-- reading an event, and pairing them here more than reading them all. Of every 16 blocks one row, its
-- columns one line per event but the last:
--   orgs      of the events
--   users     who was assigned; of a seat that was revoked nothing
--   roles     of who was assigned (those that roles mostly are cost no search). What is more than a
--             role that fits a line: \x01, and in hexadecimal when the seat ends by itself (a
--             timestamptz in binary, or infinity), then the role
--   seats     the number of the seat and when that was, both in binary
-- The table only grows, so that all blocks of the snapshot are there when they are counted.
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
            from billing.seat_events
            where ctid >= ('(' || block || ',0)')::tid
                and ctid < ('(' || block + 16 || ',0)')::tid
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
