-- user_seats from the seat book: of the orgs that the file names, or of all in one go when they are
-- many.
select sum(billing.rebuild_user_seats(org_id))::bigint
from (
    select distinct case when many.orgs > 100 then null else seat.org_id end as org_id
    from pg_temp.ingest_seats as seat
    cross join (select count(distinct org_id) as orgs from pg_temp.ingest_seats) as many
) as named
