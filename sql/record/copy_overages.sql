-- What it costs.
copy billing.org_billing_overages (
    org_id, metric_type, period, revision, billing_period_start, billing_period_end, plan_id, currency,
    usage, usage_limit, amount, model, unit_price, exact_cost, uncapped_cost, cost, previous_cost,
    billed, run_id, item_status, is_waived
) from stdin (format binary)
