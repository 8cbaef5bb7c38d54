-- The records that stand: of every org and metric the latest, as the checkpoint table records has
-- them. Behind: whether it was waived.
copy (
    select distinct on (org_id, metric_type)
        org_id,
        metric_type,
        revision::bigint,
        cost,
        previous_cost,
        billed,
        item_status,
        is_waived
    from billing.org_billing_overages
    where period = (select current_setting('periodclose.period')::date)
        and run_id < (select current_setting('periodclose.run')::bigint)
        and (
            (select current_setting('periodclose.orgs')) = ''
            or org_id = any ((select nullif(current_setting('periodclose.orgs'), '')::text[])::text[])
        )
    order by org_id, metric_type, revision desc
) to stdout (format binary)
