-- The plans that were sealed with the period. Of several versions of a plan each has a number.
copy (
    select
        number,
        plan_id::text,
        name::text,
        currency::text
    from (
        select plan_digest, plan_id, name, currency,
            row_number() over (partition by plan_id order by plan_digest) as number
        from billing.sealed_plans
        where plan_digest in (
            select plan_digest from billing.org_billing_terms
            where period = (select current_setting('periodclose.period')::date)
        )
    ) as plans
    order by number, plan_id collate "C"
) to stdout (format binary)
