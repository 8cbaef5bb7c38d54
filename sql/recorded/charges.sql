-- What was charged for it, as the checkpoint table charges has it: with the cost that stands.
copy (
    select
        monthly.org_id,
        monthly.metric,
        coalesce(monthly.usage_limit, 0),
        coalesce(monthly.overage, 0),
        0::numeric,
        0::numeric,
        0::numeric,
        0::numeric,
        coalesce(record.cost, 0)
    from (
        select distinct on (org_id, metric) org_id, metric, usage, net, events, usage_limit, overage
        from billing.org_billing_usage_monthly
        where period = (select current_setting('periodclose.period')::date)
            and run_id < (select current_setting('periodclose.run')::bigint)
        order by org_id, metric, revision desc
    ) as monthly
    left join (
        select distinct on (org_id, metric_type) org_id, metric_type, cost
        from billing.org_billing_overages
        where period = (select current_setting('periodclose.period')::date)
            and run_id < (select current_setting('periodclose.run')::bigint)
        order by org_id, metric_type, revision desc
    ) as record on record.org_id = monthly.org_id and record.metric_type = monthly.metric
    where monthly.overage > 0 or record.cost > 0
    order by monthly.org_id, monthly.metric
) to stdout (format binary)
