-- Seats: who had one when (append-only), who has one now, and who was invited.
--
-- A seat is one assignment: it has a number, one event when it was assigned, and at most one when it
-- was revoked. A user who comes back gets a new seat, so nothing of the old one is lost; a user may
-- also have several at once (files say so), and counts once.

create sequence billing.seat_ids;
comment on sequence billing.seat_ids is 'Numbers of seats, given when they are assigned.';

create type billing.seat_event_kind as enum ('assigned', 'revoked');
comment on type billing.seat_event_kind is 'What happened to a seat.';

create table billing.seat_events (
    org_id billing.id not null references billing.orgs,
    seat_id bigint not null,
    kind billing.seat_event_kind not null,
    user_id billing.id not null,
    occurred_at billing.instant not null,
    role text,
    expires_at billing.instant,
    reason text,
    recorded_at billing.instant not null default now(),
    recorded_xid xid8 not null default pg_current_xact_id(),
    primary key (org_id, seat_id, kind),
    constraint seat_events_expire_after_assigned
        check (expires_at is null or (kind = 'assigned' and expires_at >= occurred_at))
);
comment on table billing.seat_events is
    'Seats assigned and revoked. Append-only; a close reads its intervals from here (billing.seat_intervals).';
comment on column billing.seat_events.seat_id is
    'Number of the seat (billing.seat_ids): pairs the event that ends it with the one that began it.';
comment on column billing.seat_events.expires_at is
    'When an assigned seat ends by itself, if it does and nobody revokes it before.';

create index seat_events_user on billing.seat_events (org_id, user_id);
comment on index billing.seat_events_user is 'What a user''s seats are made from again, one user at a time.';

create trigger append_only before update or delete on billing.seat_events
for each row execute function billing.refuse_change();
create trigger append_only_truncate before truncate on billing.seat_events
for each statement execute function billing.refuse_change();

create function billing.check_seat_event() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    assigned billing.seat_events;
begin
    select * into assigned
    from billing.seat_events
    where org_id = new.org_id and seat_id = new.seat_id and kind = 'assigned';
    if not found then
        raise exception 'seat % of org % is revoked, but was never assigned', new.seat_id, new.org_id
            using errcode = '23514';
    end if;
    if assigned.user_id <> new.user_id then
        raise exception 'seat % of org % is not the one of user %', new.seat_id, new.org_id, new.user_id
            using errcode = '23514';
    end if;
    if new.occurred_at < assigned.occurred_at then
        raise exception 'seat of user % of org % is revoked before it was assigned',
            new.user_id, new.org_id using errcode = '23514';
    end if;
    return null;
end
$$;
comment on function billing.check_seat_event() is
    'A seat is revoked after it was assigned, and from the same user.';

create constraint trigger check_seat_event
after insert on billing.seat_events
deferrable initially immediate
for each row when (new.kind = 'revoked')
execute function billing.check_seat_event();

create view billing.seat_intervals with (security_invoker = true) as
select
    assigned.org_id,
    assigned.user_id,
    assigned.role,
    assigned.occurred_at as assigned_at,
    least(revoked.occurred_at, assigned.expires_at)::billing.instant as revoked_at,
    assigned.seat_id
from billing.seat_events as assigned
left join billing.seat_events as revoked
    on revoked.org_id = assigned.org_id
    and revoked.seat_id = assigned.seat_id
    and revoked.kind = 'revoked'
where assigned.kind = 'assigned';
comment on view billing.seat_intervals is
    'Every seat as the half-open interval [assigned_at, revoked_at) in which it was active; null is open. What seats.csv holds.';

create table billing.user_seats (
    org_id billing.id not null references billing.orgs,
    user_id billing.id not null,
    seat_id bigint not null,
    role text,
    status text not null check (status in ('active', 'revoked')),
    assigned_at billing.instant not null,
    expires_at billing.instant,
    revoked_at billing.instant,
    revoke_reason text,
    primary key (org_id, user_id),
    constraint user_seats_revoked_when check ((status = 'revoked') = (revoked_at is not null)),
    constraint user_seats_revoked_after_assigned check (revoked_at >= assigned_at)
);
comment on table billing.user_seats is
    'The latest seat of every user, made from seat_events. One that has expired is still called active here, and counts nowhere.';

create table billing.seat_invitations (
    invitation_id billing.id primary key,
    org_id billing.id not null references billing.orgs,
    email text,
    role text,
    status text,
    created_at billing.instant not null default now(),
    expires_at billing.instant,
    accepted_at billing.instant,
    accepted_by billing.id,
    cancelled_at billing.instant,
    cancel_reason text,
    resent_count integer not null default 0 check (resent_count >= 0),
    last_sent_at billing.instant,
    token_digest bytea unique check (octet_length(token_digest) = 32)
);
comment on table billing.seat_invitations is
    'Invitations to a seat. One counts as pending while its status is pending and it has not expired.';
comment on column billing.seat_invitations.status is
    'pending, accepted or cancelled where written here; what a dataset folder says is kept as it is.';
comment on column billing.seat_invitations.token_digest is
    'SHA-256 of the token that was sent. The token itself is returned once, and kept nowhere.';

create index seat_invitations_pending on billing.seat_invitations (org_id) where status = 'pending';
comment on index billing.seat_invitations_pending is 'Counted whenever a seat is assigned or invited to.';
create unique index seat_invitations_email
    on billing.seat_invitations (org_id, lower(email)) where status = 'pending' and token_digest is not null;
comment on index billing.seat_invitations_email is 'One open invitation an address and org.';
