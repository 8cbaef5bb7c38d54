-- Alerts that a close of the period might write and that stand already, in the order of the table's
-- key: what was reached in the period, and what was expected of the next one. One after the other: of
-- both at once the index by period would not be used.
copy (
    select
        org_id,
        metric,
        is_projected,
        threshold
    from (
        select org_id, metric, is_projected, threshold
        from billing.usage_alerts
        where period = (select current_setting('periodclose.period')::date) and not is_projected
        union all
        select org_id, metric, is_projected, threshold
        from billing.usage_alerts
        where period = ((select current_setting('periodclose.period')::date) + interval '1 month')::date and is_projected
    ) as standing
    order by org_id, metric, is_projected, threshold
) to stdout (format binary)
