-- What orgs are now: customers, subscriptions, suspensions. $1: their ids, an array; the answer counts
-- them from 0.
select
    (given.place - 1)::bigint as place,
    org.status::text,
    org.stripe_customer_id::text,
    org.stripe_subscription_id::text,
    org.dodo_customer_id::text
from jsonb_array_elements_text($1::text::jsonb) with ordinality as given (org_id, place)
join billing.orgs as org on org.org_id = given.org_id
order by given.place
