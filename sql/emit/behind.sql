-- Whether earlier revisions of these items bill something that is not settled: never sent, or asked for,
-- held or refused. $1: period, $2: the items, an array of objects; the answer counts them from 0.
-- The period comes from a table of one row, not the parameter: of one that was recorded since the records
-- were analysed the planner expects a row, and would read all of it for every item.
with asked as materialized (
    select $1::text::date as period
)
select
    (given.place - 1)::bigint as place,
    coalesce(bool_or(earlier.item_status = 'recorded'), false) as is_unsent,
    coalesce(bool_or(earlier.item_status <> 'recorded'), false) as is_open
from jsonb_array_elements($2::text::jsonb) with ordinality as given (item, place)
cross join asked
left join billing.org_billing_overages as earlier
    on earlier.org_id = given.item ->> 'org_id'
    and earlier.metric_type = given.item ->> 'metric'
    and earlier.period = asked.period
    and earlier.revision < (given.item ->> 'revision')::integer
    and earlier.billed <> 0
    and earlier.item_status not in ('sent', 'disabled')
group by given.place
order by given.place
