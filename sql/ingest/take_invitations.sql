-- Invitations of invitations.csv. One that was made here, by its function, is not changed by a file.
-- Returns rows read, written, refused.
with merged as (
    insert into billing.seat_invitations as invitation (
        invitation_id, org_id, email, role, status, created_at, expires_at, accepted_at
    )
    select invitation_id, org_id, email, role, status, created_at, expires_at, accepted_at
    from pg_temp.ingest_invitations
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
    on conflict (invitation_id) do update
    set email = excluded.email,
        role = excluded.role,
        status = excluded.status,
        created_at = excluded.created_at,
        expires_at = excluded.expires_at,
        accepted_at = excluded.accepted_at
    where invitation.org_id = excluded.org_id
        and invitation.token_digest is null
        and (invitation.email, invitation.role, invitation.status, invitation.created_at,
            invitation.expires_at, invitation.accepted_at)
            is distinct from (excluded.email, excluded.role, excluded.status, excluded.created_at,
                excluded.expires_at, excluded.accepted_at)
    returning 1
)
select
    (select count(*) from pg_temp.ingest_invitations) as rows_read,
    (select count(*) from merged) as rows_taken,
    (select count(*) from pg_temp.ingest_invitations
        where org_id in (select org_id from pg_temp.ingest_refused_orgs)) as rows_refused
