-- How many seats an org has and may have, and whether it is there at all. $1: org.
select
    exists (select from billing.orgs where org_id = $1::text) as is_known,
    allocation.total,
    allocation.used,
    allocation.available,
    allocation.pending,
    allocation.overage,
    more.allowed,
    more.requires_upgrade,
    more.overage_fee
from billing.seat_allocation($1::text) as allocation
cross join billing.can_assign_seat($1::text) as more
