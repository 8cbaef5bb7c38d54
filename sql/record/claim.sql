-- Claims the period. $1: kind, $2: period, $3: scope, $4: host, $5: run directory, $6: version of the
-- program, $7 and $8: number and time of the claim that the run knows of, if any.
select
    run_id,
    is_own,
    state,
    host,
    run_dir,
    started_by,
    started_at
from billing.claim_period(
    $1::text, $2::text::date, $3::text::jsonb, $4::text, $5::text, $6::text, $7::bigint, $8::timestamptz
)
