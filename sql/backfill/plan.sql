-- The truth in the order in which it is worked through.
insert into pg_temp.backfill_plan (place, org_id, metric, quantity)
select row_number() over (order by org_id, metric), org_id, metric, quantity
from pg_temp.backfill_truth
