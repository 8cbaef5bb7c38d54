-- The limits that were sealed with the period.
copy (
    select
        terms.org_id,
        own.metric,
        own.soft_limit,
        own.hard_limit
    from (
        select distinct on (org_id) org_id, limits
        from billing.org_billing_terms
        where period = (select current_setting('periodclose.period')::date)
            and run_id < (select current_setting('periodclose.run')::bigint)
        order by org_id, revision desc
    ) as terms,
        jsonb_to_recordset(terms.limits) as own (metric text, soft_limit numeric, hard_limit numeric)
    order by terms.org_id, own.metric collate "C"
) to stdout (format binary)
