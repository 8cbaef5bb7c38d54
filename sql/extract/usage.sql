-- Usage of one physical range of one partition. Times and quantities travel as they are; what most
-- rows do not need is null: recorded_at where it decides nothing, reasons but those of rows that are
-- no usage, ids but those that order the sets of a level. With a seat book, seats are counted from it:
-- what a backfill wrote to keep the cache of seats equal is left out.
-- Settings are asked for in subqueries, which are computed once, not once a row.
copy (
    select
        org_id,
        metric,
        quantity,
        occurred_at,
        kind = 'set',
        unique_key,
        case when kind = 'set' then event_id end,
        case
            when recorded_at > (select current_setting('periodclose.cutoff')::timestamptz)
                or occurred_at < (select current_setting('periodclose.start_last')::timestamptz)
            then recorded_at
        end,
        case when reason in ('monthly_reset', 'migration') then reason end
    from billing.usage_ledger
    where occurred_at >= (select current_setting('periodclose.from')::timestamptz)
        and occurred_at < (select current_setting('periodclose.until')::timestamptz)
        and ctid >= current_setting('periodclose.block_from')::tid
        and ctid < current_setting('periodclose.block_until')::tid
        and occurred_at < (select current_setting('periodclose.end')::timestamptz)
        and (
            reason is distinct from 'migration'
            or metric <> 'seats'
            or not exists (select from billing.seat_events)
        )
        and (
            occurred_at >= (select current_setting('periodclose.start')::timestamptz)
            or metric = any ((select current_setting('periodclose.levels')::text[])::text[])
            and (
                not (select current_setting('periodclose.is_opened')::boolean)
                or recorded_at >= (select current_setting('periodclose.start')::timestamptz)
            )
        )
) to stdout (format binary)
