-- A run that found everything recorded already leaves nothing. $1: run.
delete from billing.close_runs
where run_id = $1::bigint
