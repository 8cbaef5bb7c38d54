-- The mark that the result is written, in the transaction that writes it. $1: run, $2: reason, null
-- for none, $3: forced, $4: cutoff, $5: now, $6: snapshot, null when nothing was read here,
-- $7: id of the run directory, $8: key of the result, $9: digests, $10: totals.
update billing.close_runs
set state = 'recorded',
    recorded_at = now(),
    ended_at = now(),
    reason = $2::text,
    is_forced = $3::boolean,
    cutoff = $4::timestamptz,
    as_of = $5::timestamptz,
    snapshot = $6::text::pg_snapshot,
    run_digest = $7::text,
    result_key = $8::bytea,
    digests = $9::text::jsonb,
    totals = $10::text::jsonb
where run_id = $1::bigint
