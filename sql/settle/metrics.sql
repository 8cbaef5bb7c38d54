-- The metrics that were billed in a period. $1: period
select distinct metric_type from billing.org_billing_overages where period = $1::text::date order by 1
