-- What periodclose sync needs: which subscription at Stripe or Dodo is which here, and which webhook
-- events were taken.

create table billing.plan_links (
    provider text not null check (provider in ('stripe', 'dodo')),
    external_id text collate "C" not null check (octet_length(external_id) between 1 and 255),
    plan_id billing.id not null references billing.plans,
    primary key (provider, external_id)
);
comment on table billing.plan_links is
    'Which plan a price, product or lookup key at Stripe or Dodo stands for, where it does not have the plan''s own id.';

create table billing.synced_subscriptions (
    provider text not null check (provider in ('stripe', 'dodo')),
    external_id text collate "C" not null check (octet_length(external_id) between 1 and 255),
    org_id billing.id not null references billing.orgs,
    plan_id billing.id references billing.plans,
    subscription_id bigint unique references billing.subscriptions on delete set null,
    state text not null check (state in ('in_force', 'ended', 'not_begun')),
    status text not null,
    as_of billing.instant not null,
    synced_at billing.instant not null default now(),
    primary key (provider, external_id)
);
comment on table billing.synced_subscriptions is
    'Subscriptions at Stripe or Dodo, as they were known last.';
comment on column billing.synced_subscriptions.subscription_id is
    'Its row of billing.subscriptions: the one of the plan it has now. Null: it has none.';
comment on column billing.synced_subscriptions.status is 'The provider''s own word.';
comment on column billing.synced_subscriptions.as_of is
    'When it was so: what is older than that changes nothing.';

create table billing.webhook_events (
    provider text not null check (provider in ('stripe', 'dodo')),
    event_id text collate "C" not null check (octet_length(event_id) between 1 and 255),
    type text not null,
    outcome text not null,
    taken_at billing.instant not null default now(),
    primary key (provider, event_id)
);
comment on table billing.webhook_events is
    'Webhook events that were taken: the same one again does nothing.';

call billing.isolate('billing.synced_subscriptions');

create function billing.sync_org(
    p_provider text, p_org text, p_customer text, out org_id text, out fault text
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    found_count bigint;
    known_customer text;
begin
    select count(*), min(org.org_id)
    into found_count, org_id
    from billing.orgs as org
    where case p_provider when 'stripe' then org.stripe_customer_id else org.dodo_customer_id end = p_customer;
    if found_count > 1 then
        org_id := null;
        fault := 'two_orgs';
    end if;
    if found_count <> 0 then
        return;
    end if;
    select org.org_id,
        case p_provider when 'stripe' then org.stripe_customer_id else org.dodo_customer_id end
    into org_id, known_customer
    from billing.orgs as org
    where org.org_id = p_org;
    if org_id is null then
        fault := 'no_org';
    elsif known_customer is not null then
        org_id := null;
        fault := 'other_customer';
    elsif p_provider = 'stripe' then
        update billing.orgs as org set stripe_customer_id = p_customer where org.org_id = p_org;
    else
        update billing.orgs as org set dodo_customer_id = p_customer where org.org_id = p_org;
    end if;
end
$$;
comment on function billing.sync_org(text, text, text) is
    'The org of a customer at Stripe or Dodo: the one that has its id, or the one that the subscription''s metadata names (it gets the id then). Else why not: no_org, two_orgs, other_customer.';

create function billing.sync_subscription(
    p_provider text, p_external text, p_customer text, p_org text, p_plans jsonb,
    p_state text, p_status text, p_starts_at timestamptz, p_ends_at timestamptz, p_as_of timestamptz
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    known billing.synced_subscriptions;
    held billing.subscriptions;
    owner text;
    fault text;
    plan text;
    new_state text := p_state;
    row_id bigint;
    change_at timestamptz;
    new_end timestamptz := p_ends_at;
    outcome text := 'same';
begin
    if not billing.is_job() then
        raise exception 'only the job syncs subscriptions' using errcode = '42501';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('sync ' || p_provider || ' ' || p_external, 0));
    select * into known from billing.synced_subscriptions
    where provider = p_provider and external_id = p_external;
    -- In the same second an end is the later word.
    if p_as_of < known.as_of or (p_as_of = known.as_of and known.state = 'ended' and new_state <> 'ended') then
        return 'stale';
    end if;
    select found.org_id, found.fault into owner, fault
    from billing.sync_org(p_provider, p_org, p_customer) as found;
    if fault is not null then
        return fault;
    end if;
    if known.org_id <> owner then
        return 'other_org';
    end if;
    select coalesce(link.plan_id, own.plan_id)
    into plan
    from jsonb_array_elements_text(p_plans) with ordinality as named (key, place)
    left join billing.plan_links as link on link.provider = p_provider and link.external_id = named.key
    left join billing.plans as own on own.plan_id = named.key
    where coalesce(link.plan_id, own.plan_id) is not null
    order by named.place
    limit 1;
    if new_state = 'not_begun' and known.subscription_id is not null then
        new_state := 'ended';
        new_end := coalesce(new_end, p_as_of);
    end if;
    if plan is null and new_state = 'in_force' then
        return 'no_plan';
    end if;
    plan := coalesce(plan, known.plan_id);
    select * into held from billing.subscriptions where subscription_id = known.subscription_id;
    begin
        if new_state = 'not_begun' or (held.subscription_id is null and plan is null) then
            outcome := case when known.external_id is null then 'added' else 'same' end;
        elsif held.subscription_id is null then
            -- A row that is there already, loaded or written by hand, is taken for it.
            select subscription_id into row_id
            from billing.subscriptions as own
            where own.org_id = owner and own.plan_id = plan
                and tstzrange(own.starts_at, own.ends_at, '[)') && tstzrange(p_starts_at, new_end, '[)')
                and not exists (
                    select from billing.synced_subscriptions as taken
                    where taken.subscription_id = own.subscription_id)
            order by own.starts_at desc nulls last
            limit 1;
            if row_id is not null then
                update billing.subscriptions as own
                set ends_at = case when new_end is not null then greatest(new_end, own.starts_at) end
                where own.subscription_id = row_id;
            elsif new_end is null or p_starts_at < new_end then
                insert into billing.subscriptions (org_id, plan_id, starts_at, ends_at)
                values (owner, plan, p_starts_at, new_end)
                returning subscription_id into row_id;
            end if;
            outcome := 'added';
        elsif held.plan_id <> plan and new_state = 'in_force' then
            change_at := greatest(p_as_of, held.starts_at);
            if change_at = held.starts_at then
                update billing.subscriptions as own
                set plan_id = plan, ends_at = new_end
                where own.subscription_id = held.subscription_id;
                row_id := held.subscription_id;
            else
                update billing.subscriptions as own
                set ends_at = change_at
                where own.subscription_id = held.subscription_id;
                insert into billing.subscriptions (org_id, plan_id, starts_at, ends_at)
                values (owner, plan, change_at, new_end)
                returning subscription_id into row_id;
            end if;
            outcome := 'changed';
        else
            row_id := held.subscription_id;
            plan := held.plan_id;
            new_end := case when new_end is not null then greatest(new_end, held.starts_at) end;
            if held.ends_at is distinct from new_end then
                update billing.subscriptions as own
                set ends_at = new_end
                where own.subscription_id = row_id;
                outcome := 'changed';
            end if;
        end if;
    exception
        when exclusion_violation or unique_violation then
            return 'overlap';
    end;
    insert into billing.synced_subscriptions
        (provider, external_id, org_id, plan_id, subscription_id, state, status, as_of)
    values (p_provider, p_external, owner, plan,
        coalesce(row_id, known.subscription_id),
        new_state, p_status, p_as_of)
    on conflict (provider, external_id) do update
    set plan_id = excluded.plan_id, subscription_id = excluded.subscription_id, state = excluded.state,
        status = excluded.status, as_of = excluded.as_of, synced_at = now();
    if p_provider = 'stripe' then
        update billing.orgs as org
        set stripe_subscription_id = case when new_state = 'in_force' then p_external end
        where org.org_id = owner
            and case
                when new_state = 'in_force' then org.stripe_subscription_id is distinct from p_external
                    and not exists (
                        select from billing.synced_subscriptions as other
                        where other.provider = 'stripe' and other.org_id = owner
                            and other.external_id = org.stripe_subscription_id
                            and other.state = 'in_force')
                else org.stripe_subscription_id = p_external
            end;
    end if;
    return outcome;
end
$$;
comment on function billing.sync_subscription(text, text, text, text, jsonb, text, text, timestamptz, timestamptz, timestamptz) is
    'Takes over what Stripe or Dodo says of a subscription as of an instant: the org''s customer id, the row of billing.subscriptions (a change of plan ends one and begins another), its end. Returns added, changed, same; stale (older than what is known); or why it was not taken over: no_org, two_orgs, other_customer, other_org, no_plan, overlap.';

do $$
begin
    revoke all on billing.plan_links, billing.synced_subscriptions, billing.webhook_events from public;
    revoke all on function billing.sync_org(text, text, text), billing.sync_subscription(
        text, text, text, text, jsonb, text, text, timestamptz, timestamptz, timestamptz) from public;
    grant select, insert, update, delete on billing.plan_links to billing_close;
    grant select, insert, update on billing.synced_subscriptions, billing.webhook_events to billing_close;
    grant select on billing.plan_links, billing.synced_subscriptions, billing.webhook_events
    to billing_finance;
    grant execute on function billing.sync_org(text, text, text), billing.sync_subscription(
        text, text, text, text, jsonb, text, text, timestamptz, timestamptz, timestamptz)
    to billing_close;
end
$$;
