-- Functions that write and read usage.

create function billing.fold_usage(p_org text, p_metric text) returns numeric
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with last_set as (
        select occurred_at, quantity
        from billing.usage_ledger
        where org_id = p_org and metric = p_metric and kind = 'set'
        order by occurred_at desc, event_id desc nulls last, quantity desc, unique_key desc nulls last
        limit 1
    )
    select coalesce((select quantity from last_set), 0) + coalesce((
        select sum(quantity)
        from billing.usage_ledger
        where org_id = p_org
            and metric = p_metric
            and kind = 'delta'
            and occurred_at >= coalesce((select occurred_at from last_set), '-infinity')
    ), 0)
$$;
comment on function billing.fold_usage(text, text) is
    'What the ledger says of one org and metric, and the cache has to: the last set row and the changes since, in the order of the close. Reads the ledger: slow.';

create function billing.check_usage(
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
    select price.aggregation into aggregated
    from billing.prices as price
    where price.plan_id = billing.plan_at(p_org, p_at) and price.metric = p_metric;
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
comment on function billing.check_usage(text, text, billing.usage_kind, text, timestamptz, text) is
    'What the close would refuse of a row, refused before it is written.';

create function billing.check_known_key(
    p_org text, p_key text, p_content bytea, p_occurred_at timestamptz
) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    known billing.usage_keys;
begin
    select * into strict known
    from billing.usage_keys
    where org_id = p_org and event_id = p_key;
    if known.content <> p_content or known.occurred_at <> p_occurred_at then
        raise exception 'event % of org % is known with other content', p_key, p_org
            using errcode = '23505',
                detail = format('It occurred at %s.', known.occurred_at),
                hint = 'a retry repeats metric, amount, occurred_at and unique_key; another event needs another key';
    end if;
end
$$;
comment on function billing.check_known_key(text, text, bytea, timestamptz) is
    'Nothing, if the known event of that key has the same content (a retry); else an error.';

create function billing.increment_usage(
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
    end if;
    return is_new;
end
$$;
comment on function billing.increment_usage(text, text, numeric, text, timestamptz, text, text) is
    'Adds to what an org used: key, ledger and cache in one statement. True: written; false: the key is known with the same content, nothing is done. Without p_occurred_at it occurs now, and a retry need not repeat when. The key is optional, but without it a retry counts twice.';

create function billing.set_usage(
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
    return true;
end
$$;
comment on function billing.set_usage(text, text, numeric, text, timestamptz, text, text) is
    'Sets a level of an org: key, ledger and cache together. Returns as increment_usage does. A level set to what it was before changes that came in already is worked out from the ledger, which is slow without an index on (org_id, metric, occurred_at): set levels as of now.';

create function billing.get_usage(p_org text)
returns table (metric text, count numeric, last_updated timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select cache.metric, trim_scale(cache.count), cache.last_updated
    from billing.usage_cache as cache
    where cache.org_id = p_org
    order by cache.metric
$$;
comment on function billing.get_usage(text) is 'What stands for an org, from the cache alone.';

create function billing.usage_drift()
returns table (org_id text, metric text, cached numeric, ledger numeric, difference numeric)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with last_sets as (
        select distinct on (org_id, metric) org_id, metric, occurred_at, quantity
        from billing.usage_ledger
        where kind = 'set'
        order by org_id, metric, occurred_at desc, event_id desc nulls last, quantity desc,
            unique_key desc nulls last
    ), folded as (
        select
            entry.org_id,
            entry.metric,
            coalesce(max(level.quantity), 0) + coalesce(sum(entry.quantity) filter (
                where entry.kind = 'delta'
                    and (level.occurred_at is null or entry.occurred_at >= level.occurred_at)
            ), 0) as quantity
        from billing.usage_ledger as entry
        left join last_sets as level on level.org_id = entry.org_id and level.metric = entry.metric
        group by entry.org_id, entry.metric
    )
    select
        coalesce(cache.org_id, folded.org_id),
        coalesce(cache.metric, folded.metric),
        cache.count,
        folded.quantity,
        coalesce(folded.quantity, 0) - coalesce(cache.count, 0)
    from billing.usage_cache as cache
    full join folded on folded.org_id = cache.org_id and folded.metric = cache.metric
    where cache.count is distinct from folded.quantity
    order by 1, 2
$$;
comment on function billing.usage_drift() is
    'Where cache and ledger differ: nothing, unless something wrote one without the other. Null: there is no row. Reads the whole ledger.';

create function billing.reset_usage(p_period text) returns bigint
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
    -- Flows of orgs whose period has begun, unless it was done: levels stand from period to period.
    insert into pg_temp.billing_resets (org_id, metric, starts_at)
    with calendars as (
        select timezone, anchor_day, billing.period_start(month, timezone, anchor_day) as starts_at
        from (select distinct timezone, anchor_day from billing.orgs) as kinds
    )
    select cache.org_id, cache.metric, calendars.starts_at
    from billing.usage_cache as cache
    join billing.orgs as org on org.org_id = cache.org_id
    join calendars on calendars.timezone = org.timezone and calendars.anchor_day = org.anchor_day
    where calendars.starts_at <= now()
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
    'Begins a period (2026-10) in the cache: flows count only what occurred since the period''s start, by a row of reason monthly_reset in the ledger. Returns how many were reset; orgs whose period has not begun are left for a later call, those that are done are not done again.';
