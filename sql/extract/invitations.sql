-- Invitations, in the columns of invitations.csv.
copy (
    select
        invitation_id::text,
        org_id::text,
        email::text,
        role::text,
        status::text,
        to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        to_char(accepted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from billing.seat_invitations
    order by invitation_id collate "C"
) to stdout (format binary)
