-- usage_alerts is written by closes, many rows at once: plain types, as the tables that closes write
-- have them. The checks of domains cost more than writing the rows.

drop policy own_org on billing.usage_alerts;
drop policy job_works on billing.usage_alerts;
drop policy finance_reads on billing.usage_alerts;
drop policy owner_without_org on billing.usage_alerts;

alter table billing.usage_alerts
    alter column org_id type text collate "C",
    alter column metric type text collate "C",
    alter column period type date,
    alter column threshold type numeric(38, 15),
    alter column usage type numeric(38, 15),
    alter column usage_limit type numeric(38, 15),
    alter column created_at type timestamptz,
    alter column acknowledged_at type timestamptz;

call billing.isolate('billing.usage_alerts');
call billing.note_migration('0017_plain_alerts.sql', '36a7e6032abd9ef686f947d39795ad5f4775dba5bbeae68f4a9a7c021e9ed0d9', '88dc25b974d182a75b365aa6a9fc6e57cb04fc5278acfea8505c82e459cf01d2');
