-- Who has a seat of an org now. $1: org.
select user_id::text, role, assigned_at::timestamptz, expires_at::timestamptz
from billing.user_seats
where org_id = $1::text
    and status = 'active'
    and (expires_at is null or expires_at > clock_timestamp())
order by user_id collate "C"
