-- The mark of it: who, when, why. $1: run, $2: reason, $3: totals.
update billing.close_runs
set state = 'recorded', recorded_at = now(), ended_at = now(), is_forced = true, reason = $2::text,
    totals = $3::text::jsonb
where run_id = $1::bigint
