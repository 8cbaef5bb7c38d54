-- Staging of one ingest, in this session alone. Batches are sorted and folded in memory.
do $$
begin
    perform set_config('work_mem', greatest(
        pg_size_bytes(current_setting('work_mem')), pg_size_bytes('64MB')) / 1024 || 'kB', false);
end
$$;
create temporary table ingest_usage (
    file integer not null,
    line bigint not null,
    org_id text collate "C" not null,
    metric text collate "C" not null,
    kind text,
    quantity numeric not null,
    occurred_at timestamptz not null,
    event_id text collate "C",
    unique_key text collate "C",
    recorded_at timestamptz
);
create temporary table ingest_series (
    org_id text collate "C",
    metric text collate "C",
    is_known boolean not null,
    is_refused boolean not null,
    aggregation text,
    is_steady boolean not null,
    primary key (org_id, metric)
);
create temporary table ingest_counted (
    org_id text collate "C",
    metric text collate "C",
    is_unique boolean not null,
    period date not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    primary key (org_id, metric)
);
create temporary table ingest_folds (
    org_id text collate "C",
    metric text collate "C",
    primary key (org_id, metric)
);
create temporary table ingest_refused_orgs (
    org_id text collate "C" primary key
);
create temporary table ingest_orgs (
    line bigint, org_id text collate "C", name text, status text, currency text, timezone text,
    anchor_day bigint, overage_enabled boolean, overage_cap numeric, stripe_customer_id text,
    stripe_subscription_id text, stripe_item_mode text, dodo_customer_id text
);
create temporary table ingest_plans (line bigint, plan_id text collate "C", name text, currency text);
create temporary table ingest_prices (
    line bigint, plan_id text collate "C", metric text collate "C", aggregation text, model text,
    included numeric, hard_limit numeric, unit_price numeric, package_size numeric, unit text
);
create temporary table ingest_tiers (
    line bigint, plan_id text collate "C", metric text collate "C", up_to numeric, unit_price numeric,
    flat_price numeric
);
create temporary table ingest_subscriptions (
    line bigint, org_id text collate "C", plan_id text collate "C", starts_at timestamptz,
    ends_at timestamptz
);
create temporary table ingest_limits (
    line bigint, org_id text collate "C", metric text collate "C", soft_limit numeric,
    hard_limit numeric
);
create temporary table ingest_history (
    line bigint, org_id text collate "C", metric text collate "C", period date, quantity numeric,
    closing_level numeric, overage numeric, cost numeric, currency text, projected numeric,
    projected_cost numeric
);
create temporary table ingest_invitations (
    line bigint, invitation_id text collate "C", org_id text collate "C", email text, role text,
    status text, created_at timestamptz, expires_at timestamptz, accepted_at timestamptz
);
create temporary table ingest_seats (
    line bigint, org_id text collate "C", user_id text collate "C", role text, assigned_at timestamptz,
    revoked_at timestamptz
);
create temporary view ingest_rows as
select
    staged.*,
    coalesce(
        staged.kind,
        case
            when case
                when series.is_steady then series.aggregation
                else billing.aggregation_at(staged.org_id, staged.metric, staged.occurred_at)
            end in ('max', 'last', 'time_weighted')
            then 'set'
            else 'delta'
        end
    )::billing.usage_kind as judged_kind
from pg_temp.ingest_usage as staged
join pg_temp.ingest_series as series
    on series.org_id = staged.org_id and series.metric = staged.metric
where not series.is_refused;
