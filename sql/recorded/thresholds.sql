-- At which parts of its limits an org has alerts: those of the org '' hold for all that have none of
-- their own. An org that wants none has a row without one. Like sql/record/note_alerts.sql.
copy (
    select org_id, threshold::numeric
    from (
        select org_id::text, billing.alert_thresholds(value) as thresholds
        from billing.org_settings
        where name = 'alert.thresholds'
        union all
        select '', billing.alert_thresholds(value)
        from billing.setting_defaults
        where name = 'alert.thresholds'
    ) as settings
    left join lateral unnest(thresholds) as parts (threshold) on true
    order by org_id collate "C", threshold nulls first
) to stdout (format binary)
