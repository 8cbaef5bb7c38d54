-- Where the net was negative, and made zero.
copy (
    select
        org_id,
        metric,
        net
    from (
        select distinct on (org_id, metric) org_id, metric, usage, net, events, usage_limit, overage
        from billing.org_billing_usage_monthly
        where period = (select current_setting('periodclose.period')::date)
            and run_id < (select current_setting('periodclose.run')::bigint)
        order by org_id, metric, revision desc
    ) as monthly
    where net <> usage
    order by org_id, metric
) to stdout (format binary)
