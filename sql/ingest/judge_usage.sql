-- Staged rows that a close would refuse, by what the database knows of their orgs and plans; and rows
-- of refused orgs that could not be taken later, as nothing but their place in the file tells them.
select judged.file::bigint, judged.line, judged.fault, judged.org_id::text, judged.metric::text
from (
    select
        staged.file,
        staged.line,
        staged.org_id,
        staged.metric,
        case
            when series.is_refused and staged.event_id is null then 'refused'
            when series.is_refused then null
            when not series.is_known then 'org'
            when staged.metric = 'seats' and exists (select from billing.seat_events) then 'seats'
            when staged.kind = 'set' and plan.aggregation in ('sum', 'count', 'unique') then 'set'
            when staged.unique_key is null and plan.aggregation = 'unique' then 'unique'
        end as fault
    from pg_temp.ingest_usage as staged
    join pg_temp.ingest_series as series
        on series.org_id = staged.org_id and series.metric = staged.metric
    cross join lateral (
        select case
            when series.is_steady then series.aggregation
            else billing.aggregation_at(staged.org_id, staged.metric, staged.occurred_at)
        end as aggregation
    ) as plan
) as judged
where judged.fault is not null
order by judged.file, judged.line
limit 10000
