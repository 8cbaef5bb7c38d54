-- The same migrations, applied and owned by a role that is no superuser: forced row security is on
-- the owner too, and the security definer functions still do their work.
\set ECHO none
begin;
select plan(13);
set role deployer;
\ir fixture.psql
reset role;
select is((select rolsuper from pg_roles where oid = (select relowner from pg_class where oid = 'billing.orgs'::regclass)),
    false, 'the owner is ordinary');
set role billing_app;
select is((select count(*) from billing.orgs), 0::bigint, 'without an org nothing is seen');
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1) $$, '42501', null, 'nor written');
set billing.org_id = 'acme';
select is(billing.increment_usage('acme', 'tokens', 7, null, '2024-02-10 00:00+00', 'k'), true, 'its own usage is written');
select is(billing.increment_usage('acme', 'tokens', 7, null, '2024-02-10 00:00+00', 'k'), false, 'once');
select is((select count from billing.get_usage('acme')), 7::numeric, 'and read');
select lives_ok($$ select billing.assign_seat('acme', 'ann', 'owner') $$, 'a seat');
create temporary table sent as select * from billing.invite_seat('acme', 'b@example.com');
set billing.org_id = 'beta';
select throws_ok($$ select * from billing.accept_invitation((select token from sent), 'bob') $$, '02000', null,
    'an invitation of another org is not there');
set billing.org_id = '';
select is((select org_id from billing.accept_invitation((select token from sent), 'bob')), 'acme', 'the token says which org');
reset role;
set role deployer;
select is((select count(*) from billing.orgs), 3::bigint, 'the owner without an org maintains all');
set billing.org_id = 'acme';
select is((select count(*) from billing.orgs), 1::bigint, 'but as an application it is isolated');
reset role;
set billing.org_id = '';
set role billing_close;
select is(billing.increment_usage('beta', 'tokens', 3), true, 'the job writes for any org');
select is((select string_agg(org_id || ' ' || metric, ', ' order by org_id, metric) from billing.usage_ledger), 'acme seats, acme seats, acme tokens, beta tokens', 'and reads all');
reset role;
select * from finish();
rollback;
