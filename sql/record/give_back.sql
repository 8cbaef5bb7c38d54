-- A run that stopped before it recorded gives its claim back. $1, $2: the claim.
update billing.close_runs
set state = 'failed', ended_at = now()
where run_id = $1::bigint and started_at = $2::timestamptz and state = 'running'
