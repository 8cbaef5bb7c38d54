-- Who had a seat when, in the columns of seats.csv.
copy (
    select
        org_id::text,
        user_id::text,
        role::text,
        to_char(assigned_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        to_char(revoked_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from billing.seat_intervals
) to stdout (format binary)
