-- Orgs whose subscriptions overlap, among themselves or with those in the database that the files do
-- not name: all of such an org is refused. Returns a row of each pair, by the later line.
with theirs as (
    select line, org_id, plan_id, starts_at, ends_at
    from pg_temp.ingest_subscriptions
    union all
    select null, known.org_id, known.plan_id, known.starts_at, known.ends_at
    from billing.subscriptions as known
    where known.org_id in (select org_id from pg_temp.ingest_subscriptions)
        and not exists (
            select from pg_temp.ingest_subscriptions as staged
            where staged.org_id = known.org_id
                and staged.plan_id = known.plan_id
                and staged.starts_at is not distinct from known.starts_at
        )
), overlapping as (
    select distinct on (later.line)
        later.line, later.org_id, earlier.line as other_line, earlier.plan_id as other_plan
    from theirs as later
    join theirs as earlier
        on earlier.org_id = later.org_id
        and (earlier.line < later.line or earlier.line is null)
        and tstzrange(earlier.starts_at, earlier.ends_at, '[)')
            && tstzrange(later.starts_at, later.ends_at, '[)')
    where later.line is not null
    order by later.line, earlier.line
), refused as (
    insert into pg_temp.ingest_refused_orgs (org_id)
    select distinct org_id from overlapping
    returning org_id
)
select overlapping.line, overlapping.org_id, overlapping.other_line, overlapping.other_plan::text
from overlapping
join refused using (org_id)
order by overlapping.line
