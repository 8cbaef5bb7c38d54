-- Functions of the seat book. Each that gives or holds a seat first locks the book of the org, so
-- that of two sessions racing for the last seat one gets it and the other is refused.

create function billing.lock_seat_book(p_org text) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    -- A write and not only a lock: under repeatable read too, the one that waited must not go on
    -- counting seats in a snapshot from before.
    update billing.orgs set status = status where org_id = p_org
$$;
comment on function billing.lock_seat_book(text) is
    'Until the transaction ends, nobody else assigns or holds a seat of this org.';

create function billing.seat_allocation(
    p_org text,
    out total numeric, out used numeric, out available numeric, out pending numeric, out overage numeric
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select
        trim_scale(seats.total),
        seats.used,
        trim_scale(greatest(seats.total - seats.used - seats.pending, 0)),
        seats.pending,
        trim_scale(greatest(seats.used - seats.total, 0))
    from (
        select
            coalesce((select usage_limit from billing.metric_state(p_org, 'seats')), 0) as total,
            billing.used_seats(p_org) as used,
            billing.pending_invitations(p_org) as pending
    ) as seats
$$;
comment on function billing.seat_allocation(text) is
    'Seats of an org: those of its plan (total), with an active user (used), held by invitations that are pending and not expired, free, and above the plan (overage).';

create function billing.can_assign_seat(
    p_org text, out allowed boolean, out requires_upgrade boolean, out overage_fee numeric
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select judged.allowed, not judged.allowed, judged.fee
    from billing.judge_more(p_org, 'seats', 1, billing.pending_invitations(p_org)) as judged
$$;
comment on function billing.can_assign_seat(text) is
    'Whether one more seat may be assigned; if not, a larger plan is needed; if so, what it adds to this period''s overage at most, before any cap.';

create function billing.require_role(p_role text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from billing.role_permissions where role = p_role) then
        raise exception '% is no role', p_role using errcode = '22023',
            hint = 'owner, admin, member or viewer';
    end if;
end
$$;
comment on function billing.require_role(text) is 'Refuses a role that permits nothing.';

create function billing.require_seat(p_org text, p_held numeric) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    judged record;
begin
    select * into judged from billing.judge_more(p_org, 'seats', 1, p_held);
    if not judged.allowed then
        raise exception 'org % has no seat left (%)', p_org, judged.reason using errcode = '55000',
            hint = 'revoke a seat, cancel an invitation, or take a larger plan';
    end if;
end
$$;
comment on function billing.require_seat(text, numeric) is
    'Refuses when there is no seat left beside those held, and no overage allowed.';

create function billing.give_seat(
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
    return seat;
end
$$;
comment on function billing.give_seat(text, text, text, timestamptz, text) is
    'Writes a seat into the book, the user''s old one becoming history. The callers have checked that there is one.';

create function billing.assign_seat(
    p_org text, p_user text, p_role text default 'member', p_expires_at timestamptz default null,
    p_reason text default null
) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform billing.require_writer(p_org);
    perform billing.require_role(p_role);
    perform billing.lock_seat_book(p_org);
    if billing.used_seat_of(p_org, p_user) then
        raise exception 'user % has an active seat of org % already', p_user, p_org
            using errcode = '23505';
    end if;
    perform billing.require_seat(p_org, billing.pending_invitations(p_org));
    return billing.give_seat(p_org, p_user, p_role, p_expires_at, p_reason);
end
$$;
comment on function billing.assign_seat(text, text, text, timestamptz, text) is
    'Gives a user a seat, for ever or until it expires, and returns its number. A user whose seat was revoked or has expired gets a new one; one with an active seat is refused; so is one more than the plan has, unless overage is allowed.';

create function billing.used_seat_of(p_org text, p_user text) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select
        from billing.user_seats
        where org_id = p_org
            and user_id = p_user
            and status = 'active'
            and (expires_at is null or expires_at > clock_timestamp())
    )
$$;
comment on function billing.used_seat_of(text, text) is 'Whether a user has an active seat of an org.';

create function billing.revoke_seat(p_org text, p_user text, p_reason text default null) returns boolean
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
    return true;
end
$$;
comment on function billing.revoke_seat(text, text, text) is
    'Ends a user''s seat, now. It stays in the history and is billed for the time it was active.';

create function billing.new_token() returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
$$;
comment on function billing.new_token() is 'Token of an invitation: 244 random bits in hex.';

create function billing.invite_seat(
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
comment on function billing.invite_seat(text, text, text) is
    'Holds a seat for whoever has the token, until it expires; returns the token once. Refused like assign_seat, and when that address has an open invitation.';

create function billing.open_invitation(p_org text, p_invitation text)
returns billing.seat_invitations
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    invitation billing.seat_invitations;
begin
    select * into invitation
    from billing.seat_invitations
    where org_id = p_org and invitation_id = p_invitation
    for update;
    if not found then
        raise exception 'invitation % of org % is not there', p_invitation, p_org using errcode = '02000';
    end if;
    if invitation.status is distinct from 'pending' then
        raise exception 'invitation % of org % is %', p_invitation, p_org,
            coalesce(invitation.status, 'not pending') using errcode = '55000';
    end if;
    return invitation;
end
$$;
comment on function billing.open_invitation(text, text) is
    'Locks an invitation and returns it, if it is still pending (expired or not).';

create function billing.resend_invitation(
    p_org text, p_invitation text, out token text, out expires_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    invitation billing.seat_invitations;
    at timestamptz;
begin
    perform billing.require_writer(p_org);
    perform billing.lock_seat_book(p_org);
    invitation := billing.open_invitation(p_org, p_invitation);
    at := clock_timestamp();
    if invitation.expires_at <= at then
        perform billing.require_seat(p_org, billing.pending_invitations(p_org));
    end if;
    resend_invitation.token := billing.new_token();
    resend_invitation.expires_at := greatest(invitation.expires_at, at) + interval '7 days';
    update billing.seat_invitations as own
    set expires_at = resend_invitation.expires_at,
        resent_count = own.resent_count + 1,
        last_sent_at = at,
        token_digest = sha256(convert_to(resend_invitation.token, 'UTF8'))
    where own.invitation_id = p_invitation;
end
$$;
comment on function billing.resend_invitation(text, text) is
    'A new token, and seven days more; the old token is void. Counted. One that has expired needs a free seat again.';

create function billing.cancel_invitation(p_org text, p_invitation text, p_reason text default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform billing.require_writer(p_org);
    perform billing.lock_seat_book(p_org);
    perform billing.open_invitation(p_org, p_invitation);
    update billing.seat_invitations
    set status = 'cancelled', cancelled_at = clock_timestamp(), cancel_reason = p_reason
    where invitation_id = p_invitation;
    return true;
end
$$;
comment on function billing.cancel_invitation(text, text, text) is
    'Takes an open invitation back; its seat is free again.';

create function billing.accept_invitation(
    p_token text, p_user text, out org_id text, out seat_id bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    digest bytea := sha256(convert_to(p_token, 'UTF8'));
    invitation billing.seat_invitations;
begin
    select * into invitation from billing.seat_invitations where token_digest = digest;
    if not found or billing.current_org() <> invitation.org_id then
        raise exception 'there is no such invitation' using errcode = '02000';
    end if;
    if (select status <> 'active' from billing.orgs as org where org.org_id = invitation.org_id)
        and not billing.is_job() then
        raise exception 'org % is not active: nobody can join it', invitation.org_id
            using errcode = '55000';
    end if;
    perform billing.lock_seat_book(invitation.org_id);
    invitation := billing.open_invitation(invitation.org_id, invitation.invitation_id);
    if invitation.token_digest <> digest then
        raise exception 'there is no such invitation' using errcode = '02000';
    end if;
    if invitation.expires_at <= clock_timestamp() then
        raise exception 'the invitation expired at %', invitation.expires_at using errcode = '55000',
            hint = 'ask for it to be sent again';
    end if;
    -- Its own seat is held; what other invitations hold is not counted against it.
    perform billing.require_seat(invitation.org_id, 0);
    accept_invitation.org_id := invitation.org_id;
    accept_invitation.seat_id := billing.give_seat(
        invitation.org_id, p_user, coalesce(invitation.role, 'member'), null, 'invitation');
    update billing.seat_invitations as own
    set status = 'accepted', accepted_at = clock_timestamp(), accepted_by = p_user
    where own.invitation_id = invitation.invitation_id;
end
$$;
comment on function billing.accept_invitation(text, text) is
    'Gives the user the seat that an invitation holds: token, expiry and seats are checked, and all is written, in one transaction. The token says which org; a session that has one set can only join that.';

create function billing.rebuild_user_seats(p_org text default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    rebuilt bigint;
begin
    insert into billing.user_seats as seat
        (org_id, user_id, seat_id, role, status, assigned_at, expires_at, revoked_at)
    select distinct on (org_id, user_id)
        org_id, user_id, seat_id, role,
        case when revoked_at <= now() then 'revoked' else 'active' end,
        assigned_at,
        case when revoked_at > now() then revoked_at end,
        case when revoked_at <= now() then revoked_at end
    from billing.seat_intervals
    where p_org is null or org_id = p_org
    order by org_id, user_id, coalesce(revoked_at > now(), true) desc, revoked_at desc nulls first,
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
    return rebuilt;
end
$$;
comment on function billing.rebuild_user_seats(text) is
    'Makes user_seats from seat_events again, for one org or all; returns how many seats changed. After events were loaded.';

create function billing.claim_period(
    p_kind text,
    p_period date,
    p_scope jsonb,
    p_host text,
    p_run_dir text,
    p_version text,
    p_run bigint default null,
    p_started_at timestamptz default null
) returns table (
    run_id bigint, is_own boolean, state text, host text, run_dir text, started_by text, started_at timestamptz
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    own bigint;
    other bigint;
begin
    -- One claim after the other, until the end of this transaction.
    perform pg_advisory_xact_lock(hashtextextended('billing.claim_period', 0));
    -- Its own one, from before: known by number and time (a number may be given again), or left
    -- behind by a run that died in the same place of the same host before it knew.
    select runs.run_id into own
    from billing.close_runs as runs
    where runs.kind = p_kind and runs.period = p_period and runs.scope = p_scope
        and (
            runs.run_id = p_run and runs.started_at = p_started_at and runs.state <> 'abandoned'
            or runs.host = p_host and runs.run_dir = p_run_dir and runs.state in ('running', 'failed')
        )
        -- Runs that share an org record in the order of their numbers: one that gave its claim back
        -- takes its place again only while nobody came after it.
        and (
            runs.state <> 'failed'
            or not exists (select from billing.close_runs as later where later.run_id > runs.run_id)
        )
    order by runs.run_id desc
    limit 1;
    -- What else was left behind there is of a run directory that was moved aside.
    update billing.close_runs as runs
    set state = 'abandoned', ended_at = now(),
        reason = concat_ws('; ', runs.reason, 'its run directory was begun anew')
    where runs.state = 'running' and runs.host = p_host and runs.run_dir = p_run_dir
        and runs.run_id is distinct from own;
    select runs.run_id into other
    from billing.close_runs as runs
    where runs.state = 'running' and runs.period = p_period and runs.run_id is distinct from own
        and (
            runs.scope -> 'orgs' = '"all"' or p_scope -> 'orgs' = '"all"'
            or exists (
                select from jsonb_array_elements_text(runs.scope -> 'orgs') as theirs (org_id)
                where p_scope -> 'orgs' ? theirs.org_id
            )
        )
    order by runs.run_id
    limit 1;
    if other is null and own is null then
        insert into billing.close_runs (run_id, kind, period, scope, host, run_dir, version)
        select coalesce(max(runs.run_id), 0) + 1, p_kind, p_period, p_scope, p_host, p_run_dir, p_version
        from billing.close_runs as runs
        returning close_runs.run_id into own;
    elsif other is null then
        update billing.close_runs as runs
        set state = 'running', ended_at = null
        where runs.run_id = own and runs.state = 'failed';
    end if;
    return query
    select runs.run_id, other is null, runs.state, runs.host, runs.run_dir, runs.started_by,
        runs.started_at::timestamptz
    from billing.close_runs as runs
    where runs.run_id = coalesce(other, own);
end
$$;
comment on function billing.claim_period(text, date, jsonb, text, text, text, bigint, timestamptz) is
    'Claims a period for a run, of all orgs or of some. Returns its row of close_runs, or, with is_own false, that of the run that is in the way.';

create function billing.release_claim(p_run bigint, p_reason text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if coalesce(p_reason, '') = '' then
        raise exception 'releasing the claim of run % needs a reason', p_run using errcode = '22004';
    end if;
    update billing.close_runs
    set state = 'abandoned', ended_at = now(),
        reason = concat_ws('; ', reason, 'claim released by ' || session_user || ': ' || p_reason)
    where run_id = p_run and state in ('running', 'failed');
    if not found then
        raise exception 'run % is not there, or holds no claim', p_run
            using errcode = '55000', hint = 'periodclose claims lists those that do';
    end if;
end
$$;
comment on function billing.release_claim(bigint, text) is
    'Frees the period that a run claimed and will never record: for an operator who knows that it is dead. A run that is alive after all cannot record any more.';
