-- Months of the file that a run has recorded with another quantity.
select staged.line, staged.metric::text, monthly.run_id::text
from pg_temp.ingest_history as staged
join billing.org_billing_usage_monthly as monthly using (org_id, metric, period)
where monthly.run_id is not null
    and (monthly.usage, monthly.closing_level) is distinct from (staged.quantity, staged.closing_level)
    and staged.org_id not in (select org_id from pg_temp.ingest_refused_orgs)
order by staged.line
