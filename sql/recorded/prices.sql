-- Their prices.
copy (
    select
        plans.number,
        plans.plan_id::text,
        prices.metric::text,
        prices.aggregation,
        prices.model,
        prices.included::numeric,
        prices.hard_limit::numeric,
        prices.unit_price::numeric,
        prices.package_size::numeric,
        prices.unit
    from (
        select plan_digest, plan_id, name, currency,
            row_number() over (partition by plan_id order by plan_digest) as number
        from billing.sealed_plans
        where plan_digest in (
            select plan_digest from billing.org_billing_terms
            where period = (select current_setting('periodclose.period')::date)
        )
    ) as plans
    join billing.sealed_prices as prices on prices.plan_digest = plans.plan_digest
    order by plans.number, plans.plan_id collate "C", prices.metric collate "C"
) to stdout (format binary)
