-- Functions about tenants: who calls, for which org, what it has set, which plan it is on, and when
-- its periods begin.

create function billing.current_org() returns text
language sql stable parallel safe
as $$
    select nullif(current_setting('billing.org_id', true), '')
$$;
comment on function billing.current_org() is
    'The org this session works for: what the application has set as billing.org_id. Null: none.';

create function billing.caller() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select case when current_setting('role') = 'none' then session_user::text else current_setting('role') end
$$;
comment on function billing.caller() is
    'The role that calls, also from within a security definer function, where current_user is the owner.';

create function billing.is_job() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select pg_has_role(billing.caller(), 'billing_close', 'member')
$$;
comment on function billing.is_job() is 'Whether the caller is the job (or a superuser), and no application.';

create function billing.require_writer(p_org text, p_needs_active boolean default true) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_status text;
begin
    if p_org is null then
        raise exception 'no org is given' using errcode = '22004';
    end if;
    if billing.current_org() <> p_org then
        raise exception 'org % is not the org of this session', p_org using errcode = '42501';
    end if;
    if billing.current_org() is null and not billing.is_job() then
        raise exception 'this session has no org' using errcode = '42501',
            hint = 'set it for the transaction: select set_config(''billing.org_id'', ''ORG'', true)';
    end if;
    select status into found_status from billing.orgs where org_id = p_org;
    if not found then
        raise exception 'org % is not there', p_org using errcode = '02000';
    end if;
    if p_needs_active and found_status <> 'active' and not billing.is_job() then
        raise exception 'org % is %: nothing can be written for it', p_org, found_status
            using errcode = '55000';
    end if;
end
$$;
comment on function billing.require_writer(text, boolean) is
    'The check of every function that writes with the owner''s rights: the org is the session''s own (or the caller is the job), it is there, and for an application it is active.';

create function billing.authorize(p_org text, p_user text, p_permission text) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select
        from billing.user_seats as seat
        join billing.role_permissions as permitted on permitted.role = seat.role
        where seat.org_id = p_org
            and seat.user_id = p_user
            and seat.status = 'active'
            and (seat.expires_at is null or seat.expires_at > clock_timestamp())
            and permitted.permission = p_permission
    )
$$;
comment on function billing.authorize(text, text, text) is
    'Whether the user''s active seat has a role that permits it: read, write or delete.';

create function billing.settings(p_org text) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_object_agg(defaults.name, coalesce(own.value, defaults.value))
    from billing.setting_defaults as defaults
    left join billing.org_settings as own on own.org_id = p_org and own.name = defaults.name
$$;
comment on function billing.settings(text) is 'All settings of an org: its own over the defaults.';

create function billing.plan_at(p_org text, p_at timestamptz) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select plan_id
    from billing.subscriptions
    where org_id = p_org
        and (starts_at is null or starts_at <= p_at)
        and (ends_at is null or p_at < ends_at)
$$;
comment on function billing.plan_at(text, timestamptz) is
    'The plan an org is subscribed to at an instant, or null. There is never more than one.';

create function billing.local_midnight(p_date date, p_timezone text) returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    midnight timestamp := p_date::timestamp;
    at timestamptz := midnight at time zone p_timezone;
    earlier timestamptz;
    before timestamptz;
    middle timestamptz;
begin
    if at at time zone p_timezone = midnight then
        -- The server takes the later of two midnights.
        before := at - interval '3 hours';
        earlier := at - ((before at time zone p_timezone) - (at at time zone p_timezone) + interval '3 hours');
        if earlier < at and earlier at time zone p_timezone = midnight then
            return earlier;
        end if;
        return at;
    end if;
    -- There is no such midnight: the clock jumped over it, at a second that is found by halving.
    before := at - interval '1 day';
    while at - before > interval '1 second' loop
        middle := date_trunc('second', before + (at - before) / 2);
        if middle <= before then
            exit;
        end if;
        if middle at time zone p_timezone >= midnight then
            at := middle;
        else
            before := middle;
        end if;
    end loop;
    return at;
end
$$;
comment on function billing.local_midnight(date, text) is
    'The first instant of a date in a time zone: a midnight that does not exist is the instant of the jump, a doubled one the earlier, as in the program''s calendar.';

create function billing.period_start(p_month date, p_timezone text, p_anchor_day integer)
returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select billing.local_midnight(
        least(
            date_trunc('month', p_month)::date + p_anchor_day - 1,
            (date_trunc('month', p_month) + interval '1 month - 1 day')::date),
        p_timezone)
$$;
comment on function billing.period_start(date, text, integer) is
    'When the period named by that month begins: on the anchor day, clamped to the month''s end, at local midnight. It ends where the next one begins.';

create function billing.parse_month(p_period text) returns date
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if p_period !~ '^[0-9]{4}-(0[1-9]|1[0-2])(-01)?$' then
        raise exception '% is not a month; write YYYY-MM', p_period using errcode = '22007';
    end if;
    return (left(p_period, 7) || '-01')::date;
end
$$;
comment on function billing.parse_month(text) is 'A period from its name, 2026-10.';
