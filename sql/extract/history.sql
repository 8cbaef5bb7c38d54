-- What was recorded, in the columns of usage_history.csv, by the latest revision. Of an org whose
-- period a run has recorded already only what came before: whether that may be closed again is the
-- record stage's to judge.
copy (
    select distinct on (org_id, metric, period)
        org_id::text,
        metric::text,
        to_char(period, 'YYYY-MM'),
        trim_scale(usage)::text,
        trim_scale(closing_level)::text,
        trim_scale(overage)::text,
        trim_scale(cost)::text,
        currency::text,
        trim_scale(projected)::text,
        trim_scale(projected_cost)::text
    from billing.org_billing_usage_monthly as monthly
    where period < current_setting('periodclose.period')::date
        or not exists (
            select from billing.org_periods as closed
            where closed.org_id = monthly.org_id
                and closed.period = current_setting('periodclose.period')::date
                and closed.recorded_by is not null
        )
    order by org_id, metric, period, revision desc
) to stdout (format binary)
