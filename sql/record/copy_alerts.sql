-- Which parts of their limits were reached, or are expected to be: those that nobody has told of.
copy billing.usage_alerts (
    org_id, metric, period, threshold, usage, usage_limit, is_projected, run_id
) from stdin (format binary)
