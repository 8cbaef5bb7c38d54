-- The close that a user would write in SQL, writing the rows that periodclose writes: one
-- transaction, INSERT … SELECT with GROUP BY and joins, tiers by lateral join, regr_slope. For the
-- benchmark dataset alone: flows that are sums and seats, all of one calendar, first results.
--
-- In its favour: no events to tell apart, no late rows, no levels, no zones; the trend is over the
-- days with data alone; no digests but of the id; no reports, no checks.
\set ON_ERROR_STOP on
begin;
set local jit = off;
set local work_mem = '512MB';
set local hash_mem_multiplier = 2;
set local timezone = 'UTC';

insert into billing.close_runs (run_id, period, state, cutoff, as_of, snapshot, recorded_at, started_by)
values (1, '2026-09-01', 'recorded', '2026-10-01Z', now(), pg_current_snapshot(), now(), 'sql');

insert into billing.sealed_plans (plan_digest, plan_id, name, currency)
select sha256(convert_to(plan_id, 'UTF8')), plan_id, name, currency from billing.plans
on conflict do nothing;
insert into billing.sealed_prices
    (plan_digest, metric, aggregation, model, included, hard_limit, unit_price, package_size, unit)
select sha256(convert_to(plan_id, 'UTF8')), metric, aggregation, model, included, hard_limit,
    unit_price, package_size, unit
from billing.prices
on conflict do nothing;
insert into billing.sealed_tiers (plan_digest, metric, tier, up_to, unit_price, flat_price)
select sha256(convert_to(plan_id, 'UTF8')), metric,
    row_number() over (partition by plan_id, metric order by up_to nulls last), up_to, unit_price,
    flat_price
from billing.price_tiers
on conflict do nothing;

create temporary table rated on commit drop as
with daily as (
    select org_id, metric, (occurred_at at time zone 'UTC')::date - date '2026-09-01' as day,
        sum(quantity) as quantity, count(*) as events
    from billing.usage_ledger
    where occurred_at >= '2026-09-01Z' and occurred_at < '2026-10-01Z' and kind = 'delta'
    group by 1, 2, 3
), metered as (
    select org_id, metric, sum(quantity) as quantity, sum(events) as events,
        coalesce(regr_slope(quantity::float8, day), 0) as slope,
        coalesce(regr_intercept(quantity::float8, day), 0) as intercept
    from daily
    group by org_id, metric
    union all
    select org_id, 'seats', count(distinct user_id), count(*), 0, count(distinct user_id)::float8 / 30
    from billing.seat_intervals
    where assigned_at < '2026-10-01Z' and (revoked_at is null or revoked_at >= '2026-10-01Z')
    group by org_id
), priced as (
    select org.org_id, org.overage_cap, org.currency, org.timezone, org.anchor_day,
        price.plan_id, price.metric, price.model, price.unit_price,
        coalesce(own.soft_limit, price.included) as usage_limit,
        greatest(coalesce(metered.quantity, 0), 0) as usage,
        coalesce(metered.quantity, 0) as net,
        coalesce(metered.events, 0) as events,
        greatest(least(greatest(coalesce(metered.quantity, 0), 0),
            coalesce(own.hard_limit, price.hard_limit, 'Infinity'))
            - coalesce(own.soft_limit, price.included), 0) as overage,
        greatest(31 * (coalesce(metered.intercept, 0) + coalesce(metered.slope, 0) * 45), 0)::numeric(38, 15) as projected
    from billing.orgs as org
    join billing.subscriptions as subscription on subscription.org_id = org.org_id
        and (subscription.starts_at is null or subscription.starts_at <= '2026-09-30 23:59:59.999999Z')
        and (subscription.ends_at is null or subscription.ends_at > '2026-09-30 23:59:59.999999Z')
    join billing.prices as price on price.plan_id = subscription.plan_id
    left join billing.org_limits as own on own.org_id = org.org_id and own.metric = price.metric
    left join metered on metered.org_id = org.org_id and metered.metric = price.metric
), tiers as materialized (
    select *, coalesce(lag(up_to) over (partition by plan_id, metric order by up_to nulls last), 0) as above
    from billing.price_tiers
)
select priced.*, cost.exact, round(cost.exact, 2) as uncapped,
    round(next_cost.exact, 2) as projected_cost
from priced
cross join lateral (
    select case
        when priced.overage = 0 then 0
        when priced.model = 'graduated' then (
            select sum((least(priced.overage, tier.up_to) - tier.above) * tier.unit_price + tier.flat_price)
            from tiers as tier
            where tier.plan_id = priced.plan_id and tier.metric = priced.metric
                and priced.overage > tier.above)
        else priced.overage * priced.unit_price
    end as exact
) as cost
cross join lateral (
    select case
        when priced.projected <= priced.usage_limit then 0
        when priced.model = 'graduated' then (
            select sum((least(priced.projected - priced.usage_limit, tier.up_to) - tier.above)
                * tier.unit_price + tier.flat_price)
            from tiers as tier
            where tier.plan_id = priced.plan_id and tier.metric = priced.metric
                and priced.projected - priced.usage_limit > tier.above)
        else (priced.projected - priced.usage_limit) * priced.unit_price
    end as exact
) as next_cost;

create temporary table capped on commit drop as
with totals as (
    select org_id, metric, uncapped * 100 as cents, overage_cap * 100 as cap,
        sum(uncapped * 100) over (partition by org_id) as total
    from rated
    where overage_cap is not null and uncapped > 0
), shares as (
    select org_id, metric, cap, div(cents * cap, total) as share, mod(cents * cap, total) as remainder
    from totals
    where total > cap
), placed as (
    select *, cap - sum(share) over (partition by org_id) as missing,
        row_number() over (partition by org_id order by remainder desc, metric) as place
    from shares
)
select org_id, metric, (share + case when place <= missing then 1 else 0 end) / 100 as cost
from placed;
analyze rated;
analyze capped;

insert into billing.org_periods
    (org_id, period, revision, period_start, period_end, result_digest, recorded_by, seen_by)
select org_id, '2026-09-01', 1, '2026-09-01Z', '2026-10-01Z', sha256(convert_to(org_id, 'UTF8')), 1, 1
from (select distinct org_id from rated) as orgs
order by org_id;

insert into billing.org_billing_terms (org_id, period, revision, run_id, plan_digest, currency,
    timezone, anchor_day, period_start, period_end, overage_cap, limits)
select distinct on (org_id) org_id, '2026-09-01'::date, 1, 1, sha256(convert_to(plan_id, 'UTF8')),
    currency, timezone, anchor_day, '2026-09-01Z'::timestamptz, '2026-10-01Z'::timestamptz,
    overage_cap, null::jsonb
from rated
order by org_id;

insert into billing.org_billing_usage_monthly (org_id, metric, period, revision, usage, net, events,
    usage_limit, overage, closing_level, cost, currency, projected, projected_cost, run_id)
select rated.org_id, rated.metric, '2026-09-01', 1, usage, net, events, usage_limit, overage,
    case when rated.metric = 'seats' then usage end, coalesce(capped.cost, rated.uncapped), currency,
    projected, projected_cost, 1
from rated
left join capped on capped.org_id = rated.org_id and capped.metric = rated.metric
order by rated.org_id, rated.metric;

insert into billing.org_billing_overages (org_id, metric_type, period, revision,
    billing_period_start, billing_period_end, plan_id, currency, usage, usage_limit, amount, model,
    unit_price, exact_cost, uncapped_cost, cost, previous_cost, billed, run_id, item_status)
select rated.org_id, rated.metric, '2026-09-01', 1, '2026-09-01Z', '2026-10-01Z', plan_id, currency,
    usage, usage_limit, overage, model, case when model = 'graduated' then null else unit_price end,
    exact, uncapped, coalesce(capped.cost, uncapped), 0, coalesce(capped.cost, uncapped), 1,
    case when coalesce(capped.cost, uncapped) = 0 then 'zero' else 'recorded' end
from rated
left join capped on capped.org_id = rated.org_id and capped.metric = rated.metric
where overage > 0
order by rated.org_id, rated.metric;

insert into billing.usage_alerts
    (org_id, metric, period, threshold, usage, usage_limit, is_projected, run_id)
select org_id, metric, period, threshold, reached, usage_limit, is_projected, 1
from rated
cross join lateral (values
    ('2026-09-01'::date, usage, false), ('2026-10-01'::date, projected, true)
) as said (period, reached, is_projected)
cross join (values (0.8), (1)) as thresholds (threshold)
where usage_limit > 0 and reached > 0 and reached >= usage_limit * threshold
order by org_id, metric, period, threshold
on conflict do nothing;
commit;
