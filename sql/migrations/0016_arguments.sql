-- What is wrong with an argument, or with a setting, is said in words, and before anything is written.

create function billing.check_arguments(
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
comment on function billing.check_arguments(text, numeric, timestamptz, text, text, text) is
    'Refuses, in words, what the tables would refuse of an event.';

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
    at timestamptz := coalesce(p_occurred_at, now());
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
    perform billing.note_alerts(p_org, 'seats');
    return seat;
end
$$;

create or replace function billing.invite_seat(
    p_org text, p_email text, p_role text default 'member',
    out invitation_id text, out token text, out expires_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    perform billing.require_writer(p_org);
    perform billing.require_role(p_role);
    if p_email is null or p_email !~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$' then
        raise exception '% is no e-mail address', p_email using errcode = '22023';
    end if;
    if billing.settings(p_org) -> 'feature.invitations' = 'false' then
        raise exception 'org % does not invite users', p_org using errcode = '55000',
            hint = 'its setting feature.invitations is off';
    end if;
    perform billing.lock_seat_book(p_org);
    update billing.seat_invitations as old
    set status = 'expired'
    where old.org_id = p_org
        and lower(old.email) = lower(p_email)
        and old.status = 'pending'
        and old.expires_at <= clock_timestamp();
    if exists (
        select
        from billing.seat_invitations as open
        where open.org_id = p_org
            and lower(open.email) = lower(p_email)
            and open.status = 'pending'
            and open.token_digest is not null
    ) then
        raise exception '% has an open invitation of org %', p_email, p_org using errcode = '23505',
            hint = 'billing.resend_invitation sends it again, billing.cancel_invitation takes it back';
    end if;
    perform billing.require_seat(p_org, billing.pending_invitations(p_org));
    invite_seat.invitation_id := gen_random_uuid();
    invite_seat.token := billing.new_token();
    invite_seat.expires_at := clock_timestamp()
        + make_interval(days => (billing.settings(p_org) ->> 'invitation.days_valid')::integer);
    insert into billing.seat_invitations
        (invitation_id, org_id, email, role, status, expires_at, last_sent_at, token_digest)
    values (
        invite_seat.invitation_id, p_org, p_email, p_role, 'pending', invite_seat.expires_at,
        clock_timestamp(), sha256(convert_to(invite_seat.token, 'UTF8')));
end
$$;

create or replace function billing.parse_month(p_period text) returns date
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if p_period is null then
        raise exception 'no period is given; write YYYY-MM' using errcode = '22004';
    end if;
    if p_period !~ '^[0-9]{4}-(0[1-9]|1[0-2])(-01)?$' then
        raise exception '% is not a month; write YYYY-MM', p_period using errcode = '22007';
    end if;
    return (left(p_period, 7) || '-01')::date;
end
$$;

-- --- settings ------------------------------------------------------------------------------------

create function billing.check_setting() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    wanted text;
begin
    select jsonb_typeof(value) into wanted from billing.setting_defaults where name = new.name;
    if jsonb_typeof(new.value) <> wanted then
        raise exception 'setting % is %: it must be a % as its default is', new.name, new.value, wanted
            using errcode = '22023';
    end if;
    if new.name = 'invitation.days_valid' and (new.value::numeric not between 1 and 365 or new.value::numeric % 1 <> 0) then
        raise exception 'setting % is %: it must be a number of days from 1 to 365', new.name, new.value
            using errcode = '22023';
    end if;
    if new.name = 'alert.thresholds'
        and cardinality(billing.alert_thresholds(new.value)) <> jsonb_array_length(new.value) then
        raise exception 'setting % is %: it must be a list of parts of a limit, as [0.8, 1]', new.name, new.value
            using errcode = '22023';
    end if;
    return new;
end
$$;
comment on function billing.check_setting() is
    'Refuses a setting that would not be understood where it is read, such as "off" for a switch.';

create trigger check_setting before insert or update on billing.org_settings
for each row execute function billing.check_setting();

do $$
begin
    revoke all on function
        billing.check_arguments(text, numeric, timestamptz, text, text, text), billing.check_setting()
    from public;
    grant execute on function billing.alert_thresholds(jsonb) to billing_app;
end
$$;
call billing.note_migration('0016_arguments.sql', 'f2f0443d36e83df21d347f060ab19e264046a634fe3d6d1c2f01279da69c7053', '15e6e9f96b3e93d1357148a259fb51c03289c5f272861a22e6fa4eabf16abaa7');
