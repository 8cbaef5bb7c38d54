-- What a close counts of metrics aggregated by count (events) and unique (distinct keys), kept beside
-- the cache, which adds quantities up: check_entitlement and the alerts go by it. Resets of flows
-- that were levels once. An index for what a close asks of alerts. And what a run
-- recorded of a period is guarded as its records are.

create table billing.usage_counts (
    org_id text collate "C" not null,
    metric text collate "C" not null,
    period date not null,
    count bigint not null check (count >= 0),
    primary key (org_id, metric, period)
);
comment on table billing.usage_counts is
    'Of metrics that the org''s plan aggregates by count or unique: events, or distinct unique_keys, of a period, as the close will count them. Written by increment_usage; made anew from the ledger by recount_usage.';

create table billing.usage_uniques (
    org_id text collate "C" not null,
    metric text collate "C" not null,
    period date not null,
    key_digest bytea not null check (octet_length(key_digest) = 32),
    primary key (org_id, metric, period, key_digest)
);
comment on table billing.usage_uniques is
    'Which unique_keys were counted, by their SHA-256. Those of periods that are long over go with reset_usage.';

call billing.isolate('billing.usage_counts');
call billing.isolate('billing.usage_uniques');

do $$
begin
    revoke all on billing.usage_counts, billing.usage_uniques from public;
    grant select on billing.usage_counts to billing_app, billing_close, billing_finance;
    grant select on billing.usage_uniques to billing_close, billing_finance;
    grant insert, update, delete on billing.usage_counts, billing.usage_uniques to billing_close;
end
$$;

create function billing.count_event(
    p_org text, p_metric text, p_aggregation text, p_at timestamptz, p_unique_key text
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    found_period date := billing.current_period(p_org, p_at);
begin
    if p_aggregation = 'unique' then
        insert into billing.usage_uniques (org_id, metric, period, key_digest)
        values (p_org, p_metric, found_period, sha256(convert_to(p_unique_key, 'UTF8')))
        on conflict do nothing;
        if not found then
            return;
        end if;
    end if;
    insert into billing.usage_counts as counted (org_id, metric, period, count)
    values (p_org, p_metric, found_period, 1)
    on conflict (org_id, metric, period) do update
    set count = counted.count + 1;
end
$$;
comment on function billing.count_event(text, text, text, timestamptz, text) is
    'Counts an event of a metric that is aggregated by count or unique, in the period it occurred in. Its row of the cache is locked.';

create or replace function billing.increment_usage(
    p_org text,
    p_metric text,
    p_amount numeric,
    p_reason text default null,
    p_occurred_at timestamptz default null,
    p_key text default null,
    p_unique_key text default null
) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    at timestamptz := coalesce(p_occurred_at, clock_timestamp());
    amount numeric := billing.check_decimal(p_amount, 'amount');
    content bytea := billing.usage_content(p_metric, 'delta', amount, p_unique_key);
    aggregated text;
    is_new boolean;
begin
    perform billing.require_writer(p_org);
    perform billing.check_arguments(p_metric, p_amount, at, p_reason, p_key, p_unique_key);
    perform billing.check_usage(p_org, p_metric, 'delta', p_reason, at, p_unique_key);
    perform billing.ensure_ledger_partition(at);
    with keyed as (
        insert into billing.usage_keys (org_id, event_id, content, occurred_at)
        select p_org, p_key, content, at
        where p_key is not null
        on conflict (org_id, event_id) do nothing
        returning 1
    ), fresh as (
        select where p_key is null or exists (select from keyed)
    ), written as (
        insert into billing.usage_ledger
            (occurred_at, kind, org_id, metric, quantity, reason, event_id, unique_key)
        select at, 'delta', p_org, p_metric, amount, p_reason, p_key, p_unique_key
        from fresh
        returning 1
    ), cached as (
        insert into billing.usage_cache as cache (org_id, metric, count, changed_at)
        select p_org, p_metric, amount, at
        from fresh
        on conflict (org_id, metric) do update
        set count = case when cache.set_at > at then cache.count else cache.count + amount end,
            changed_at = greatest(cache.changed_at, at),
            last_updated = now()
        returning 1
    )
    select exists (select from written) and exists (select from cached) into is_new;
    if not is_new then
        perform billing.check_known_key(p_org, p_key, content, p_occurred_at);
        return false;
    end if;
    aggregated := billing.aggregation_at(p_org, p_metric, at);
    if aggregated in ('count', 'unique') then
        perform billing.count_event(p_org, p_metric, aggregated, at, p_unique_key);
    end if;
    if amount > 0 or aggregated in ('count', 'unique') then
        perform billing.note_alerts(p_org, p_metric);
    end if;
    return true;
end
$$;

create or replace function billing.metric_state(p_org text, p_metric text)
returns table (plan_id text, used numeric, usage_limit numeric, hard_limit numeric)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select
        price.plan_id,
        case
            when p_metric = 'seats' then billing.used_seats(p_org)
            when price.aggregation in ('count', 'unique') then coalesce(counted.count, 0)
            else greatest(coalesce(cache.count, 0), 0)
        end,
        coalesce(own.soft_limit, price.included),
        coalesce(own.hard_limit, price.hard_limit)
    from billing.prices as price
    left join billing.org_limits as own on own.org_id = p_org and own.metric = price.metric
    left join billing.usage_cache as cache on cache.org_id = p_org and cache.metric = price.metric
    left join billing.usage_counts as counted
        on price.aggregation in ('count', 'unique')
        and counted.org_id = p_org
        and counted.metric = price.metric
        and counted.period = billing.current_period(p_org, now())
    where price.plan_id = billing.plan_at(p_org, now()) and price.metric = p_metric
$$;

create or replace function billing.judge_more(
    p_org text, p_metric text, p_more numeric, p_held numeric default 0,
    out allowed boolean, out reason text, out fee numeric
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    org billing.orgs;
    state record;
    more numeric := p_more;
    after numeric;
begin
    allowed := false;
    fee := 0;
    select * into org from billing.orgs where org_id = p_org;
    select * into state from billing.metric_state(p_org, p_metric);
    if state.plan_id is null then
        reason := case when billing.plan_at(p_org, now()) is null then 'no_plan' else 'not_in_plan' end;
        return;
    end if;
    -- Of what is counted by events or keys, an act is one, whatever its amount; at most one.
    if p_more > 0 and (
        select aggregation in ('count', 'unique')
        from billing.prices
        where plan_id = state.plan_id and metric = p_metric
    ) then
        more := 1;
    end if;
    after := state.used + p_held + more;
    if after > state.hard_limit or (more = 0 and after >= state.hard_limit) then
        reason := 'hard_limit';
        return;
    end if;
    if after < state.usage_limit or (more > 0 and after = state.usage_limit) then
        allowed := true;
        reason := 'within_limit';
        return;
    end if;
    if not (select allow_overage from billing.plans where plan_id = state.plan_id) then
        reason := 'plan_limit';
        return;
    end if;
    if not org.overage_enabled then
        reason := 'overage_disabled';
        return;
    end if;
    fee := billing.cost_so_far(p_org, p_metric, p_held + more)
        - billing.cost_so_far(p_org, p_metric, p_held);
    if billing.cost_so_far(p_org, p_metric, p_held + more) > org.overage_cap then
        fee := 0;
        reason := 'overage_cap';
        return;
    end if;
    allowed := true;
    reason := 'overage';
end
$$;

create or replace function billing.note_alerts(p_org text, p_metric text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    state record;
    thresholds numeric[];
begin
    select * into state from billing.metric_state(p_org, p_metric);
    if state.usage_limit is null or state.usage_limit <= 0 or state.used <= 0 then
        return;
    end if;
    thresholds := billing.alert_thresholds(billing.settings(p_org) -> 'alert.thresholds');
    insert into billing.usage_alerts (org_id, metric, period, threshold, usage, usage_limit)
    select p_org, p_metric, billing.current_period(p_org, now()), threshold, state.used, state.usage_limit
    from unnest(thresholds) as reached (threshold)
    where state.used >= state.usage_limit * threshold
    order by threshold
    on conflict do nothing;
end
$$;

create or replace function billing.reset_usage(p_period text) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    month date := billing.parse_month(p_period);
    period_name text := to_char(month, 'YYYY-MM');
    resets bigint;
begin
    if not billing.is_job() then
        raise exception 'only the job resets usage' using errcode = '42501';
    end if;
    create temporary table if not exists billing_resets (
        org_id text collate "C", metric text collate "C", starts_at timestamptz,
        primary key (org_id, metric)
    ) on commit drop;
    truncate pg_temp.billing_resets;
    -- What was counted of periods before the last one, nobody asks for any more. A month that is yet to
    -- come takes nothing from the present one.
    delete from billing.usage_uniques where period < least(month, now()::date) - interval '2 months';
    -- Flows of orgs whose period goes on, unless it was done: levels stand from period to period, and
    -- what counts for a later period is not to count from an earlier one again.
    insert into pg_temp.billing_resets (org_id, metric, starts_at)
    with calendars as (
        select timezone, anchor_day,
            billing.period_start(month, timezone, anchor_day) as starts_at,
            billing.period_start((month + interval '1 month')::date, timezone, anchor_day) as ends_at
        from (select distinct timezone, anchor_day from billing.orgs) as kinds
    )
    select cache.org_id, cache.metric, calendars.starts_at
    from billing.usage_cache as cache
    join billing.orgs as org on org.org_id = cache.org_id
    join calendars on calendars.timezone = org.timezone and calendars.anchor_day = org.anchor_day
    where calendars.starts_at <= now()
        and now() < calendars.ends_at
        and cache.metric <> 'seats'
        -- What was set is a level, unless the plan adds it up by now and nobody sets it any more.
        and case (
            select price.aggregation in ('max', 'last', 'time_weighted')
            from billing.prices as price
            where price.plan_id = billing.plan_at(cache.org_id, calendars.starts_at)
                and price.metric = cache.metric
        )
            when true then false
            when false then cache.set_at is null or cache.set_at < calendars.starts_at
            else cache.set_at is null
        end
        and not exists (
            select
            from billing.usage_keys as known
            where known.org_id = cache.org_id
                and known.event_id = 'monthly_reset:' || period_name || ':' || cache.metric
        );
    perform billing.ensure_ledger_partition(starts_at)
    from (select distinct starts_at from pg_temp.billing_resets) as months;
    -- First the locks, then a statement that sees all that was written before them.
    perform
    from billing.usage_cache as cache
    join pg_temp.billing_resets as reset using (org_id, metric)
    order by cache.org_id, cache.metric
    for no key update of cache;
    with since as (
        select entry.org_id, entry.metric, sum(entry.quantity) as quantity
        from billing.usage_ledger as entry
        join pg_temp.billing_resets as reset using (org_id, metric)
        where entry.occurred_at >= (select min(starts_at) from pg_temp.billing_resets)
            and entry.occurred_at >= reset.starts_at
            and entry.reason is distinct from 'monthly_reset'
            and entry.kind = 'delta'
        group by entry.org_id, entry.metric
    ), due as (
        select
            cache.org_id, cache.metric, reset.starts_at,
            coalesce(since.quantity, 0) - cache.count as quantity,
            'monthly_reset:' || period_name || ':' || cache.metric as event_id
        from billing.usage_cache as cache
        join pg_temp.billing_resets as reset using (org_id, metric)
        left join since using (org_id, metric)
    ), keyed as (
        insert into billing.usage_keys (org_id, event_id, content, occurred_at)
        select org_id, event_id, billing.usage_content(metric, 'delta', quantity, null), starts_at
        from due
        on conflict (org_id, event_id) do nothing
        returning org_id, event_id
    ), fresh as (
        select due.*
        from due
        join keyed using (org_id, event_id)
        where due.quantity <> 0
    ), written as (
        insert into billing.usage_ledger
            (occurred_at, kind, org_id, metric, quantity, reason, event_id)
        select starts_at, 'delta', org_id, metric, quantity, 'monthly_reset', event_id
        from fresh
        returning 1
    ), cached as (
        update billing.usage_cache as cache
        set count = cache.count + fresh.quantity, last_updated = now()
        from fresh
        where cache.org_id = fresh.org_id and cache.metric = fresh.metric
        returning 1
    )
    select count(*) into resets from written;
    return resets;
end
$$;
comment on function billing.reset_usage(text) is
    'Begins a period (2026-10) in the cache: flows count only what occurred since the period''s start, by a row of reason monthly_reset in the ledger. Returns how many were reset; orgs whose period has not begun are left for a later call, those whose period is over or that are done are not touched.';

create function billing.recount_usage(p_org text default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    recounted bigint;
begin
    if not exists (select from billing.prices where aggregation in ('count', 'unique')) then
        return 0;
    end if;
    create temporary table if not exists billing_recounts (
        org_id text collate "C", metric text collate "C", is_unique boolean, period date,
        starts_at timestamptz, ends_at timestamptz, primary key (org_id, metric)
    ) on commit drop;
    truncate pg_temp.billing_recounts;
    insert into pg_temp.billing_recounts (org_id, metric, is_unique, period, starts_at, ends_at)
    with calendars as (
        select
            timezone, anchor_day, period,
            billing.period_start(period, timezone, anchor_day) as starts_at,
            billing.period_start((period + interval '1 month')::date, timezone, anchor_day) as ends_at
        from (
            select
                timezone, anchor_day,
                case
                    when now() < billing.period_start(this_month, timezone, anchor_day)
                    then (this_month - interval '1 month')::date
                    else this_month
                end as period
            from (
                select distinct timezone, anchor_day,
                    date_trunc('month', now() at time zone timezone)::date as this_month
                from billing.orgs
            ) as kinds
        ) as present
    )
    select org.org_id, price.metric, price.aggregation = 'unique', calendars.period,
        calendars.starts_at, calendars.ends_at
    from billing.subscriptions as subscription
    join billing.prices as price
        on price.plan_id = subscription.plan_id and price.aggregation in ('count', 'unique')
    join billing.orgs as org on org.org_id = subscription.org_id
    join calendars on calendars.timezone = org.timezone and calendars.anchor_day = org.anchor_day
    where (p_org is null or org.org_id = p_org)
        and (subscription.starts_at is null or subscription.starts_at <= now())
        and (subscription.ends_at is null or now() < subscription.ends_at);
    -- First the locks, then statements that see all that was written before them.
    perform
    from billing.usage_cache as cache
    join pg_temp.billing_recounts as series using (org_id, metric)
    order by cache.org_id, cache.metric
    for no key update of cache;
    delete from billing.usage_uniques as known
    using pg_temp.billing_recounts as series
    where known.org_id = series.org_id and known.metric = series.metric and known.period >= series.period;
    delete from billing.usage_counts as counted
    using pg_temp.billing_recounts as series
    where counted.org_id = series.org_id and counted.metric = series.metric and counted.period >= series.period;
    create temporary table if not exists billing_recounted (
        org_id text collate "C", metric text collate "C", is_unique boolean, period date,
        key_digest bytea
    ) on commit drop;
    truncate pg_temp.billing_recounted;
    insert into pg_temp.billing_recounted (org_id, metric, is_unique, period, key_digest)
    select
        series.org_id, series.metric, series.is_unique,
        case
            when entry.occurred_at < series.ends_at then series.period
            else (series.period + interval '1 month')::date
        end,
        case when series.is_unique then sha256(convert_to(entry.unique_key, 'UTF8')) end
    from billing.usage_ledger as entry
    join pg_temp.billing_recounts as series using (org_id, metric)
    where entry.occurred_at >= (select min(starts_at) from pg_temp.billing_recounts)
        and entry.occurred_at >= series.starts_at
        and entry.kind = 'delta'
        and (entry.reason is null or entry.reason not in ('monthly_reset', 'migration'))
        and (not series.is_unique or entry.unique_key is not null);
    insert into billing.usage_uniques (org_id, metric, period, key_digest)
    select distinct org_id, metric, period, key_digest
    from pg_temp.billing_recounted
    where is_unique
    order by org_id, metric, period, key_digest
    on conflict do nothing;
    insert into billing.usage_counts as counted (org_id, metric, period, count)
    select org_id, metric, period, case when is_unique then count(distinct key_digest) else count(*) end
    from pg_temp.billing_recounted
    group by org_id, metric, is_unique, period
    order by org_id, metric, period
    on conflict (org_id, metric, period) do update
    set count = excluded.count;
    get diagnostics recounted = row_count;
    return recounted;
end
$$;
comment on function billing.recount_usage(text) is
    'Makes usage_counts and usage_uniques from the ledger again, for one org or all: of the present period, by the plans in force. After usage was loaded from files, or a plan or a price was changed. Returns how many counts there are; reads the ledger from the period''s start.';

-- Alerts of a period, which a close asks for: they are written month after month, so that the blocks
-- of one lie together.
create index usage_alerts_period on billing.usage_alerts
using brin (period) with (pages_per_range = 32, autosummarize = on);

comment on function billing.metric_state(text, text) is
    'How an org stands in one metric of its present plan: by the seat book, by usage_counts where events or distinct keys count, else by the cache. No row: no plan, or no price in it.';
comment on function billing.check_entitlement(text, text) is
    'Whether an org may do an action of billing.entitlement_actions now, and why. allowed: within_limit, overage, unmetered. Not allowed: unknown_org, org_suspended, org_cancelled, unknown_action, feature_disabled, no_plan, not_in_plan, hard_limit, plan_limit, overage_disabled, overage_cap. Reads what is kept in the cache and in usage_counts, never the ledger; nothing is reserved.';

do $$
begin
    revoke all on function
        billing.count_event(text, text, text, timestamptz, text), billing.recount_usage(text)
    from public;
    grant execute on function billing.recount_usage(text) to billing_close;
    perform billing.recount_usage();
end
$$;

-- What a run has recorded of a period stays, also before the owner: the next revision is another row.
-- What was loaded from a history (no run knows it) may be corrected.
create trigger recorded_stays before update or delete on billing.org_periods
for each row when (old.recorded_by is not null) execute function billing.refuse_change();
create trigger recorded_stays_truncate before truncate on billing.org_periods
for each statement execute function billing.refuse_change();
create trigger recorded_stays before update or delete on billing.org_billing_usage_monthly
for each row when (old.run_id is not null) execute function billing.refuse_change();
create trigger recorded_stays_truncate before truncate on billing.org_billing_usage_monthly
for each statement execute function billing.refuse_change();
call billing.note_migration('0019_counted.sql', '43db4dc202843af1515000c631a9fc9a054c858782bb32c88ef1194242beb525', '581bb7bfeecee0a54f02746cc9e639b88e0d71c304128c173b3f1d4f77213f7b');
