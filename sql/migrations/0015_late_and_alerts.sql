-- What came after a period was recorded is found by when it was written: by its transaction
-- (usage_ledger_written), or by recorded_at where a cutoff lay before the run.

create index usage_ledger_recorded on billing.usage_ledger
using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);

-- --- alerts --------------------------------------------------------------------------------------
-- Written when usage is, for the org's present period; and by the close, for the period it closes
-- and, as far as is expected, for the next one. So no two of them ever want one row, and a close
-- never waits for an application.

-- A close writes many at once, of orgs that it has judged, and under its own number.
alter table billing.usage_alerts
    drop constraint usage_alerts_org_id_fkey,
    drop constraint usage_alerts_run_id_fkey;

create function billing.alert_thresholds(p_value jsonb) returns numeric[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(distinct (element #>> '{}')::numeric(38, 15)), '{}')
    from jsonb_array_elements(case when jsonb_typeof(p_value) = 'array' then p_value else '[]' end) as element
    where case when jsonb_typeof(element) = 'number' then (element #>> '{}')::numeric between 0.000001 and 1000000 end
$$;
comment on function billing.alert_thresholds(jsonb) is
    'Parts of a limit in the setting alert.thresholds: its numbers; whatever else it holds is none.';

create function billing.current_period(p_org text, p_at timestamptz) returns date
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when p_at < billing.period_start(this_month, timezone, anchor_day)
        then (this_month - interval '1 month')::date
        else this_month
    end
    from (
        select timezone, anchor_day, date_trunc('month', p_at at time zone timezone)::date as this_month
        from billing.orgs
        where org_id = p_org
    ) as org
$$;
comment on function billing.current_period(text, timestamptz) is
    'The period of an org that an instant lies in, by the first day of the month in which it begins.';

create function billing.note_alerts(p_org text, p_metric text) returns void
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
comment on function billing.note_alerts(text, text) is
    'Notes which parts of its limit an org has reached in its present period, once each. Called by what writes usage and seats.';

create function billing.acknowledge_alerts(p_org text, p_metric text default null) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    acknowledged bigint;
begin
    perform billing.require_writer(p_org, false);
    update billing.usage_alerts
    set acknowledged_at = now()
    where org_id = p_org and (p_metric is null or metric = p_metric) and acknowledged_at is null;
    get diagnostics acknowledged = row_count;
    return acknowledged;
end
$$;
comment on function billing.acknowledge_alerts(text, text) is
    'Marks the open alerts of an org as seen, or of one metric of it; returns how many.';

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
    at timestamptz := coalesce(p_occurred_at, now());
    amount numeric := billing.check_decimal(p_amount, 'amount');
    content bytea := billing.usage_content(p_metric, 'delta', amount, p_unique_key);
    is_new boolean;
begin
    perform billing.require_writer(p_org);
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
    elsif amount > 0 then
        perform billing.note_alerts(p_org, p_metric);
    end if;
    return is_new;
end
$$;

create or replace function billing.set_usage(
    p_org text,
    p_metric text,
    p_quantity numeric,
    p_reason text default null,
    p_occurred_at timestamptz default null,
    p_key text default null,
    p_unique_key text default null
) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    at timestamptz := coalesce(p_occurred_at, now());
    quantity numeric := billing.check_decimal(p_quantity, 'quantity');
    content bytea := billing.usage_content(p_metric, 'set', quantity, p_unique_key);
    set_before timestamptz;
    is_new boolean;
begin
    perform billing.require_writer(p_org);
    perform billing.check_usage(p_org, p_metric, 'set', p_reason, at, p_unique_key);
    perform billing.ensure_ledger_partition(at);
    -- Sets of one level come one after another; changes do not wait for them.
    perform pg_advisory_xact_lock(hashtextextended(p_metric, hashtextextended(p_org, 0)));
    select cache.set_at into set_before
    from billing.usage_cache as cache
    where cache.org_id = p_org and cache.metric = p_metric;
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
        select at, 'set', p_org, p_metric, quantity, p_reason, p_key, p_unique_key
        from fresh
        returning 1
    ), cached as (
        insert into billing.usage_cache as cache (org_id, metric, count, set_at)
        select p_org, p_metric, quantity, at
        from fresh
        on conflict (org_id, metric) do update
        set count = case when cache.set_at > at then cache.count else quantity end,
            set_at = greatest(cache.set_at, at),
            last_updated = now()
        returning 1
    )
    select exists (select from written) and exists (select from cached) into is_new;
    if not is_new then
        perform billing.check_known_key(p_org, p_key, content, p_occurred_at);
        return false;
    end if;
    -- A set that is not the last thing that occurred: rare, and worth reading the ledger for.
    update billing.usage_cache as cache
    set count = billing.fold_usage(p_org, p_metric)
    where cache.org_id = p_org
        and cache.metric = p_metric
        and cache.set_at = at
        and (cache.changed_at >= at or set_before = at);
    perform billing.note_alerts(p_org, p_metric);
    return true;
end
$$;

create or replace function billing.give_seat(
    p_org text, p_user text, p_role text, p_expires_at timestamptz, p_reason text
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    at timestamptz := clock_timestamp();
    seat bigint := nextval('billing.seat_ids');
begin
    if p_expires_at <= at then
        raise exception 'the seat would have expired at % already', p_expires_at using errcode = '22008';
    end if;
    if exists (
        select
        from billing.user_seats
        where org_id = p_org
            and user_id = p_user
            and status = 'active'
            and (expires_at is null or expires_at > at)
    ) then
        raise exception 'user % has an active seat of org % already', p_user, p_org
            using errcode = '23505';
    end if;
    insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at, role, expires_at, reason)
    values (p_org, seat, 'assigned', p_user, at, p_role, p_expires_at, p_reason);
    insert into billing.user_seats (org_id, user_id, seat_id, role, status, assigned_at, expires_at)
    values (p_org, p_user, seat, p_role, 'active', at, p_expires_at)
    on conflict (org_id, user_id) do update
    set seat_id = excluded.seat_id,
        role = excluded.role,
        status = 'active',
        assigned_at = excluded.assigned_at,
        expires_at = excluded.expires_at,
        revoked_at = null,
        revoke_reason = null;
    perform billing.note_alerts(p_org, 'seats');
    return seat;
end
$$;

do $$
begin
    revoke all on function
        billing.alert_thresholds(jsonb), billing.current_period(text, timestamptz),
        billing.note_alerts(text, text), billing.acknowledge_alerts(text, text)
    from public;
    grant execute on function billing.current_period(text, timestamptz)
    to billing_app, billing_close, billing_finance;
    grant execute on function billing.acknowledge_alerts(text, text) to billing_app, billing_close;
    grant execute on function billing.alert_thresholds(jsonb) to billing_close;
end
$$;
call billing.note_migration('0015_late_and_alerts.sql', '039192e5c720cd1181b6d8d590f58edee076c121b70e5ff485b09ac388d703e1', '5a7cdbc6021ccde832a2f67a3bfb0a3419d0b9c11bf72daf3e11dd90d097b287');
