-- The orgs' own limits, in the columns of limits.csv.
copy (
    select
        org_id::text,
        metric::text,
        trim_scale(soft_limit)::text,
        trim_scale(hard_limit)::text
    from billing.org_limits
    order by org_id collate "C", metric collate "C"
) to stdout (format binary)
