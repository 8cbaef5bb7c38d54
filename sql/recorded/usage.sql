-- What was recorded as used, as the checkpoint table usage has it.
copy (
    select
        org_id,
        metric,
        null::bigint,
        usage,
        events,
        0::bigint
    from (
        select distinct on (org_id, metric) org_id, metric, usage, net, events, usage_limit, overage
        from billing.org_billing_usage_monthly
        where period = (select current_setting('periodclose.period')::date)
            and run_id < (select current_setting('periodclose.run')::bigint)
        order by org_id, metric, revision desc
    ) as monthly
    order by org_id, metric
) to stdout (format binary)
