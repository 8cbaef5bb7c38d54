-- Who had a seat when, in the columns of seats.csv. Times travel as they are.
copy (
    select
        org_id,
        user_id,
        role,
        assigned_at,
        revoked_at
    from billing.seat_intervals
) to stdout (format binary)
