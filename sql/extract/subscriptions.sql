-- Subscriptions, in the columns of subscriptions.csv.
copy (
    select
        org_id::text,
        plan_id::text,
        to_char(starts_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        to_char(ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from billing.subscriptions
    order by org_id collate "C", plan_id collate "C", starts_at nulls first
) to stdout (format binary)
