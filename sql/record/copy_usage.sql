-- What was used.
copy billing.org_billing_usage_monthly (
    org_id, metric, period, revision, usage, net, events, usage_limit, overage, closing_level, cost,
    currency, projected, projected_cost, run_id
) from stdin (format binary)
