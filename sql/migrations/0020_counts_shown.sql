-- What is counted by events or distinct keys, shown and compared as it is judged: get_usage and
-- usage_drift go by usage_counts, as check_entitlement does, and what a backfill brings moves them as it
-- moves the cache. And what was taken or recorded stays: keys as long as the ledger has their month,
-- runs that recorded for good.

create function billing.counted_usage(p_org text, p_metric text) returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce((
        select counted.count
        from billing.usage_counts as counted
        where counted.org_id = p_org
            and counted.metric = p_metric
            and counted.period = billing.current_period(p_org, now())
    ), 0)
    from billing.prices as price
    where price.plan_id = billing.plan_at(p_org, now())
        and price.metric = p_metric
        and price.aggregation in ('count', 'unique')
$$;
comment on function billing.counted_usage(text, text) is
    'Events or distinct keys of the present period, of a metric that the org''s plan aggregates by count or unique. Null of any other metric: there the cache says what stands.';

create or replace function billing.get_usage(p_org text)
returns table (metric text, count numeric, last_updated timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select
        cache.metric,
        coalesce(billing.counted_usage(p_org, cache.metric), trim_scale(cache.count)),
        cache.last_updated
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
    'What stands for an org, as check_entitlement judges it, and never from the ledger: from the cache; from usage_counts where the plan counts events or distinct keys; seats from user_seats, since one that expires does so without a word.';

create function billing.counted_series(p_org text)
returns table (org_id text, metric text, is_unique boolean, period date, starts_at timestamptz, ends_at timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    -- Computed once for all orgs of a kind, not once for each.
    with calendars as materialized (
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
        and (subscription.ends_at is null or now() < subscription.ends_at)
$$;
comment on function billing.counted_series(text) is
    'Which metrics the plans in force count by events or distinct keys, with the present periods: of one org or all.';

create or replace function billing.recount_usage(p_org text default null) returns bigint
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
    select org_id, metric, is_unique, period, starts_at, ends_at from billing.counted_series(p_org);
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
    -- Of an event that counts there is a key, or one; of what a backfill brought as a count, how many it
    -- brought. Its other rows are differences of quantities.
    create temporary table if not exists billing_recounted_rows (
        org_id text collate "C", metric text collate "C", period date, key_digest bytea, counted numeric
    ) on commit drop;
    truncate pg_temp.billing_recounted_rows;
    insert into pg_temp.billing_recounted_rows (org_id, metric, period, key_digest, counted)
    select
        series.org_id, series.metric,
        case
            when entry.occurred_at < series.ends_at then series.period
            else (series.period + interval '1 month')::date
        end,
        case
            when series.is_unique and entry.reason is distinct from 'migration'
            then sha256(convert_to(entry.unique_key, 'UTF8'))
        end,
        case when entry.reason = 'migration' then entry.quantity when not series.is_unique then 1 end
    from billing.usage_ledger as entry
    join pg_temp.billing_recounts as series using (org_id, metric)
    where entry.occurred_at >= (select min(starts_at) from pg_temp.billing_recounts)
        and entry.occurred_at >= series.starts_at
        and entry.kind = 'delta'
        and entry.reason is distinct from 'monthly_reset'
        and case
            when entry.reason = 'migration'
            then entry.unique_key = 'counted' and entry.quantity = trunc(entry.quantity)
            else not series.is_unique or entry.unique_key is not null
        end;
    insert into billing.usage_uniques (org_id, metric, period, key_digest)
    select distinct org_id, metric, period, key_digest
    from pg_temp.billing_recounted_rows
    where key_digest is not null
    order by org_id, metric, period, key_digest
    on conflict do nothing;
    insert into billing.usage_counts as counted (org_id, metric, period, count)
    select org_id, metric, period,
        greatest(count(distinct key_digest) + coalesce(sum(found.counted), 0), 0)
    from pg_temp.billing_recounted_rows as found
    group by org_id, metric, period
    order by org_id, metric, period
    on conflict (org_id, metric, period) do update
    set count = excluded.count;
    get diagnostics recounted = row_count;
    return recounted;
end
$$;
comment on function billing.recount_usage(text) is
    'Makes usage_counts and usage_uniques from the ledger again, for one org or all: of the present period, by the plans in force. After a plan, a price or a calendar was changed within a period, or rows were written past the functions; increment_usage, periodclose ingest and backfill count by themselves. Of a backfill''s rows those count that it wrote as counts (unique_key: counted). Returns how many counts there are; reads the ledger from the period''s start.';

create or replace function billing.usage_drift()
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
    ), series as materialized (
        select * from billing.counted_series(null)
    ), events as (
        select
            series.org_id,
            series.metric,
            count(distinct sha256(convert_to(entry.unique_key, 'UTF8'))) filter (
                where series.is_unique and entry.reason is distinct from 'migration')
            + count(*) filter (where not series.is_unique and entry.reason is distinct from 'migration')
            + coalesce(sum(entry.quantity) filter (where entry.reason = 'migration'), 0) as quantity
        from billing.usage_ledger as entry
        join series on series.org_id = entry.org_id and series.metric = entry.metric
        where entry.occurred_at >= (select min(starts_at) from series)
            and entry.occurred_at >= series.starts_at
            and entry.occurred_at < series.ends_at
            and entry.kind = 'delta'
            and entry.reason is distinct from 'monthly_reset'
            and (
                entry.reason is distinct from 'migration'
                or entry.unique_key = 'counted' and entry.quantity = trunc(entry.quantity)
            )
        group by series.org_id, series.metric
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
    union all
    select
        series.org_id,
        series.metric,
        counted.count,
        events.quantity,
        greatest(coalesce(events.quantity, 0), 0) - coalesce(counted.count, 0)
    from series
    left join billing.usage_counts as counted
        on counted.org_id = series.org_id
        and counted.metric = series.metric
        and counted.period = series.period
    left join events on events.org_id = series.org_id and events.metric = series.metric
    where coalesce(counted.count, 0) <> greatest(coalesce(events.quantity, 0), 0)
    order by 1, 2, 3
$$;
comment on function billing.usage_drift() is
    'Where the ledger differs from the cache, or from usage_counts (billing.recount_usage makes these anew): nothing, unless something wrote one without the other, or a plan or a price was changed within a period. Null: there is no row. Reads the whole ledger.';

comment on column billing.usage_ledger.unique_key is
    'What metrics aggregated by unique count the distinct values of. Of a row of reason migration: counted, if its quantity is a number of events or distinct keys that a backfill brought.';

do $$
begin
    revoke all on function billing.counted_usage(text, text), billing.counted_series(text) from public;
    grant execute on function billing.counted_usage(text, text), billing.counted_series(text)
    to billing_app, billing_close, billing_finance;
    perform billing.recount_usage();
end
$$;

-- --- what stays ------------------------------------------------------------------------------------

-- A key tells a retry from an event. Its row goes when the ledger has no event any more that could be
-- retried: after the partition of its month was dropped.
create function billing.refuse_key_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    partition text := 'usage_ledger_' || to_char(old.occurred_at at time zone 'UTC', 'YYYY_MM');
begin
    if tg_op = 'DELETE' and to_regclass(format('billing.%I', partition)) is null then
        return old;
    end if;
    raise exception '% of billing.usage_keys is refused: key % of org % tells a retry from an event of billing.%',
        lower(tg_op), quote_literal(old.event_id), old.org_id, partition
        using errcode = '42501', hint = 'a key may go after the ledger''s partition of its month was dropped';
end
$$;
comment on function billing.refuse_key_change() is
    'Trigger of usage_keys: refuses updates, and deletes while the ledger has a partition for the key''s month.';

create trigger keys_stay before update or delete on billing.usage_keys
for each row execute function billing.refuse_key_change();
create trigger keys_stay_truncate before truncate on billing.usage_keys
for each statement execute function billing.refuse_change();

create function billing.refuse_run_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '% of run % is refused: it is recorded', lower(tg_op), old.run_id
        using errcode = '42501', hint = 'a correction is the next revision: run with --force --reason';
end
$$;
comment on function billing.refuse_run_change() is
    'Trigger of close_runs: who closed a period, when, why and what it saw stays. Runs that recorded nothing may go.';

create trigger recorded_stays before update or delete on billing.close_runs
for each row when (old.state = 'recorded') execute function billing.refuse_run_change();
create trigger recorded_stays_truncate before truncate on billing.close_runs
for each statement execute function billing.refuse_change();

do $$
begin
    revoke all on function billing.refuse_key_change(), billing.refuse_run_change() from public;
end
$$;
call billing.note_migration('0020_counts_shown.sql', 'd1153baadd71721378415d582275b8d0ed97aebde46579d96d3af2250b6d5490', '7fc37a2ee8759241e3c348639505d95fefa8320e17317eed3ae097e2ee20f7fd');
