-- Tenants and plans: who is billed, by which prices, and what they may do.
--
-- The constraints judge as the program judges a dataset folder. Three rules need more than a row and
-- are triggers: a cap is a multiple of its currency's billing increment, the tiers of a price are
-- whole (at commit, so that they can come in any order), and a plan keeps its currency.

create table billing.orgs (
    org_id billing.id primary key,
    name text,
    status text not null default 'active' check (status in ('active', 'suspended', 'cancelled')),
    currency text collate "C" not null default 'usd' references billing.currencies,
    timezone text collate "C" not null default 'UTC' references billing.timezones,
    anchor_day smallint not null default 1 check (anchor_day between 1 and 31),
    overage_enabled boolean not null default true,
    overage_cap billing.amount,
    stripe_customer_id billing.id,
    stripe_subscription_id billing.id,
    stripe_item_mode text not null default 'amount' check (stripe_item_mode in ('amount', 'quantity')),
    dodo_customer_id billing.id,
    created_at billing.instant not null default now()
);
comment on table billing.orgs is 'Tenants. Never deleted while they have usage, seats or records.';
comment on column billing.orgs.status is
    'active; suspended: rated and recorded, but its items are held and its application cannot write; cancelled: pays for what it used while subscribed.';
comment on column billing.orgs.anchor_day is
    'Day of the month on which the org''s periods begin, clamped to the month''s end.';
comment on column billing.orgs.overage_enabled is
    'Off: usage is metered and reported, but its overage is not billed (records have status disabled), and entitlement ends at the limit.';
comment on column billing.orgs.overage_cap is
    'Most that the overage of one period may cost, in major units: a multiple of the billing increment.';
comment on column billing.orgs.stripe_item_mode is
    'Whether an invoice item carries the amount, or the quantity and the unit price.';

create function billing.check_overage_cap() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    billed_in numeric;
begin
    select increment into billed_in from billing.currencies where code = new.currency;
    if mod(new.overage_cap, billed_in) <> 0 then
        raise exception 'overage_cap % of org % is not a multiple of %, as % is billed',
            trim_scale(new.overage_cap), new.org_id, trim_scale(billed_in), new.currency
            using errcode = '23514', constraint = 'orgs_overage_cap_increment';
    end if;
    return new;
end
$$;
comment on function billing.check_overage_cap() is
    'Refuses a cap that is not a multiple of the currency''s billing increment.';

create trigger check_overage_cap
before insert or update of overage_cap, currency on billing.orgs
for each row when (new.overage_cap is not null)
execute function billing.check_overage_cap();

-- --- plans ---------------------------------------------------------------------------------------

create table billing.plans (
    plan_id billing.id primary key,
    name text,
    currency text collate "C" not null default 'usd' references billing.currencies,
    allow_overage boolean not null default true
);
comment on table billing.plans is 'Plans. Their prices are in billing.prices.';
comment on column billing.plans.allow_overage is
    'Whether usage may go beyond the limit (and be billed), or is denied there. Asked before the act, by the entitlement and seat functions; what was used all the same is rated.';

create table billing.prices (
    plan_id billing.id not null references billing.plans,
    metric billing.metric not null,
    aggregation text not null
        check (aggregation in ('sum', 'count', 'max', 'last', 'unique', 'time_weighted')),
    model text not null default 'per_unit'
        check (model in ('per_unit', 'graduated', 'volume', 'package')),
    included billing.amount not null default 0,
    hard_limit billing.amount,
    unit_price billing.amount,
    package_size billing.positive,
    unit text,
    primary key (plan_id, metric),
    constraint prices_unit_price_needed
        check (model not in ('per_unit', 'package') or unit_price is not null),
    constraint prices_package_size_needed
        check (model <> 'package' or package_size is not null)
);
comment on table billing.prices is 'How a plan meters and prices one metric.';
comment on column billing.prices.aggregation is
    'How events become one quantity. sum, count and unique meter a flow; max, last and time_weighted a level. Seats default to last, all else to sum.';
comment on column billing.prices.included is 'Units without charge. Not prorated.';
comment on column billing.prices.hard_limit is
    'Usage above it should have been blocked: it is not billed, and it is reported.';
comment on column billing.prices.unit is 'Label for people.';

create function billing.default_aggregation() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    new.aggregation := case when new.metric = 'seats' then 'last' else 'sum' end;
    return new;
end
$$;
comment on function billing.default_aggregation() is
    'The aggregation of a price that does not say: last for seats, sum for all else.';

create trigger default_aggregation
before insert on billing.prices
for each row when (new.aggregation is null)
execute function billing.default_aggregation();

create table billing.price_tiers (
    plan_id billing.id not null,
    metric billing.metric not null,
    up_to billing.positive,
    unit_price billing.amount not null,
    flat_price billing.amount not null default 0,
    foreign key (plan_id, metric) references billing.prices on delete cascade,
    constraint price_tiers_overlap unique nulls not distinct (plan_id, metric, up_to)
);
comment on table billing.price_tiers is
    'Tiers of graduated and volume prices, counted on the overage from zero, in the order of up_to.';
comment on column billing.price_tiers.up_to is 'Inclusive; null in the last tier, which is open.';
comment on column billing.price_tiers.flat_price is
    'Charged once when any of the quantity falls into the tier.';

create function billing.check_price_tiers() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    priced billing.prices;
    tiers bigint;
    open_tiers bigint;
begin
    select * into priced from billing.prices where plan_id = new.plan_id and metric = new.metric;
    if not found then
        return null;
    end if;
    select count(*), count(*) filter (where up_to is null) into tiers, open_tiers
    from billing.price_tiers
    where plan_id = new.plan_id and metric = new.metric;
    if priced.model not in ('graduated', 'volume') then
        if tiers > 0 then
            raise exception 'price of % in plan % is priced by model %, which has no tiers',
                new.metric, new.plan_id, priced.model using errcode = '23514';
        end if;
    elsif tiers = 0 then
        raise exception 'price of % in plan % needs tiers, as its model is %',
            new.metric, new.plan_id, priced.model using errcode = '23514';
    elsif open_tiers <> 1 then
        raise exception 'tiers of % in plan % do not end open: up_to of the last one must be null',
            new.metric, new.plan_id using errcode = '23514';
    elsif tiers > 1024 then
        raise exception 'price of % in plan % has % tiers, at most 1024 are possible',
            new.metric, new.plan_id, tiers using errcode = '23514';
    end if;
    return null;
end
$$;
comment on function billing.check_price_tiers() is
    'At commit: a tiered price has one to 1024 tiers, the last of them open; another price has none.';

create constraint trigger check_price_tiers
after insert or update on billing.prices
deferrable initially deferred
for each row execute function billing.check_price_tiers();

create constraint trigger check_price_tiers
after insert or update on billing.price_tiers
deferrable initially deferred
for each row execute function billing.check_price_tiers();

create function billing.check_price_tiers_left() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select from billing.prices
        where plan_id = old.plan_id and metric = old.metric and model in ('graduated', 'volume')
    ) and not exists (
        select from billing.price_tiers
        where plan_id = old.plan_id and metric = old.metric and up_to is null
    ) then
        raise exception 'tiers of % in plan % do not end open: up_to of the last one must be null',
            old.metric, old.plan_id using errcode = '23514';
    end if;
    return null;
end
$$;
comment on function billing.check_price_tiers_left() is
    'At commit: a tiered price whose tiers were removed or moved still ends with an open one.';

create constraint trigger check_price_tiers_left
after delete or update on billing.price_tiers
deferrable initially deferred
for each row execute function billing.check_price_tiers_left();

create table billing.subscriptions (
    subscription_id bigint generated always as identity primary key,
    org_id billing.id not null references billing.orgs,
    plan_id billing.id not null references billing.plans,
    starts_at billing.instant,
    ends_at billing.instant,
    constraint subscriptions_begin_before_they_end check (starts_at <= ends_at),
    constraint subscriptions_repeated unique nulls not distinct (org_id, plan_id, starts_at),
    constraint subscriptions_overlap
        exclude using gist (org_id with =, tstzrange(starts_at, ends_at, '[)') with &&)
);
comment on table billing.subscriptions is
    'Which plan an org had when: [starts_at, ends_at), null is open. No two of an org overlap.';

create table billing.org_limits (
    org_id billing.id not null references billing.orgs,
    metric billing.metric not null,
    soft_limit billing.amount,
    hard_limit billing.amount,
    primary key (org_id, metric)
);
comment on table billing.org_limits is
    'An org''s own limits, before those of its plan: overage begins above soft_limit, and nothing above hard_limit is billed.';

-- --- settings and permissions --------------------------------------------------------------------

create table billing.setting_defaults (
    name text collate "C" primary key check (name ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$'),
    value jsonb not null,
    about text not null
);
comment on table billing.setting_defaults is
    'Every setting there is, and what holds for an org that does not say.';

insert into billing.setting_defaults (name, value, about) values
    ('feature.api', 'true', 'calls of the API'),
    ('feature.exports', 'true', 'exports of data'),
    ('feature.invitations', 'true', 'inviting users'),
    ('feature.playbooks', 'true', 'runs of playbooks'),
    ('feature.storage', 'true', 'uploads of files'),
    ('invitation.days_valid', '7', 'days until a new invitation expires'),
    ('alert.thresholds', '[0.8, 1]', 'parts of a limit at which usage is reported');

create table billing.org_settings (
    org_id billing.id not null references billing.orgs,
    name text collate "C" not null references billing.setting_defaults,
    value jsonb not null,
    primary key (org_id, name)
);
comment on table billing.org_settings is
    'What an org has set itself, over billing.setting_defaults. Read with billing.settings(org).';

create table billing.role_permissions (
    role text collate "C" not null check (role in ('owner', 'admin', 'member', 'viewer')),
    permission text collate "C" not null check (permission in ('read', 'write', 'delete')),
    primary key (role, permission)
);
comment on table billing.role_permissions is
    'What the role of a seat permits; what is not listed is not permitted. Asked by billing.authorize.';

insert into billing.role_permissions (role, permission) values
    ('owner', 'read'), ('owner', 'write'), ('owner', 'delete'),
    ('admin', 'read'), ('admin', 'write'), ('admin', 'delete'),
    ('member', 'read'), ('member', 'write'),
    ('viewer', 'read');
