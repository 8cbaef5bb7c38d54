-- Functions that say what may be done, and what more would cost. They decide nothing about a bill:
-- the close meters and rates from the ledger, by its own arithmetic.

create function billing.overage_cost(p_plan text, p_metric text, p_overage numeric) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    priced billing.prices;
    billed_in numeric;
    cost numeric;
begin
    select * into priced from billing.prices where plan_id = p_plan and metric = p_metric;
    if not found or p_overage <= 0 then
        return 0;
    end if;
    select currency.increment into billed_in
    from billing.plans as plan
    join billing.currencies as currency on currency.code = plan.currency
    where plan.plan_id = p_plan;
    case priced.model
        when 'per_unit' then
            cost := p_overage * priced.unit_price;
        when 'package' then
            cost := priced.unit_price * (
                div(p_overage, priced.package_size)
                + case when mod(p_overage, priced.package_size) > 0 then 1 else 0 end);
        when 'volume' then
            select p_overage * tier.unit_price + tier.flat_price into cost
            from billing.price_tiers as tier
            where tier.plan_id = p_plan
                and tier.metric = p_metric
                and (tier.up_to is null or tier.up_to >= p_overage)
            order by tier.up_to nulls last
            limit 1;
        when 'graduated' then
            select sum((least(p_overage, tier.up_to) - tier.above) * tier.unit_price + tier.flat_price)
            into cost
            from (
                select
                    up_to, unit_price, flat_price,
                    coalesce(lag(up_to) over (order by up_to nulls last), 0) as above
                from billing.price_tiers
                where plan_id = p_plan and metric = p_metric
            ) as tier
            where p_overage > tier.above;
    end case;
    -- Half away from zero, once: increments are powers of ten.
    return round(cost, min_scale(billed_in));
end
$$;
comment on function billing.overage_cost(text, text, numeric) is
    'What an overage costs by a plan''s price, rounded once to the billing increment; before any cap.';

create function billing.used_seats(p_org text) returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select count(*)
    from billing.user_seats
    where org_id = p_org
        and status = 'active'
        and (expires_at is null or expires_at > clock_timestamp())
$$;
comment on function billing.used_seats(text) is 'Users of an org with an active seat.';

create function billing.pending_invitations(p_org text) returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select count(*)
    from billing.seat_invitations
    where org_id = p_org
        and status = 'pending'
        and (expires_at is null or expires_at > clock_timestamp())
$$;
comment on function billing.pending_invitations(text) is
    'Invitations that hold a seat: pending and not expired.';

create function billing.metric_state(p_org text, p_metric text)
returns table (plan_id text, used numeric, usage_limit numeric, hard_limit numeric)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select
        price.plan_id,
        case
            when p_metric = 'seats' then billing.used_seats(p_org)
            else greatest(coalesce(cache.count, 0), 0)
        end,
        coalesce(own.soft_limit, price.included),
        coalesce(own.hard_limit, price.hard_limit)
    from billing.prices as price
    left join billing.org_limits as own on own.org_id = p_org and own.metric = price.metric
    left join billing.usage_cache as cache on cache.org_id = p_org and cache.metric = price.metric
    where price.plan_id = billing.plan_at(p_org, now()) and price.metric = p_metric
$$;
comment on function billing.metric_state(text, text) is
    'How an org stands in one metric of its present plan. No row: no plan, or no price in it.';

create function billing.cost_so_far(p_org text, p_metric text, p_more numeric) returns numeric
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(sum(billing.overage_cost(
        price.plan_id,
        price.metric,
        least(
            state.used + case when price.metric = p_metric then p_more else 0 end,
            coalesce(state.hard_limit, 'Infinity')
        ) - state.usage_limit)), 0)
    from billing.prices as price
    cross join lateral billing.metric_state(p_org, price.metric) as state
    where price.plan_id = billing.plan_at(p_org, now())
$$;
comment on function billing.cost_so_far(text, text, numeric) is
    'What all overages of an org would cost, before its cap, if it used so much more of one metric.';

create function billing.judge_more(
    p_org text, p_metric text, p_more numeric, p_held numeric default 0,
    out allowed boolean, out reason text, out fee numeric
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    org billing.orgs;
    state record;
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
    after := state.used + p_held + p_more;
    if after > state.hard_limit or (p_more = 0 and after >= state.hard_limit) then
        reason := 'hard_limit';
        return;
    end if;
    if after < state.usage_limit or (p_more > 0 and after = state.usage_limit) then
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
    fee := billing.cost_so_far(p_org, p_metric, p_held + p_more)
        - billing.cost_so_far(p_org, p_metric, p_held);
    if billing.cost_so_far(p_org, p_metric, p_held + p_more) > org.overage_cap then
        fee := 0;
        reason := 'overage_cap';
        return;
    end if;
    allowed := true;
    reason := 'overage';
end
$$;
comment on function billing.judge_more(text, text, numeric, numeric) is
    'Whether an org may use so much more of a metric, why, and what that would cost. p_held: what is spoken for already (invitations).';

create function billing.check_entitlement(
    p_org text, p_action text, out allowed boolean, out reason text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    org billing.orgs;
    action billing.entitlement_actions;
    judged record;
begin
    allowed := false;
    select * into org from billing.orgs where org_id = p_org;
    if not found then
        reason := 'unknown_org';
        return;
    end if;
    if org.status <> 'active' then
        reason := 'org_' || org.status;
        return;
    end if;
    select * into action from billing.entitlement_actions where entitlement_actions.action = p_action;
    if not found then
        reason := 'unknown_action';
        return;
    end if;
    if billing.settings(p_org) -> action.feature = 'false' then
        reason := 'feature_disabled';
        return;
    end if;
    if billing.plan_at(p_org, now()) is null then
        reason := 'no_plan';
        return;
    end if;
    if action.metric is null then
        allowed := true;
        reason := 'unmetered';
        return;
    end if;
    select * into judged
    from billing.judge_more(
        p_org, action.metric, action.amount,
        case when action.metric = 'seats' then billing.pending_invitations(p_org) else 0 end);
    allowed := judged.allowed;
    reason := judged.reason;
end
$$;
comment on function billing.check_entitlement(text, text) is
    'Whether an org may do an action of billing.entitlement_actions now, and why. allowed: within_limit, overage, unmetered. Not allowed: unknown_org, org_suspended, org_cancelled, unknown_action, feature_disabled, no_plan, not_in_plan, hard_limit, plan_limit, overage_disabled, overage_cap. Reads the cache, never the ledger; nothing is reserved.';
