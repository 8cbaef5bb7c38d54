-- How much is recorded of a period. $1: period
select
    (select count(*) from billing.org_periods where period = $1::text::date) as orgs,
    coalesce(max(revision), 0)::bigint as revisions,
    coalesce(min(billing_period_end), 'epoch'::timestamptz) as first_end
from billing.org_billing_overages
where period = $1::text::date and billed <> 0
