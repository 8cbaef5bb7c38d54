-- user_seats from the seat book, of the orgs that the file names.
select sum(billing.rebuild_user_seats(org_id))::bigint
from (select distinct org_id from pg_temp.ingest_seats) as named
