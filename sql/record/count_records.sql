-- How many records there are of that period. $1: period, $2: orgs, an array's text, or null for all,
-- $3: metric, or null for all.
select count(*)
from billing.org_billing_overages
where period = $1::text::date
    and ($2::text is null or org_id = any ($2::text::text[]))
    and ($3::text is null or metric_type = $3::text)
