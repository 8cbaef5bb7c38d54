-- How many items may have been asked for by somebody else. $1: period, $2: our own mark.
select count(*)
from billing.org_billing_overages
where period = $1::text::date
    and billed <> 0
    and item_status = 'unknown'
    and stripe_invoice_item_id is distinct from $2::text
