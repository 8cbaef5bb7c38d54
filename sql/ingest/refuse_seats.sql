-- Seats of the file that are known with another end, after those were taken that can be.
with staged as (
    select
        *,
        row_number() over (
            partition by org_id, user_id, assigned_at order by revoked_at nulls last, role, line
        ) as place
    from pg_temp.ingest_seats
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
), known as (
    select
        org_id, user_id, assigned_at, revoked_at,
        row_number() over (
            partition by org_id, user_id, assigned_at order by revoked_at nulls last, role, seat_id
        ) as place
    from billing.seat_intervals
    where org_id in (select org_id from staged)
)
select staged.line, staged.user_id::text, known.revoked_at::text
from staged
join known using (org_id, user_id, assigned_at, place)
where known.revoked_at is distinct from staged.revoked_at
order by staged.line
