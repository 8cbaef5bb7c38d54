-- Known subscriptions whose end the files change, before new ones may begin there. The ends that
-- come earlier come first, so that none overlaps in between.
update billing.subscriptions as known
set ends_at = staged.ends_at
from pg_temp.ingest_subscriptions as staged
where known.org_id = staged.org_id
    and known.plan_id = staged.plan_id
    and known.starts_at is not distinct from staged.starts_at
    and staged.org_id not in (select org_id from pg_temp.ingest_refused_orgs)
    and staged.ends_at is distinct from known.ends_at
    and (coalesce(staged.ends_at, 'infinity') < coalesce(known.ends_at, 'infinity')) = $1::boolean
