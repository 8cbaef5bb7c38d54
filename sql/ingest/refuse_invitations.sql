-- Invitations of the file that are known as another org's.
select staged.line, staged.invitation_id::text, known.org_id::text
from pg_temp.ingest_invitations as staged
join billing.seat_invitations as known on known.invitation_id = staged.invitation_id
where known.org_id <> staged.org_id
    and staged.org_id not in (select org_id from pg_temp.ingest_refused_orgs)
order by staged.line
