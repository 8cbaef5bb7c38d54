-- The orgs of which the period is recorded, as the checkpoint table orgs has them, with what their
-- revisions are rated with. What a revision takes from today is left at any value. Behind: the
-- org's revision, its digest, and the run whose cutoff its usage was read by.
copy (
    with latest as (
        select distinct on (org_id) org_id, revision, result_digest, seen_by
        from billing.org_periods
        where period = (select current_setting('periodclose.period')::date)
            and recorded_by < (select current_setting('periodclose.run')::bigint)
            and (
                (select current_setting('periodclose.orgs')) = ''
                or org_id = any ((select nullif(current_setting('periodclose.orgs'), '')::text[])::text[])
            )
        order by org_id, revision desc
    ),
    terms as (
        select distinct on (org_id) *
        from billing.org_billing_terms
        where period = (select current_setting('periodclose.period')::date)
            and run_id < (select current_setting('periodclose.run')::bigint)
        order by org_id, revision desc
    ),
    plans as (
        select plan_digest, plan_id, row_number() over (partition by plan_id order by plan_digest) as number
        from billing.sealed_plans
        where plan_digest in (
            select plan_digest from billing.org_billing_terms
            where period = (select current_setting('periodclose.period')::date)
        )
    )
    select
        latest.org_id,
        null::text,
        'active'::text,
        terms.currency,
        terms.timezone,
        terms.anchor_day::bigint,
        terms.period_start,
        terms.period_end,
        (terms.period_start at time zone 'UTC')::date,
        0::bigint,
        0::bigint,
        0::bigint,
        plans.plan_id::text,
        plans.number,
        true,
        terms.overage_cap,
        null::text,
        null::text,
        'amount'::text,
        null::text,
        'rated'::text,
        null::text,
        null::text,
        latest.revision::bigint,
        encode(latest.result_digest, 'hex'),
        latest.seen_by
    from latest
    join terms on terms.org_id = latest.org_id
    join plans on plans.plan_digest = terms.plan_digest
    order by latest.org_id
) to stdout (format binary)
