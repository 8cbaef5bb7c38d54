-- Rows that were ahead of their time and are due by now. $1: until when.
select
    unsent.org_id::text,
    org.dodo_customer_id::text,
    unsent.metric::text,
    unsent.kind::text,
    unsent.quantity::numeric,
    unsent.occurred_at::timestamptz,
    unsent.event_id::text,
    unsent.unique_key::text
from billing.push_unsent as unsent
join billing.orgs as org on org.org_id = unsent.org_id
where unsent.target = 'dodo' and unsent.reason = 'ahead' and unsent.occurred_at <= $1::timestamptz
order by unsent.occurred_at, unsent.event_id
limit 1000
