-- Usage of one physical range of one partition, where this period or the one before is recorded of
-- some orgs: sql/extract/usage.sql with what those runs had not seen. recorded_at says it in the
-- way that is judged by: behind the cutoff for what is late, the cutoff itself for what came before
-- the period and its recorded opening had not seen, null for what was seen. Rows from before the
-- bounds of sql/extract/recorded_scope.sql were seen by all of those runs.
-- Parameters as there; $13: the period; $14: orgs of which it is recorded keep the cutoff and the
-- snapshot of that run. Settings are asked for in subqueries, which are computed once, not once a row.
copy (
    select packed.*
    from generate_series($3::bigint, $5::bigint, 16) as blocks (block)
    cross join lateral (
        with ranged as not materialized (
            select
                *,
                recorded_at > $8::timestamptz
                or recorded_at > (select current_setting('periodclose.own_cutoff')::timestamptz)
                or recorded_xid >= (select current_setting('periodclose.own_written')::xid8)
                or $1::timestamptz < $7::timestamptz
                and occurred_at < $7::timestamptz
                and metric = any ($9::text[])
                and (
                    recorded_at >= $6::timestamptz
                    or recorded_at > (select current_setting('periodclose.before_cutoff')::timestamptz)
                    or recorded_xid >= (select current_setting('periodclose.before_written')::xid8)
                ) as is_new
            from billing.usage_ledger as ledger
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
                    and (
                        not $10::boolean
                        or recorded_at >= $6::timestamptz
                        or recorded_xid >= (select current_setting('periodclose.before_written')::xid8)
                        and not pg_visible_in_snapshot(recorded_xid, (
                            select runs.snapshot
                            from billing.org_periods as periods
                            join billing.close_runs as runs on runs.run_id = periods.seen_by
                            where periods.period = ($13::date - interval '1 month')::date
                                and periods.org_id = ledger.org_id
                            order by periods.revision desc
                            limit 1
                        ))
                    )
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
                        or is_new
                        or reason is not null and reason in ('monthly_reset', 'migration')
                    then '\x7fffffffffffffff'::bytea || timestamptz_send(occurred_at) || record_send(row(
                        kind = 'set',
                        case
                            when octet_length(unique_key) > 1000 or starts_with(unique_key, E'\x01')
                            then E'\x01' || encode(sha256(convert_to(unique_key, 'UTF8')), 'hex')
                            else unique_key
                        end,
                        case when kind = 'set' then event_id::text end,
                        case when is_new then (
                            select case
                                when case
                                    when own.run_id is not null and $14::boolean
                                    then coalesce(recorded_at > own.cutoff, false)
                                        or not pg_visible_in_snapshot(recorded_xid, own.snapshot)
                                    else recorded_at > $8::timestamptz
                                end
                                then $8::timestamptz + interval '1 microsecond'
                                when occurred_at >= $7::timestamptz then null
                                when before.run_id is null
                                then least(recorded_at, $8::timestamptz)
                                when recorded_at > before.cutoff
                                    or not pg_visible_in_snapshot(recorded_xid, before.snapshot)
                                then $8::timestamptz
                            end
                            from (select $13::date as period) as this
                            left join lateral (
                                select runs.run_id, runs.cutoff, runs.snapshot
                                from billing.org_periods as periods
                                join billing.close_runs as runs on runs.run_id = periods.seen_by
                                where periods.period = this.period and periods.org_id = ranged.org_id
                                order by periods.revision desc
                                limit 1
                            ) as own on true
                            left join lateral (
                                select runs.run_id, runs.cutoff, runs.snapshot
                                from billing.org_periods as periods
                                join billing.close_runs as runs on runs.run_id = periods.seen_by
                                where periods.period = (this.period - interval '1 month')::date
                                    and periods.org_id = ranged.org_id
                                order by periods.revision desc
                                limit 1
                            ) as before on true
                        ) end,
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
