-- Orgs of orgs.csv: new ones and changed ones are written. Returns rows read, written, refused.
with merged as (
    insert into billing.orgs as org (
        org_id, name, status, currency, timezone, anchor_day, overage_enabled, overage_cap,
        stripe_customer_id, stripe_subscription_id, stripe_item_mode, dodo_customer_id
    )
    select
        org_id, name, status, currency, timezone, anchor_day, overage_enabled, overage_cap,
        stripe_customer_id, stripe_subscription_id, stripe_item_mode, dodo_customer_id
    from pg_temp.ingest_orgs
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
    order by org_id
    on conflict (org_id) do update
    set name = excluded.name,
        status = excluded.status,
        currency = excluded.currency,
        timezone = excluded.timezone,
        anchor_day = excluded.anchor_day,
        overage_enabled = excluded.overage_enabled,
        overage_cap = excluded.overage_cap,
        stripe_customer_id = excluded.stripe_customer_id,
        stripe_subscription_id = excluded.stripe_subscription_id,
        stripe_item_mode = excluded.stripe_item_mode,
        dodo_customer_id = excluded.dodo_customer_id
    where (org.name, org.status, org.currency, org.timezone, org.anchor_day, org.overage_enabled,
            org.overage_cap, org.stripe_customer_id, org.stripe_subscription_id,
            org.stripe_item_mode, org.dodo_customer_id)
        is distinct from (excluded.name, excluded.status, excluded.currency, excluded.timezone,
            excluded.anchor_day, excluded.overage_enabled, excluded.overage_cap,
            excluded.stripe_customer_id, excluded.stripe_subscription_id,
            excluded.stripe_item_mode, excluded.dodo_customer_id)
    returning 1
)
select
    (select count(*) from pg_temp.ingest_orgs) as rows_read,
    (select count(*) from merged) as rows_taken,
    (select count(*) from pg_temp.ingest_orgs
        where org_id in (select org_id from pg_temp.ingest_refused_orgs)) as rows_refused
