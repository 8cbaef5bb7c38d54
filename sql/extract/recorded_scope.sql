-- Settings that sql/extract/usage_recorded.sql reads, and of which sql/extract/seats_recorded.sql reads
-- own_written: from where on what was written there may be what a run had not seen, that recorded this
-- period or the one before: the first transaction that one of them may not have seen, and the earliest
-- cutoff. Few rows are that new: of those alone is asked what their org's run had seen, which is found
-- by index.
-- $1: the period; $2: orgs of which it is recorded keep the cutoff and the snapshot of that run.
with runs as (
    select
        period = $1::text::date as is_own,
        min(pg_snapshot_xmin(snapshot)::text::numeric) as written_from,
        min(cutoff) as recorded_after
    from billing.close_runs
    where state = 'recorded'
        and period between $1::text::date - interval '1 month' and $1::text::date
    group by period
), bounds as (
    select
        max(written_from) filter (where is_own and $2::boolean) as own_written,
        max(recorded_after) filter (where is_own and $2::boolean) as own_cutoff,
        max(written_from) filter (where not is_own) as before_written,
        max(recorded_after) filter (where not is_own) as before_cutoff
    from runs
)
select
    set_config('periodclose.own_written', coalesce(own_written, 18446744073709551615)::text, true),
    set_config('periodclose.own_cutoff', coalesce(own_cutoff, 'infinity')::text, true),
    set_config('periodclose.before_written', coalesce(before_written, 18446744073709551615)::text, true),
    set_config('periodclose.before_cutoff', coalesce(before_cutoff, 'infinity')::text, true),
    set_config('enable_nestloop', 'on', true),
    set_config('enable_indexscan', 'on', true)
from bounds
