-- Plans, in the columns of plans.csv.
copy (
    select plan_id::text, name::text, currency::text
    from billing.plans
    order by plan_id collate "C"
) to stdout (format binary)
