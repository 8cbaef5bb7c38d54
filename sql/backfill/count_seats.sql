-- The seat book as truth: how many seats every org uses now.
insert into pg_temp.backfill_truth (org_id, metric, quantity)
select org_id, 'seats', billing.used_seats(org_id)
from billing.orgs
