-- What the records say of these items. $1: period, $2: the items, an array of objects; the answer
-- counts them from 0. The period comes from a table of one row: see sql/emit/behind.sql.
with asked as materialized (
    select $1::text::date as period
)
select
    (given.place - 1)::bigint as place,
    known.item_status,
    known.stripe_invoice_item_id,
    known.created_at
from jsonb_array_elements($2::text::jsonb) with ordinality as given (item, place)
cross join asked
join billing.org_billing_overages as known
    on known.org_id = given.item ->> 'org_id'
    and known.metric_type = given.item ->> 'metric'
    and known.period = asked.period
    and known.revision = (given.item ->> 'revision')::integer
order by given.place
