-- What occurred in an earlier period of its org, and came after that was recorded: for as long as no
-- revision takes it. In the columns of sql/extract/usage_recorded.sql, of one part of the ledger.
-- The reason is late_earlier; of metrics that any plan meters as a level, whose earlier rows are read
-- for the opening, too: late_unseen where the recorded opening had not seen it either, else late_seen.
copy (
    select
        ledger.org_id,
        ledger.metric,
        ledger.quantity,
        ledger.occurred_at,
        ledger.kind = 'set',
        null::text,
        case when ledger.kind = 'set' then ledger.event_id::text end,
        null::timestamptz,
        case
            when not ledger.metric = any ((select current_setting('periodclose.levels')::text[])::text[])
            then 'late_earlier'
            when ledger.recorded_at > before.cutoff
                or not pg_visible_in_snapshot(ledger.recorded_xid, before.snapshot)
            then 'late_unseen'
            else 'late_seen'
        end
    from billing.usage_ledger as ledger
    cross join lateral (
        select runs.cutoff, runs.snapshot
        from billing.org_periods as periods
        join billing.close_runs as runs on runs.run_id = periods.seen_by
        where periods.period between (date_trunc('month', ledger.occurred_at at time zone 'UTC') - interval '1 month')::date
                and (date_trunc('month', ledger.occurred_at at time zone 'UTC') + interval '1 month')::date
            and periods.period < (select current_setting('periodclose.period')::date)
            and periods.org_id = ledger.org_id
            and ledger.occurred_at >= periods.period_start
            and ledger.occurred_at < periods.period_end
        order by periods.revision desc
        limit 1
    ) as earlier
    left join lateral (
        select runs.cutoff, runs.snapshot
        from billing.org_periods as periods
        join billing.close_runs as runs on runs.run_id = periods.seen_by
        where periods.period = (select (current_setting('periodclose.period')::date - interval '1 month')::date)
            and periods.org_id = ledger.org_id
        order by periods.revision desc
        limit 1
    ) as before on true
    where ledger.occurred_at >= (select current_setting('periodclose.from')::timestamptz)
        and ledger.occurred_at < (select current_setting('periodclose.until')::timestamptz)
        and (
            (ledger.recorded_xid::text)::bigint >= (select current_setting('periodclose.written_from')::bigint)
            or ledger.recorded_at > (select current_setting('periodclose.recorded_after')::timestamptz)
        )
        and (
            ledger.recorded_at > earlier.cutoff
            or not pg_visible_in_snapshot(ledger.recorded_xid, earlier.snapshot)
        )
        and (ledger.reason is null or ledger.reason not in ('monthly_reset', 'migration'))
) to stdout (format binary)
