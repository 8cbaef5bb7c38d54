-- Usage of one physical range of one partition of billing.usage_ledger, many rows in one: of every 16
-- blocks one row, whose columns hold what the ledger's rows have, one behind the other. The functions
-- that make a field of a COPY cost the server more than reading a row, and an aggregate as much as a
-- function, so there are as few as can be.
--   orgs, metrics     one per line
--   quantity          of the first row: numeric in binary, which says how long it is
--   rows              the time of the first row; then of each other one quantity and time. Times are
--                     timestamptz in binary. A row of which more than that matters has, for its time,
--                     infinity, which no time is; then its time, and a record: is it a set, its
--                     unique_key (of long ones the digest; none then begins with \x01 but those), the id
--                     that orders the sets of a level, recorded_at where it decides anything, the reason
--                     of what is no usage
-- Of rows before a period recorded_at decides whether a level's opening had them. With a seat book,
-- seats are counted from it: what a backfill wrote to keep the cache of seats equal is left out.
-- $1, $2: the partition's bounds; $3: the first block, $4: the one behind the range (the last range of
-- a partition has no end), $5: the last one that there is; $6, $7: the first instants of the earliest
-- and of the latest of the orgs' periods; $8: the cutoff; $9: metrics that are levels, whose earlier
-- rows open them; $10: every level is opened by a record, so that of rows before $6 only those matter
-- that were recorded since; $11: there is a seat book; $12: the end of the last period. What the bounds
-- of the partition rule out is dropped by the planner.
copy (
    select packed.*
    from generate_series($3::bigint, $5::bigint, 16) as blocks (block)
    cross join lateral (
        with ranged as not materialized (
            select *
            from billing.usage_ledger
            where occurred_at >= $1::timestamptz
                and occurred_at < least($2::timestamptz, $12::timestamptz)
                and ctid >= ('(' || block || ',0)')::tid
                and ctid < ('(' || case when block + 16 > $5::bigint then $4::bigint else block + 16 end || ',0)')::tid
                and (
                    not $11::boolean
                    or reason is null
                    or reason <> 'migration'
                    or metric <> 'seats'
                )
                and (
                    $1::timestamptz >= $6::timestamptz
                    or occurred_at >= $6::timestamptz
                    or metric = any ($9::text[])
                    and (not $10::boolean or recorded_at >= $6::timestamptz)
                )
        )
        select
            string_agg(org_id, E'\n') as orgs,
            string_agg(metric, E'\n') as metrics,
            (select numeric_send(quantity) from ranged limit 1) as quantity,
            string_agg(
                case
                    when kind = 'set'
                        or unique_key is not null
                        or recorded_at > $8::timestamptz
                        or $1::timestamptz < $7::timestamptz
                        and occurred_at < $7::timestamptz
                        and metric = any ($9::text[])
                        or reason is not null and reason in ('monthly_reset', 'migration')
                    then '\x7fffffffffffffff'::bytea || timestamptz_send(occurred_at) || record_send(row(
                        kind = 'set',
                        case
                            when octet_length(unique_key) > 1000 or starts_with(unique_key, E'\x01')
                            then E'\x01' || encode(sha256(convert_to(unique_key, 'UTF8')), 'hex')
                            else unique_key
                        end,
                        case when kind = 'set' then event_id::text end,
                        recorded_at,
                        case when reason in ('monthly_reset', 'migration') then reason end
                    ))
                    else timestamptz_send(occurred_at)
                end,
                numeric_send(quantity)
            ) as rows
        from ranged
    ) as packed
    where packed.orgs is not null
) to stdout (format binary)
