-- Which periods are closed now.
copy billing.org_periods (
    org_id, period, revision, period_start, period_end, result_digest, recorded_by, seen_by
) from stdin (format binary)
