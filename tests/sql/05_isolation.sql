-- Who sees and writes what: every policy from the side of each role.
\set ECHO none
begin;
select plan(78);
\ir fixture.psql
insert into billing.close_runs (run_id, period) values (1, '2024-02-01');
do $$
begin
    perform billing.increment_usage(org, 'tokens', 5, 'x', '2024-02-10 00:00+00', 'k') from unnest(array['acme', 'beta']) as org;
    perform billing.assign_seat(org, 'ann', 'owner') from unnest(array['acme', 'beta']) as org;
    perform billing.invite_seat(org, 'b@example.com') from unnest(array['acme', 'beta']) as org;
end $$;
insert into billing.org_limits values ('acme', 'tokens', 7, null), ('beta', 'tokens', 7, null);
insert into billing.org_settings values ('acme', 'feature.api', 'false'), ('beta', 'feature.api', 'false');
insert into billing.org_periods (org_id, period) values ('acme', '2024-02-01'), ('beta', '2024-02-01');
insert into billing.org_billing_usage_monthly (org_id, metric, period, usage)
    values ('acme', 'tokens', '2024-02-01', 5), ('beta', 'tokens', '2024-02-01', 5);
insert into billing.usage_alerts (org_id, metric, period, threshold, usage, usage_limit)
    values ('acme', 'tokens', '2024-02-01', 0.8, 5, 6), ('beta', 'tokens', '2024-02-01', 0.8, 5, 6);
insert into billing.org_billing_overages (org_id, metric_type, period, revision, billing_period_start,
    billing_period_end, plan_id, currency, usage, usage_limit, amount, model, exact_cost, uncapped_cost, cost,
    billed, run_id, item_status)
select org, 'tokens', '2024-02-01', 1, '2024-02-01', '2024-03-01', 'starter', 'usd', 5, 3, 2, 'per_unit', 2, 2, 2, 2,
    1, 'recorded'
from unnest(array['acme', 'beta']) as org;

-- The rules of the house, over all tables there are, also those that later migrations add.
select is_empty($$
    select class.relname
    from pg_class as class
    join pg_attribute as attribute on attribute.attrelid = class.oid
    where class.relnamespace = 'billing'::regnamespace and class.relkind in ('r', 'p')
        and attribute.attname = 'org_id' and not attribute.attisdropped
        and not (class.relrowsecurity and class.relforcerowsecurity) $$,
    'row security is forced on every table with an org, partitions too');
select is_empty($$
    select class.relname
    from pg_class as class
    join pg_attribute as attribute on attribute.attrelid = class.oid
    where class.relnamespace = 'billing'::regnamespace and class.relkind in ('r', 'p') and not class.relispartition
        and attribute.attname = 'org_id'
        and (select count(*) from pg_policy where polrelid = class.oid
            and polname in ('own_org', 'job_works', 'finance_reads', 'owner_without_org')) <> 4 $$,
    'and has its four policies');
select is_empty($$
    select class.relname, role.rolname
    from pg_class as class
    cross join pg_roles as role
    where class.relnamespace = 'billing'::regnamespace and class.relkind in ('r', 'p') and class.relispartition
        and role.rolname in ('billing_app', 'billing_close', 'billing_finance')
        and has_table_privilege(role.oid, class.oid, 'select, insert, update, delete, truncate') $$,
    'nobody has a right on a partition');
select is_empty($$
    select class.relname
    from pg_class as class
    where class.relnamespace = 'billing'::regnamespace and class.relkind in ('r', 'p', 'v')
        and (has_table_privilege('billing_app', class.oid, 'insert, update, delete, truncate')
            or has_any_column_privilege('billing_app', class.oid, 'insert, update')
            or has_table_privilege('billing_finance', class.oid, 'insert, update, delete, truncate')) $$,
    'neither application nor finance writes a table');
select is_empty($$
    select proname
    from pg_proc
    where pronamespace = 'billing'::regnamespace and prosecdef
        and not coalesce(proconfig @> array['search_path=pg_catalog, pg_temp'], false) $$,
    'every security definer function has its search path pinned');
select bag_eq($$ select proname::text from pg_proc where pronamespace = 'billing'::regnamespace and prosecdef $$,
    array['accept_invitation', 'acknowledge_alerts', 'assign_seat', 'cancel_invitation', 'ensure_ledger_partition', 'increment_usage',
        'invite_seat', 'resend_invitation', 'revoke_seat', 'set_usage'],
    'security definer are the writers of the ledgers, and nothing else');
select is_empty($$
    select proname from pg_proc as p
    where pronamespace = 'billing'::regnamespace and has_function_privilege('public', oid, 'execute')
        and not exists (select from pg_depend where objid = p.oid and deptype = 'e') $$,
    'no function is open to everybody');
select is((select rolbypassrls from pg_roles where rolname = 'billing_close'), true, 'the job bypasses row security');
select is((select count(*) from pg_roles where rolname ~ '^billing_' and rolcanlogin), 0::bigint, 'nobody logs in as a role');

-- The application.
create function pg_temp.count_of(p_table text) returns bigint language plpgsql as $$
declare found bigint;
begin
    execute 'select count(org_id) from billing.' || p_table into found;
    return found;
end $$;
create temporary table tenant_tables as select unnest(array['orgs', 'subscriptions', 'org_limits', 'org_settings',
    'usage_ledger', 'usage_cache', 'seat_events', 'seat_intervals', 'user_seats', 'seat_invitations',
    'org_periods', 'org_billing_usage_monthly', 'org_billing_usage_classic', 'org_billing_overages',
    'usage_alerts']) as name;
grant select on tenant_tables to public;
set role billing_app;
select is(pg_temp.count_of(name), 0::bigint, 'an application without an org sees nothing of ' || name) from tenant_tables;
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1) $$, '42501', 'this session has no org', 'and writes nothing');
select throws_ok($$ select billing.set_usage('acme', 'widgets', 1) $$, '42501', null, 'no level');
select throws_ok($$ select billing.assign_seat('acme', 'bob') $$, '42501', null, 'no seat');
select throws_ok($$ select billing.revoke_seat('acme', 'ann') $$, '42501', null, 'no revocation');
select throws_ok($$ select billing.invite_seat('acme', 'c@example.com') $$, '42501', null, 'no invitation');
set billing.org_id = 'acme';
-- Of usage there are two: of tokens, and of the seat.
select is(pg_temp.count_of(name), case when name ~ '^usage_(ledger|cache)' then 2::bigint else 1 end,
    'with an org it sees its own of ' || name)
from tenant_tables;
select is((select count(*) from billing.get_usage('beta')), 0::bigint, 'not by a function either');
select is((select reason from billing.check_entitlement('beta', 'use_tokens')), 'unknown_org', 'another org is unknown');
select is(billing.authorize('beta', 'ann', 'read'), false, 'and authorizes nobody');
select throws_ok($$ select billing.increment_usage('beta', 'tokens', 1) $$, '42501', 'org beta is not the org of this session', 'no usage of another');
select throws_ok($$ select billing.set_usage('beta', 'widgets', 1) $$, '42501', null, 'no level of another');
select throws_ok($$ select billing.assign_seat('beta', 'bob') $$, '42501', null, 'no seat of another');
select throws_ok($$ select billing.revoke_seat('beta', 'ann') $$, '42501', null, 'no revocation of another');
select throws_ok($$ select billing.invite_seat('beta', 'c@example.com') $$, '42501', null, 'no invitation of another');
select throws_ok($$ select billing.resend_invitation('beta', 'x') $$, '42501', null, 'sent again');
select throws_ok($$ select billing.cancel_invitation('beta', 'x') $$, '42501', null, 'or cancelled');
select lives_ok($$ select billing.increment_usage('acme', 'tokens', 1) $$, 'its own usage');
select throws_ok($$ insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity) values (now(), 'delta', 'acme', 'tokens', 1) $$,
    '42501', null, 'not past the functions');
select throws_ok($$ update billing.usage_cache set count = 0 $$, '42501', null, 'nor the cache');
select throws_ok($$ update billing.orgs set overage_cap = 0 $$, '42501', null, 'nor its own terms');
select throws_ok($$ select count(*) from billing.usage_ledger_2024_02 $$, '42501', null, 'a partition is not read directly');
select throws_ok($$ insert into billing.usage_ledger_2024_02 (occurred_at, kind, org_id, metric, quantity) values ('2024-02-10', 'delta', 'beta', 'tokens', 1) $$,
    '42501', null, 'nor written');
select throws_ok($$ select token_digest from billing.seat_invitations $$, '42501', null, 'digests of tokens are not seen');
select throws_ok($$ select * from billing.usage_keys $$, '42501', null, 'nor keys');
select throws_ok($$ select * from billing.close_runs $$, '42501', null, 'nor runs');
select throws_ok($$ select billing.reset_usage('2024-02') $$, '42501', null, 'it does not reset usage');
select throws_ok($$ select billing.ensure_ledger_partition(now()) $$, '42501', null, 'nor makes partitions');
set billing.org_id = 'paused';
select throws_ok($$ select billing.increment_usage('paused', 'tokens', 1) $$, '55000', 'org paused is suspended: nothing can be written for it',
    'a suspended tenant''s application writes nothing');
select throws_ok($$ select billing.assign_seat('paused', 'ann') $$, '55000', null, 'no seat');
reset role;

-- The job.
set billing.org_id = '';
set role billing_close;
select is(pg_temp.count_of('orgs'), 3::bigint, 'the job sees all orgs');
select lives_ok($$ select billing.increment_usage('paused', 'tokens', 1) $$, 'writes for a suspended one too');
select lives_ok($$ update billing.org_billing_overages set item_status = 'sent', stripe_invoice_item_id = 'ii_1' where org_id = 'acme' $$, 'says what became of an item');
select throws_ok($$ update billing.org_billing_overages set cost = 1, billed = 1 where org_id = 'acme' $$, '42501', null, 'but a record stays');
reset role;

-- A member of the job's role: bypassrls is not inherited, the policy is.
create role billing_test_closer in role billing_close;
set role billing_test_closer;
select is(pg_temp.count_of('orgs'), 3::bigint, 'a member of the job''s role sees all orgs');
select lives_ok($$ select billing.increment_usage('beta', 'tokens', 1) $$, 'and writes for them');
reset role;

-- Finance.
set role billing_finance;
select is(pg_temp.count_of('orgs') + pg_temp.count_of('org_billing_overages'), 5::bigint, 'finance reads all');
select throws_ok($$ update billing.orgs set name = 'x' $$, '42501', null, 'and changes nothing');
select throws_ok($$ delete from billing.usage_cache $$, '42501', null, 'nothing');
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1) $$, '42501', null, 'nor by a function');
select throws_ok($$ select count(*) from billing.usage_ledger_2024_02 $$, '42501', null, 'and asks no partition');
reset role;
select * from finish();
rollback;
