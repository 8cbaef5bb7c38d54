-- Their tiers.
copy (
    select
        plans.number,
        plans.plan_id::text,
        tiers.metric::text,
        tiers.tier::bigint,
        tiers.up_to::numeric,
        tiers.unit_price::numeric,
        tiers.flat_price::numeric
    from (
        select plan_digest, plan_id, name, currency,
            row_number() over (partition by plan_id order by plan_digest) as number
        from billing.sealed_plans
        where plan_digest in (
            select plan_digest from billing.org_billing_terms
            where period = (select current_setting('periodclose.period')::date)
        )
    ) as plans
    join billing.sealed_tiers as tiers on tiers.plan_digest = plans.plan_digest
    order by plans.number, plans.plan_id collate "C", tiers.metric collate "C", tiers.tier
) to stdout (format binary)
