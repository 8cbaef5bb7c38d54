-- Months of the file that are known with another quantity or closing level, by a run or another file.
with latest as (
    select distinct on (monthly.period, monthly.org_id, monthly.metric) monthly.*
    from billing.org_billing_usage_monthly as monthly
    join pg_temp.ingest_history using (period, org_id, metric)
    order by monthly.period, monthly.org_id, monthly.metric, monthly.revision desc
)
select
    staged.line,
    staged.metric::text,
    trim_scale(latest.usage) || coalesce(' by run ' || latest.run_id, ' by a history')
from pg_temp.ingest_history as staged
join latest using (period, org_id, metric)
where (latest.usage, latest.closing_level) is distinct from (staged.quantity, staged.closing_level)
    and staged.org_id not in (select org_id from pg_temp.ingest_refused_orgs)
order by staged.line
