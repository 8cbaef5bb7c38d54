-- What orgs' periods were rated with.
copy billing.org_billing_terms (
    org_id, period, revision, run_id, plan_digest, currency, timezone, anchor_day, period_start,
    period_end, overage_cap, limits
) from stdin (format binary)
