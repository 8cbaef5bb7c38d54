-- Usage of one physical range of one partition, where this period or the one before is recorded of
-- some orgs: sql/extract/usage.sql with what those runs had not seen. recorded_at says it in the
-- way that is judged by: behind the cutoff for what is late, the cutoff itself for what came before
-- the period and its recorded opening had not seen, null for what was seen.
-- Settings are asked for in subqueries, which are computed once, not once a row.
copy (
    with recorded as not materialized (
        select distinct on (periods.period, periods.org_id)
            periods.period, periods.org_id, runs.cutoff, runs.snapshot
        from billing.org_periods as periods
        join billing.close_runs as runs on runs.run_id = periods.seen_by
        where periods.period between (select current_setting('periodclose.period')::date - interval '1 month')
            and (select current_setting('periodclose.period')::date)
        order by periods.period, periods.org_id, periods.revision desc
    )
    select
        ledger.org_id,
        ledger.metric,
        ledger.quantity,
        ledger.occurred_at,
        ledger.kind = 'set',
        ledger.unique_key,
        case when ledger.kind = 'set' then ledger.event_id end,
        case
            when case
                when own.org_id is not null and (select current_setting('periodclose.keeps_cutoff')::boolean)
                then coalesce(ledger.recorded_at > own.cutoff, false)
                    or not pg_visible_in_snapshot(ledger.recorded_xid, own.snapshot)
                else ledger.recorded_at > (select current_setting('periodclose.cutoff')::timestamptz)
            end
            then (select current_setting('periodclose.cutoff')::timestamptz) + interval '1 microsecond'
            when ledger.occurred_at >= (select current_setting('periodclose.start_last')::timestamptz) then null
            when before.org_id is null
            then least(ledger.recorded_at, (select current_setting('periodclose.cutoff')::timestamptz))
            when ledger.recorded_at > before.cutoff
                or not pg_visible_in_snapshot(ledger.recorded_xid, before.snapshot)
            then (select current_setting('periodclose.cutoff')::timestamptz)
        end,
        case when ledger.reason in ('monthly_reset', 'migration') then ledger.reason end
    from billing.usage_ledger as ledger
    left join recorded as own
        on own.org_id = ledger.org_id
        and own.period = (select current_setting('periodclose.period')::date)
    left join recorded as before
        on before.org_id = ledger.org_id
        and before.period = (select current_setting('periodclose.period')::date - interval '1 month')
    where ledger.occurred_at >= (select current_setting('periodclose.from')::timestamptz)
        and ledger.occurred_at < (select current_setting('periodclose.until')::timestamptz)
        and ledger.ctid >= current_setting('periodclose.block_from')::tid
        and ledger.ctid < current_setting('periodclose.block_until')::tid
        and (
            ledger.reason is distinct from 'migration'
            or ledger.metric <> 'seats'
            or not exists (select from billing.seat_events)
        )
        and (
            ledger.occurred_at >= (select current_setting('periodclose.start')::timestamptz)
            or ledger.metric = any ((select current_setting('periodclose.levels')::text[])::text[])
            and (
                not (select current_setting('periodclose.is_opened')::boolean)
                or ledger.recorded_at >= (select current_setting('periodclose.start')::timestamptz)
                or not pg_visible_in_snapshot(ledger.recorded_xid, before.snapshot)
            )
        )
) to stdout (format binary)
