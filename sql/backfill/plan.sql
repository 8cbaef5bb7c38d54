-- The truth in the order in which it is worked through. Counted: some plan counts the metric by events
-- or distinct keys.
insert into pg_temp.backfill_plan (place, org_id, metric, quantity, is_counted)
select
    row_number() over (order by org_id, metric), org_id, metric, quantity,
    metric in (select metric from billing.prices where aggregation in ('count', 'unique'))
from pg_temp.backfill_truth
