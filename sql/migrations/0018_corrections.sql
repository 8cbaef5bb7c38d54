-- Corrections of functions: what happens when in one transaction, which period the cache counts, and
-- seats in the cache.

-- --- usage ---------------------------------------------------------------------------------------
-- Usage without a time occurs when it is written, not when its transaction began: otherwise all that
-- one transaction writes would fall into one instant, in which what is set comes before what changes.
-- And the job's keys are the job's.

create or replace function billing.check_arguments(
    p_metric text, p_quantity numeric, p_at timestamptz, p_reason text, p_key text, p_unique_key text
) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if p_metric is null or p_quantity is null then
        raise exception 'no % is given', case when p_metric is null then 'metric' else 'quantity' end
            using errcode = '22004';
    end if;
    if octet_length(p_metric) not between 1 and 128 or p_metric ~ '[\u0001-\u001f\u007f-\u009f]' then
        raise exception '% is no name of a metric: 1 to 128 bytes without control characters',
            quote_literal(p_metric) using errcode = '22023';
    end if;
    if octet_length(p_reason) not between 1 and 128 then
        raise exception 'the reason has % bytes, not 1 to 128', octet_length(p_reason) using errcode = '22023';
    end if;
    if octet_length(p_key) not between 1 and 1000 then
        raise exception 'the key has % bytes, not 1 to 1000', octet_length(p_key) using errcode = '22023',
            hint = 'without a key leave p_key out, but a retry counts twice then';
    end if;
    if p_key ~ '^(monthly_reset|migration):' then
        raise exception 'the key % is one of the job''s own', quote_literal(p_key) using errcode = '22023',
            hint = 'those of an application do not begin with monthly_reset: or migration:';
    end if;
    if p_unique_key = '' then
        raise exception 'unique_key is empty' using errcode = '22023', hint = 'leave it out, or say what is counted';
    end if;
    -- Nothing that is billed here occurred before, but clocks that are not set say so.
    if p_at < '1971-01-01 00:00:00+00' then
        raise exception 'occurred_at % lies before 1971', p_at using errcode = '22008',
            hint = 'check the clock and the units of the sender';
    end if;
end
$$;

create or replace function billing.check_usage(
    p_org text, p_metric text, p_kind billing.usage_kind, p_reason text, p_at timestamptz,
    p_unique_key text
) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    aggregated text;
begin
    if p_metric = 'seats' then
        raise exception 'seats are not counted by hand' using errcode = '22023',
            hint = 'billing.assign_seat and billing.revoke_seat keep the seat book';
    end if;
    if p_reason in ('monthly_reset', 'migration') then
        raise exception 'reason % is for the job alone: such rows are never billed', p_reason
            using errcode = '22023';
    end if;
    if p_at > now() + interval '1 day' then
        raise exception 'occurred_at % lies in the future', p_at using errcode = '22008',
            hint = 'check the clock and the time zone of the sender';
    end if;
    -- Of the plan in force, or without one of the nearest, as ingest judges.
    aggregated := billing.aggregation_at(p_org, p_metric, p_at);
    if p_kind = 'set' and aggregated in ('sum', 'count', 'unique') then
        raise exception 'the plan of org % adds % up: it cannot be set', p_org, p_metric
            using errcode = '22023', hint = 'billing.increment_usage changes it';
    end if;
    if aggregated = 'unique' and p_unique_key is null then
        raise exception 'the plan of org % counts unique %: unique_key must be given', p_org, p_metric
            using errcode = '22004';
    end if;
end
$$;

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
    at timestamptz := coalesce(p_occurred_at, clock_timestamp());
    quantity numeric := billing.check_decimal(p_quantity, 'quantity');
    content bytea := billing.usage_content(p_metric, 'set', quantity, p_unique_key);
    set_before timestamptz;
    is_new boolean;
begin
    perform billing.require_writer(p_org);
    perform billing.check_arguments(p_metric, p_quantity, at, p_reason, p_key, p_unique_key);
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

-- --- the cache -----------------------------------------------------------------------------------

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
        and cache.set_at is null
        and not exists (
            select
            from billing.prices as price
            where price.plan_id = billing.plan_at(cache.org_id, calendars.starts_at)
                and price.metric = cache.metric
                and price.aggregation in ('max', 'last', 'time_weighted')
        )
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

-- An alert says what a limit was reached by, and of these the cache cannot know: it adds quantities
-- up, where the close counts events, or distinct ones. The close notes them.
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
    if (
        select aggregation in ('count', 'unique')
        from billing.prices
        where plan_id = state.plan_id and metric = p_metric
    ) then
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

create or replace function billing.get_usage(p_org text)
returns table (metric text, count numeric, last_updated timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select cache.metric, trim_scale(cache.count), cache.last_updated
    from billing.usage_cache as cache
    where cache.org_id = p_org
        and (cache.metric <> 'seats' or not exists (select from billing.user_seats where org_id = p_org))
    union all
    select 'seats', billing.used_seats(p_org), max(greatest(assigned_at, revoked_at, case when expires_at <= now() then expires_at end))
    from billing.user_seats
    where org_id = p_org
    having count(*) > 0
    order by 1
$$;
comment on function billing.get_usage(text) is
    'What stands for an org: from the cache, and seats from user_seats, since one that expires does so without a word.';

-- --- seats ---------------------------------------------------------------------------------------

create function billing.cache_seats(p_org text default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    changed bigint;
begin
    perform billing.ensure_ledger_partition(now());
    perform billing.ensure_ledger_partition(cache.set_at)
    from billing.usage_cache as cache
    where cache.metric = 'seats' and cache.set_at > now() and (p_org is null or cache.org_id = p_org);
    with counted as (
        select org_id, count(*) filter (
            where status = 'active' and (expires_at is null or expires_at > clock_timestamp())) as seats
        from billing.user_seats
        where p_org is null or org_id = p_org
        group by org_id
    ), due as (
        select
            counted.org_id,
            counted.seats - coalesce(cache.count, 0) as difference,
            greatest(now(), cache.set_at) as occurred_at
        from counted
        left join billing.usage_cache as cache
            on cache.org_id = counted.org_id and cache.metric = 'seats'
        where counted.seats <> coalesce(cache.count, 0)
    ), written as (
        insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity, reason)
        select occurred_at, 'delta', org_id, 'seats', difference, 'migration'
        from due
        returning 1
    ), cached as (
        insert into billing.usage_cache as cache (org_id, metric, count, changed_at)
        select org_id, 'seats', difference, occurred_at
        from due
        order by org_id
        on conflict (org_id, metric) do update
        set count = cache.count + excluded.count,
            changed_at = greatest(cache.changed_at, excluded.changed_at),
            last_updated = now()
        returning 1
    )
    select count(*) into changed from cached;
    return changed;
end
$$;
comment on function billing.cache_seats(text) is
    'Makes the cache of seats equal to the seat book, for one org or all, by rows of reason migration, which no close counts; returns how many orgs changed. The caller keeps others from the book.';

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
    if p_user is null then
        raise exception 'no user is given' using errcode = '22004';
    end if;
    if octet_length(p_user) not between 1 and 255 or p_user ~ '[\u0001-\u001f\u007f-\u009f]' then
        raise exception '% is no id of a user: 1 to 255 bytes without control characters', quote_literal(p_user)
            using errcode = '22023';
    end if;
    if not isfinite(p_expires_at) then
        raise exception 'a seat does not expire at %', p_expires_at using errcode = '22008',
            hint = 'leave p_expires_at out: it then has no end';
    end if;
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
    perform billing.cache_seats(p_org);
    perform billing.note_alerts(p_org, 'seats');
    return seat;
end
$$;

create or replace function billing.revoke_seat(p_org text, p_user text, p_reason text default null) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    at timestamptz;
begin
    perform billing.require_writer(p_org);
    perform billing.lock_seat_book(p_org);
    at := clock_timestamp();
    if not billing.used_seat_of(p_org, p_user) then
        raise exception 'user % has no active seat of org %', p_user, p_org using errcode = '55000';
    end if;
    -- Files may have given a user several seats at once: all of them end.
    insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at, reason)
    select org_id, seat_id, 'revoked', user_id, at, p_reason
    from billing.seat_intervals
    where org_id = p_org and user_id = p_user and (revoked_at is null or revoked_at > at);
    update billing.user_seats
    set status = 'revoked', revoked_at = at, revoke_reason = p_reason
    where org_id = p_org and user_id = p_user;
    perform billing.cache_seats(p_org);
    return true;
end
$$;

create or replace function billing.rebuild_user_seats(p_org text default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    rebuilt bigint;
    at timestamptz;
begin
    -- Nobody assigns or revokes meanwhile: what is read here would undo it.
    perform
    from billing.orgs as org
    where (p_org is null or org.org_id = p_org)
        and exists (select from billing.seat_events as event where event.org_id = org.org_id)
    order by org.org_id
    for no key update;
    at := clock_timestamp(); -- one that was revoked while this waited is revoked
    insert into billing.user_seats as seat
        (org_id, user_id, seat_id, role, status, assigned_at, expires_at, revoked_at)
    select distinct on (org_id, user_id)
        org_id, user_id, seat_id, role,
        case when revoked_at <= at then 'revoked' else 'active' end,
        assigned_at,
        case when revoked_at > at then revoked_at end,
        case when revoked_at <= at then revoked_at end
    from billing.seat_intervals
    where p_org is null or org_id = p_org
    order by org_id, user_id, coalesce(revoked_at > at, true) desc, revoked_at desc nulls first,
        assigned_at desc, seat_id desc
    on conflict (org_id, user_id) do update
    set seat_id = excluded.seat_id,
        role = excluded.role,
        status = excluded.status,
        assigned_at = excluded.assigned_at,
        expires_at = excluded.expires_at,
        revoked_at = excluded.revoked_at
    where (seat.seat_id, seat.role, seat.status, seat.assigned_at, seat.expires_at, seat.revoked_at)
        is distinct from (excluded.seat_id, excluded.role, excluded.status, excluded.assigned_at,
            excluded.expires_at, excluded.revoked_at);
    get diagnostics rebuilt = row_count;
    perform billing.cache_seats(p_org);
    return rebuilt;
end
$$;

do $$
begin
    revoke all on function billing.cache_seats(text) from public;
    grant execute on function billing.cache_seats(text) to billing_close;
end
$$;
call billing.note_migration('0018_corrections.sql', 'abca4a21fc6b39451a9522f8f179a6d123645e7c1592f2b4ed88bbc8b8ad8443', 'a7f8a9ea84baf0f6ebd6c9a484d33aa7a4ebf2047a0100e4424be0bd5c0e0a07');
