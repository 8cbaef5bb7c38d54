-- The run's own row, held until its result is committed. $1, $2: the claim.
select
    state,
    result_key,
    reason
from billing.close_runs
where run_id = $1::bigint and started_at = $2::timestamptz
for update
