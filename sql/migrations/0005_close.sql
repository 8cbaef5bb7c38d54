-- The close: which runs there were, which periods are closed, what they used and what that costs.
--
-- One transaction of a run writes all of it. Decimals of documents (jsonb) are strings.
--
-- org_periods and the org_billing_ tables get hundreds of thousands of rows at once, and from the job
-- alone, which has judged every value before. So they have plain column types, no foreign keys and no
-- index but their key: domains made recording 1.8 times slower here, and each foreign key costs more
-- than the row itself. The checks they do have are those that a wrong sum would break.

create table billing.close_runs (
    run_id bigint primary key check (run_id > 0),
    kind text not null default 'close' check (kind in ('close', 'recalculate', 'void', 'waive')),
    period billing.month not null,
    scope jsonb not null default '{"orgs": "all"}' check (
        scope -> 'orgs' = '"all"' or jsonb_typeof(scope -> 'orgs') = 'array'
    ),
    state text not null default 'running'
        check (state in ('running', 'recorded', 'failed', 'abandoned')),
    is_forced boolean not null default false,
    reason text check (reason <> ''),
    cutoff billing.instant,
    as_of billing.instant,
    snapshot pg_snapshot,
    run_digest text,
    result_key bytea check (octet_length(result_key) = 32),
    digests jsonb not null default '{}' check (jsonb_typeof(digests) = 'object'),
    totals jsonb not null default '{}' check (jsonb_typeof(totals) = 'object'),
    version text,
    host text,
    run_dir text,
    started_by text not null default session_user,
    started_at billing.instant not null default now(),
    recorded_at billing.instant,
    ended_at billing.instant,
    constraint close_runs_forced_with_reason check (not is_forced or reason is not null),
    constraint close_runs_recorded_when check ((state = 'recorded') = (recorded_at is not null))
);
comment on table billing.close_runs is
    'Every run that closes a period here: who, when, why, of what, with which result. While it is running, its row is its claim: another run of the same period and of one of its orgs is refused.';
comment on column billing.close_runs.run_id is
    'Given by billing.claim_period: one more than the highest there is.';
comment on column billing.close_runs.scope is
    '{"orgs": "all"}, or {"orgs": ["acme", …]}, and what else narrowed it ({"metric": "tokens"} for waive).';
comment on column billing.close_runs.state is
    'running: its claim holds; recorded: its rows are committed; failed: it stopped before that, and gave its claim back; abandoned: an operator gave the claim back (billing.release_claim).';
comment on column billing.close_runs.cutoff is 'Usage recorded later is late.';
comment on column billing.close_runs.as_of is 'What the run took as now.';
comment on column billing.close_runs.snapshot is
    'What the run saw: usage of transactions that are not visible in it is late, whatever its time stamps say. Valid in this cluster alone: after a dump and restore it means nothing, and the cutoff decides.';
comment on column billing.close_runs.run_digest is 'The id of the run directory, a digest of what is pinned there.';
comment on column billing.close_runs.result_key is
    'SHA-256 of what was recorded from: whoever lost the answer to its COMMIT knows its own result by it.';
comment on column billing.close_runs.digests is 'SHA-256 of what was recorded from, by stage, in hex.';
comment on column billing.close_runs.totals is 'What was written: rows by table, cost and billed by currency; decimals are strings.';

create view billing.period_claims with (security_invoker = true) as
select run_id, kind, period, scope -> 'orgs' as orgs, host, run_dir, started_by, started_at
from billing.close_runs
where state = 'running';
comment on view billing.period_claims is 'Which run holds which period, and of which orgs ("all", or a list).';

-- A result of an org's period is never changed, only followed by the next revision; so every row of
-- the tables below is new when it is written, and goes straight into its table by COPY. Keys begin
-- with the period: a close appends at the end of every index.

create table billing.org_periods (
    org_id text collate "C" not null,
    period date not null,
    revision integer not null default 1 check (revision > 0),
    period_start timestamptz,
    period_end timestamptz,
    result_digest bytea check (octet_length(result_digest) = 32),
    recorded_by bigint,
    seen_by bigint,
    recorded_at timestamptz not null default now(),
    primary key (period, org_id, revision),
    constraint org_periods_begin_before_they_end check (period_start < period_end),
    constraint org_periods_of_a_run check (
        (result_digest is null) = (recorded_by is null) and (seen_by is null) = (recorded_by is null)
    )
);
comment on table billing.org_periods is
    'Closed periods: one row per org, period and revision, written together with the records. The highest revision counts.';
comment on column billing.org_periods.recorded_by is
    'close_runs.run_id. Null: loaded from a history, no run knows it.';
comment on column billing.org_periods.seen_by is
    'The run by whose cutoff and snapshot the usage was read: recorded_by, or of a revision that kept the cutoff an earlier one.';
comment on column billing.org_periods.result_digest is
    'SHA-256 of the metered and rated result: running again with the same one writes nothing.';

-- --- what was used -------------------------------------------------------------------------------

create table billing.org_billing_usage_monthly (
    org_id text collate "C" not null,
    metric text collate "C" not null,
    period date not null,
    revision integer not null default 1 check (revision > 0),
    usage numeric(38, 15) not null,
    net numeric(38, 15),
    events bigint check (events >= 0),
    usage_limit numeric(38, 15),
    overage numeric(38, 15),
    closing_level numeric(38, 15),
    cost numeric(38, 15),
    currency text collate "C",
    projected numeric(38, 15),
    projected_cost numeric(38, 15),
    run_id bigint,
    recorded_at timestamptz not null default now(),
    primary key (period, org_id, metric, revision)
);
comment on table billing.org_billing_usage_monthly is
    'What every org used of every metric in a recorded period. Also what usage_history.csv holds. All metrics of an org have the revision of its row in org_periods: the highest counts.';
comment on column billing.org_billing_usage_monthly.net is 'Before a negative net was made zero.';
comment on column billing.org_billing_usage_monthly.cost is
    'What the usage of that revision costs by its terms. What is billed is in org_billing_overages: after a void or a waiver less.';
comment on column billing.org_billing_usage_monthly.closing_level is
    'Of a level: just before the period''s end. Opens the next period.';
comment on column billing.org_billing_usage_monthly.run_id is 'Null: loaded from a history.';

create view billing.org_billing_usage_classic with (security_invoker = true) as
select
    org_id,
    period,
    coalesce(sum(usage) filter (where metric = 'tokens'), 0) as tokens,
    coalesce(sum(usage) filter (where metric = 'playbook_runs'), 0) as runs,
    coalesce(sum(usage) filter (where metric = 'seats'), 0) as seats,
    coalesce(sum(overage) filter (where metric = 'tokens'), 0) as overage_tokens,
    coalesce(sum(overage) filter (where metric = 'playbook_runs'), 0) as overage_runs,
    coalesce(sum(overage) filter (where metric = 'seats'), 0) as overage_seats
from billing.org_billing_usage_monthly as monthly
where not exists (
    select from billing.org_billing_usage_monthly as later
    where later.period = monthly.period
        and later.org_id = monthly.org_id
        and later.metric = monthly.metric
        and later.revision > monthly.revision
)
group by org_id, period;
comment on view billing.org_billing_usage_classic is
    'Monthly usage with the classic columns: one row per org and period, one column per classic metric.';

-- --- what it costs -------------------------------------------------------------------------------

create table billing.org_billing_overages (
    org_id text collate "C" not null,
    metric_type text collate "C" not null,
    period date not null,
    revision integer not null check (revision > 0),
    billing_period_start timestamptz not null,
    billing_period_end timestamptz not null,
    plan_id text collate "C" not null,
    currency text collate "C" not null,
    usage numeric(38, 15) not null,
    usage_limit numeric(38, 15) not null,
    amount numeric(38, 15) not null,
    model text not null check (model in ('per_unit', 'graduated', 'volume', 'package')),
    unit_price numeric(38, 15),
    exact_cost numeric(38, 15) not null,
    uncapped_cost numeric(38, 15) not null,
    cost numeric(38, 15) not null,
    previous_cost numeric(38, 15) not null default 0,
    billed numeric(38, 15) not null,
    run_id bigint not null,
    item_status text not null
        check (item_status in ('recorded', 'sent', 'zero', 'held', 'failed', 'unknown', 'disabled')),
    stripe_invoice_item_id text collate "C",
    is_waived boolean not null default false,
    created_at timestamptz not null default now(),
    primary key (period, org_id, metric_type, revision),
    constraint overages_begin_before_they_end check (billing_period_start < billing_period_end),
    constraint overages_billed_is_the_difference check (billed = cost - previous_cost),
    constraint overages_first_revision check (revision > 1 or previous_cost = 0),
    constraint overages_are_not_negative check (amount >= 0 and cost >= 0),
    constraint overages_cost_is_capped check (cost <= uncapped_cost),
    constraint overages_waived_cost_nothing check (not is_waived or cost = 0)
);
comment on table billing.org_billing_overages is
    'Overage records: one row per org, metric, period and revision. Only the difference to the revision before is billed.';
comment on column billing.org_billing_overages.amount is 'The overage, in units of the metric.';
comment on column billing.org_billing_overages.is_waived is
    'Made by periodclose void or waive: later revisions leave the cost at zero, unless they are repriced.';
comment on column billing.org_billing_overages.unit_price is 'Null for tiers, which have several.';
comment on column billing.org_billing_overages.cost is 'After the org''s cap; uncapped_cost - cost is the cap''s reduction.';
comment on column billing.org_billing_overages.item_status is
    'What became of the invoice item: the status column of overages.csv.';

create function billing.refuse_overage_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op <> 'UPDATE' then
        raise exception '% of billing.org_billing_overages is refused', lower(tg_op)
            using errcode = '42501', hint = 'a correction is the next revision: run with --force --reason';
    end if;
    old.item_status := new.item_status;
    old.stripe_invoice_item_id := new.stripe_invoice_item_id;
    if old is distinct from new then
        raise exception 'revision % of % of org % is recorded: only the state of its invoice item may change',
            new.revision, new.metric_type, new.org_id
            using errcode = '42501', hint = 'a correction is the next revision: run with --force --reason';
    end if;
    return new;
end
$$;
comment on function billing.refuse_overage_change() is
    'A record stays as it was made; only what became of its invoice item is written later.';

create trigger records_stay before update or delete on billing.org_billing_overages
for each row execute function billing.refuse_overage_change();
create trigger records_stay_truncate before truncate on billing.org_billing_overages
for each statement execute function billing.refuse_overage_change();

-- --- what it was rated with ----------------------------------------------------------------------
-- Many orgs share a plan: its sealed prices are kept once, by the digest of their content.

create table billing.sealed_plans (
    plan_digest bytea primary key check (octet_length(plan_digest) = 32),
    plan_id billing.id not null,
    name text,
    currency text collate "C" not null references billing.currencies
);
comment on table billing.sealed_plans is
    'Plans as they were when a period was rated with them, by the SHA-256 of plan, prices and tiers.';

create table billing.sealed_prices (
    plan_digest bytea not null references billing.sealed_plans,
    metric billing.metric not null,
    aggregation text not null
        check (aggregation in ('sum', 'count', 'max', 'last', 'unique', 'time_weighted')),
    model text not null check (model in ('per_unit', 'graduated', 'volume', 'package')),
    included billing.amount not null,
    hard_limit billing.amount,
    unit_price billing.amount,
    package_size billing.positive,
    unit text,
    primary key (plan_digest, metric)
);
comment on table billing.sealed_prices is 'Prices of billing.sealed_plans.';

create table billing.sealed_tiers (
    plan_digest bytea not null,
    metric billing.metric not null,
    tier integer not null check (tier > 0),
    up_to billing.positive,
    unit_price billing.amount not null,
    flat_price billing.amount not null,
    primary key (plan_digest, metric, tier),
    foreign key (plan_digest, metric) references billing.sealed_prices
);
comment on table billing.sealed_tiers is 'Tiers of billing.sealed_prices, numbered from 1; the last has no up_to.';

create table billing.org_billing_terms (
    org_id text collate "C" not null,
    period date not null,
    revision integer not null default 1 check (revision > 0),
    run_id bigint not null,
    plan_digest bytea not null,
    currency text collate "C" not null,
    timezone text collate "C" not null,
    anchor_day integer not null check (anchor_day between 1 and 31),
    period_start timestamptz not null,
    period_end timestamptz not null,
    overage_cap numeric(38, 15),
    limits jsonb check (jsonb_typeof(limits) = 'array'),
    recorded_at timestamptz not null default now(),
    primary key (period, org_id, revision),
    constraint org_billing_terms_begin_before_they_end check (period_start < period_end)
);
comment on table billing.org_billing_terms is
    'What an org''s period was rated with: later revisions are rated with the same. A revision has a row of its own only if it was repriced.';
comment on column billing.org_billing_terms.plan_digest is
    'The plan, its prices and tiers, as they were: in billing.sealed_plans, written by the same transaction.';
comment on column billing.org_billing_terms.limits is
    'The org''s own limits at that time: [{"metric": …, "soft_limit": "1000", "hard_limit": null}, …] sorted by metric, decimals as strings; null: none.';

create trigger append_only before update or delete on billing.org_billing_terms
for each row execute function billing.refuse_change();
create trigger append_only before update or delete on billing.sealed_plans
for each row execute function billing.refuse_change();
create trigger append_only before update or delete on billing.sealed_prices
for each row execute function billing.refuse_change();
create trigger append_only before update or delete on billing.sealed_tiers
for each row execute function billing.refuse_change();
create trigger append_only_truncate before truncate on billing.org_billing_terms
for each statement execute function billing.refuse_change();
create trigger append_only_truncate before truncate on billing.sealed_plans
for each statement execute function billing.refuse_change();
create trigger append_only_truncate before truncate on billing.sealed_prices
for each statement execute function billing.refuse_change();
create trigger append_only_truncate before truncate on billing.sealed_tiers
for each statement execute function billing.refuse_change();

-- --- alerts --------------------------------------------------------------------------------------

create table billing.usage_alerts (
    org_id billing.id not null references billing.orgs,
    metric billing.metric not null,
    period billing.month not null,
    threshold billing.positive not null,
    usage billing.quantity not null,
    usage_limit billing.amount not null,
    is_projected boolean not null default false,
    run_id bigint references billing.close_runs,
    created_at billing.instant not null default now(),
    acknowledged_at billing.instant,
    primary key (org_id, metric, period, threshold, is_projected)
);
comment on table billing.usage_alerts is
    'Usage that reached a part of its limit: one row per threshold and period, so that nobody is told twice.';
comment on column billing.usage_alerts.threshold is 'Part of the limit that was reached: 0.8, 1, …';
comment on column billing.usage_alerts.is_projected is 'Not reached yet, but expected by the period''s end.';
