-- The seat book.
\set ECHO none
begin;
select plan(61);
\ir fixture.psql

create function pg_temp.book(p_org text) returns text language sql as
    $$ select concat_ws(' ', total, used, available, pending, overage) from billing.seat_allocation(p_org) $$;
select is(pg_temp.book('acme'), '3 0 3 0 0', 'an empty book');
select lives_ok($$ select billing.assign_seat('acme', 'ann', 'owner') $$, 'a seat');
select is(pg_temp.book('acme'), '3 1 2 0 0', 'is used');
create function pg_temp.cached(p_org text) returns numeric language sql as
    $$ select count::numeric from billing.usage_cache where org_id = p_org and metric = 'seats' $$;
create function pg_temp.told(p_org text) returns numeric language sql as
    $$ select count from billing.get_usage(p_org) where metric = 'seats' $$;
select is(pg_temp.cached('acme'), 1::numeric, 'is in the cache');
select is(pg_temp.told('acme'), 1::numeric, 'is told');
select throws_ok($$ select billing.assign_seat('acme', 'ann', 'viewer') $$, '23505', null, 'an active one is refused');
select throws_ok($$ select billing.assign_seat('acme', 'bob', 'king') $$, '22023', null, 'an unknown role too');
select is(billing.authorize('acme', 'ann', 'delete'), true, 'an owner may delete');
select is(billing.revoke_seat('acme', 'ann', 'left'), true, 'it is revoked');
select results_eq($$ select status, revoke_reason from billing.user_seats $$,
    $$ values ('revoked', 'left') $$, 'with the reason');
select is(billing.authorize('acme', 'ann', 'read'), false, 'a revoked seat permits nothing');
select throws_ok($$ select billing.revoke_seat('acme', 'ann') $$, '55000', null, 'it is not revoked again');
select lives_ok($$ select billing.assign_seat('acme', 'ann', 'viewer') $$, 'a revoked seat is reactivated');
select is((select count(*) from billing.seat_intervals where user_id = 'ann' and assigned_at < coalesce(revoked_at, 'infinity')),
    2::bigint, 'as a second interval, the first one stands');
select is((select role from billing.seat_intervals where revoked_at is null), 'viewer', 'in its new role');
select is(billing.authorize('acme', 'ann', 'read'), true, 'a viewer may read');
select is(billing.authorize('acme', 'ann', 'write'), false, 'and not write');
select is(billing.authorize('beta', 'ann', 'read'), false, 'nor in another org');

-- Expiry.
select throws_ok($$ select billing.assign_seat('acme', 'eve', 'member', now() - interval '1 hour') $$, '22008', null,
    'a seat does not expire in the past');
select lives_ok($$ select billing.assign_seat('acme', 'eve', 'member', clock_timestamp() + interval '1 day') $$, 'one that expires');
select is((select revoked_at from billing.seat_intervals where user_id = 'eve'),
    (select expires_at from billing.user_seats where user_id = 'eve')::billing.instant, 'ends by itself for the close');
update billing.user_seats set expires_at = assigned_at where user_id = 'eve';
select is(pg_temp.book('acme'), '3 1 2 0 0', 'an expired seat is free');
select is(pg_temp.told('acme'), 1::numeric, 'and told no more');
select is(pg_temp.cached('acme'), 2::numeric, 'though it left the cache as it was');
select is(billing.authorize('acme', 'eve', 'read'), false, 'and permits nothing');
select lives_ok($$ select billing.assign_seat('acme', 'eve') $$, 'and can be given again');
select is(pg_temp.cached('acme'), 2::numeric, 'to the cache, too');
select is(billing.reset_usage(to_char(now(), 'YYYY-MM')), 0::bigint, 'seats are not reset');

-- Invitations.
create temporary table sent as select * from billing.invite_seat('acme', 'Bob@example.com', 'admin');
select is(pg_temp.book('acme'), '3 2 0 1 0', 'an invitation holds a seat');
select throws_ok($$ select * from billing.invite_seat('acme', 'bob@EXAMPLE.com') $$, '23505', null, 'one per address');
select throws_ok($$ select * from billing.invite_seat('acme', 'no address') $$, '22023', null, 'to an address');
select is((select count(*) from billing.seat_invitations where token_digest = sha256(convert_to((select token from sent), 'UTF8'))),
    1::bigint, 'the token is kept as a digest');
update billing.seat_invitations set expires_at = now() - interval '1 second';
select is(pg_temp.book('acme'), '3 2 1 0 0', 'an expired one holds none');
select throws_ok($$ select * from billing.accept_invitation((select token from sent), 'bob') $$, '55000', null,
    'and is not accepted');
create temporary table resent as
    select * from billing.resend_invitation('acme', (select invitation_id from sent));
select ok((select expires_at > clock_timestamp() + interval '6 days 23 hours' from resent), 'sent again it has seven days');
select is((select resent_count from billing.seat_invitations), 1, 'which is counted');
select throws_ok($$ select * from billing.accept_invitation((select token from sent), 'bob') $$, '02000', null,
    'the old token is void');
select results_eq($$ select org_id, 'seat' from billing.accept_invitation((select token from resent), 'bob') where seat_id > 0 $$,
    $$ values ('acme', 'seat') $$, 'the new one gives the seat');
select is((select status || ' ' || accepted_by from billing.seat_invitations), 'accepted bob', 'it is accepted');
select is((select role from billing.user_seats where user_id = 'bob'), 'admin', 'in the role it was for');
select throws_ok($$ select * from billing.accept_invitation((select token from resent), 'bobby') $$, '55000', null, 'once');
select throws_ok($$ select * from billing.accept_invitation('guess', 'bob') $$, '02000', null, 'a guess finds nothing');

-- Above the plan: overage is allowed on one plan, up to the hard limit, and not on the other.
select is(pg_temp.book('acme'), '3 3 0 0 0', 'the plan is full');
select results_eq($$ select * from billing.can_assign_seat('acme') $$, $$ values (true, false, 12.50) $$, 'one more costs');
select lives_ok($$ select billing.assign_seat('acme', 'cid') $$, 'and is given');
select is(pg_temp.book('acme'), '3 4 0 0 1', 'above the plan');
select lives_ok($$ select billing.assign_seat('acme', 'dan') $$, 'a fifth');
select throws_ok($$ select billing.assign_seat('acme', 'fay') $$, '55000', 'org acme has no seat left (hard_limit)', 'the hard limit holds');
select lives_ok($$ select billing.assign_seat('beta', 'ann') $$, 'the other org');
create temporary table held as select * from billing.invite_seat('beta', 'b@example.com');
select throws_ok($$ select billing.assign_seat('beta', 'cid') $$, '55000', 'org beta has no seat left (plan_limit)',
    'a held seat is not given to another');
select results_eq($$ select * from billing.can_assign_seat('beta') $$, $$ values (false, true, 0::numeric) $$, 'an upgrade is needed');
select is(billing.cancel_invitation('beta', (select invitation_id from held), 'mistake'), true, 'the invitation is cancelled');
select is((select cancel_reason from billing.seat_invitations where org_id = 'beta'), 'mistake', 'with the reason');
select lives_ok($$ select billing.assign_seat('beta', 'cid') $$, 'and its seat is free');

-- What a file says: repeated and overlapping intervals come back as they were.
create temporary table file (seat bigint, user_id text, role text, assigned_at timestamptz, revoked_at timestamptz);
insert into file values
    (nextval('billing.seat_ids'), 'zoe', 'member', '2024-02-01', '2024-02-10'),
    (nextval('billing.seat_ids'), 'zoe', 'member', '2024-02-01', '2024-02-10'),
    (nextval('billing.seat_ids'), 'zoe', 'admin', '2024-02-05', null),
    (nextval('billing.seat_ids'), 'zoe', null, '2024-02-07', '2024-02-07');
insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at, role)
select 'paused', seat, 'assigned'::billing.seat_event_kind, user_id, assigned_at, role from file
union all
select 'paused', seat, 'revoked', user_id, revoked_at, null from file where revoked_at is not null;
select bag_eq($$ select user_id::text, role, assigned_at::timestamptz, revoked_at::timestamptz
    from billing.seat_intervals where org_id = 'paused' $$,
    'select user_id, role, assigned_at, revoked_at from file', 'the intervals of a file come back');
select is(billing.rebuild_user_seats('paused'), 1::bigint, 'the present seats are made from them');
select results_eq($$ select role, status from billing.user_seats where org_id = 'paused' $$,
    $$ values ('admin', 'active') $$, 'and the present seat is the one that is open');
select is(pg_temp.cached('paused'), 1::numeric, 'which the cache has');
select is(billing.revoke_seat('paused', 'zoe'), true, 'a revoked one');
select is(pg_temp.cached('paused'), 0::numeric, 'it has no more');
select is_empty('select * from billing.usage_drift()', 'and the ledger agrees');
select * from finish();
rollback;
