-- Tenants, in the columns of orgs.csv. Values travel as text, as a file would hold them, and are
-- judged by the code that judges files.
copy (
    select
        org_id::text,
        name::text,
        status::text,
        currency::text,
        timezone::text,
        anchor_day::text,
        overage_enabled::text,
        trim_scale(overage_cap)::text,
        stripe_customer_id::text,
        stripe_subscription_id::text,
        stripe_item_mode::text,
        dodo_customer_id::text
    from billing.orgs
    order by org_id collate "C"
) to stdout (format binary)
