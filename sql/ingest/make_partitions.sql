-- The ledger's partitions for what is staged.
select billing.ensure_ledger_partition(month)
from (
    select distinct date_trunc('month', occurred_at at time zone 'UTC') at time zone 'UTC' as month
    from pg_temp.ingest_usage
) as months
