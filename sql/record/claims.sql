-- Which run holds which period.
select
    run_id,
    to_char(period, 'YYYY-MM') as period,
    case when orgs = '"all"' then 'all orgs' else jsonb_array_length(orgs) || ' orgs' end as orgs,
    coalesce(run_dir, '') as run_dir,
    coalesce(host, '') as host,
    started_by,
    started_at::timestamptz
from billing.period_claims
order by run_id
