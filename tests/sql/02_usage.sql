-- Ledger, keys and cache.
\set ECHO none
begin;
select plan(54);
\ir fixture.psql

select is(billing.increment_usage('acme', 'tokens', 1234.5, 'chat', '2024-02-29 23:59:59.999999+00', 'k1'), true,
    'an event is written');
select is(billing.increment_usage('acme', 'tokens', 1234.50, 'again', '2024-02-29 23:59:59.999999+00', 'k1'), false,
    'a retry with equal content is nothing');
select is((select count(*) from billing.usage_ledger), 1::bigint, 'one row');
select results_eq($$ select metric, count from billing.get_usage('acme') $$,
    $$ values ('tokens', 1234.5) $$, 'counted once');
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1235, 'chat', '2024-02-29 23:59:59.999999+00', 'k1') $$,
    '23505', 'event k1 of org acme is known with other content', 'another amount under the same key');
select throws_ok($$ select billing.increment_usage('acme', 'chats', 1234.5, 'chat', '2024-02-29 23:59:59.999999+00', 'k1') $$,
    '23505', null, 'another metric under the same key');
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1234.5, 'chat', '2024-03-01 00:00+00', 'k1') $$,
    '23505', null, 'another instant under the same key');
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1234.5, 'chat', '2024-02-29 23:59:59.999999+00', 'k1', 'u') $$,
    '23505', null, 'another unique_key under the same key');
select throws_ok($$ select billing.set_usage('acme', 'widgets', 1234.5, 'chat', '2024-02-29 23:59:59.999999+00', 'k1') $$,
    '23505', null, 'another kind under the same key');
select is(billing.increment_usage('beta', 'tokens', 7, null, '2024-02-10 00:00+00', 'k1'), true,
    'another org has keys of its own');

-- Keys stay as long as the ledger has the month that they are of.
select throws_ok($$ delete from billing.usage_keys where org_id = 'acme' $$, '42501',
    'delete of billing.usage_keys is refused: key ''k1'' of org acme tells a retry from an event of billing.usage_ledger_2024_02', 'a key is not deleted');
select throws_ok($$ update billing.usage_keys set content = sha256('x') $$, '42501', null, 'nor changed');
select throws_ok($$ truncate billing.usage_keys $$, '42501', null, 'nor all of them');
savepoint before_drop;
alter table billing.usage_ledger detach partition billing.usage_ledger_2024_02;
select throws_ok($$ delete from billing.usage_keys where org_id = 'beta' $$, '42501', null, 'nor while its events are only put aside');
drop table billing.usage_ledger_2024_02;
select lives_ok($$ delete from billing.usage_keys where org_id = 'beta' $$, 'with the month it may go');
select is((select count(*) from billing.usage_keys where org_id = 'beta'), 0::bigint, 'and is gone');
rollback to before_drop;

-- Retry across midnight, and across the end of the month: the key is not partitioned.
select is(billing.increment_usage('acme', 'tokens', 10, 'chat', null, 'night'), true, 'written as of now');
set local session_replication_role = replica;
update billing.usage_keys set occurred_at = occurred_at - interval '1 day' where event_id = 'night';
set local session_replication_role = origin;
select is(billing.increment_usage('acme', 'tokens', 10, 'chat', null, 'night'), false,
    'a retry on the next day, as of now again, is nothing');
set local session_replication_role = replica;
update billing.usage_keys set occurred_at = occurred_at - interval '40 days' where event_id = 'night';
set local session_replication_role = origin;
select is(billing.increment_usage('acme', 'tokens', 10, 'chat', null, 'night'), false, 'nor in another month');
select is((select count from billing.get_usage('acme')), 1244.5, 'counted once');
select is(billing.increment_usage('acme', 'tokens', 5), true, 'without a key it counts');
select is(billing.increment_usage('acme', 'tokens', 5), true, 'each time');

-- The partitions.
select has_table('billing', 'usage_ledger_2024_02', 'a month gets its partition when it is written to');
select is(billing.ensure_ledger_partition('2024-02-01 00:00+00'), false, 'once');
select is(billing.ensure_ledger_partition('2031-12-31 23:00-02'), true, 'months are those of UTC');
select has_table('billing', 'usage_ledger_2032_01', 'whatever the zone');
select throws_ok($$ select billing.ensure_ledger_partition('infinity') $$, '22008', null, 'infinity has none');

-- Append-only.
select throws_ok($$ update billing.usage_ledger set quantity = 1 $$, '42501', null, 'no update');
select throws_ok($$ delete from billing.usage_ledger $$, '42501', null, 'no delete');
select throws_ok($$ truncate billing.usage_ledger $$, '42501', null, 'no truncate');
select throws_ok($$ delete from billing.usage_ledger_2024_02 $$, '42501', null, 'not of a partition');
select throws_ok($$ truncate billing.usage_ledger_2024_02 $$, '42501', null, 'nor truncate it');

-- What the close would refuse.
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 0.1234567890123456) $$, '22003', null,
    'sixteen decimals are refused, not rounded');
select throws_ok($$ select billing.increment_usage('acme', 'seats', 1) $$, '22023', null, 'seats have a book');
select throws_ok($$ select billing.set_usage('acme', 'tokens', 1) $$, '22023', null, 'a flow is not set');
select throws_ok($$ select billing.increment_usage('acme', 'visitors', 1) $$, '22004', null,
    'unique needs a unique_key');
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1, 'migration') $$, '22023', null,
    'nobody hides usage as administrative');
select throws_ok($$ select billing.increment_usage('acme', 'tokens', 1, null, now() + interval '2 days') $$,
    '22008', null, 'usage does not lie in the future');
select throws_ok($$ select billing.increment_usage('nobody', 'tokens', 1) $$, '02000', null, 'of an unknown org');

-- Levels: the cache is what the close's order makes of the rows, in whatever order they come.
do $$ begin perform billing.set_usage('acme', 'storage_bytes', 100, null, '2024-02-10 00:00+00', 's1'); end $$;
do $$ begin perform billing.increment_usage('acme', 'storage_bytes', 7, null, '2024-02-11 00:00+00'); end $$;
do $$ begin perform billing.increment_usage('acme', 'storage_bytes', 1000, null, '2024-02-09 00:00+00'); end $$;
select is((select count::numeric from billing.usage_cache where metric = 'storage_bytes'), 107::numeric,
    'a change from before the set is part of it');
do $$ begin perform billing.set_usage('acme', 'storage_bytes', 5, null, '2024-02-08 00:00+00'); end $$;
select is((select count::numeric from billing.usage_cache where metric = 'storage_bytes'), 107::numeric, 'so is an older set');
do $$ begin perform billing.set_usage('acme', 'storage_bytes', 200, null, '2024-02-10 12:00+00'); end $$;
select is((select count::numeric from billing.usage_cache where metric = 'storage_bytes'), 207::numeric,
    'a set before a change leaves the change standing');
do $$ begin perform billing.set_usage('acme', 'storage_bytes', 300, null, '2024-02-10 12:00+00', 'a'); end $$;
select is((select count::numeric from billing.usage_cache where metric = 'storage_bytes'), 307::numeric,
    'of two sets in one instant the key decides');

select is_empty('select * from billing.usage_drift()', 'cache and ledger agree');
update billing.usage_cache set count = count + 3 where org_id = 'beta';
select results_eq('select org_id, metric, difference from billing.usage_drift()',
    $$ values ('beta', 'tokens', -3::numeric) $$, 'and a cache that does not is listed');
update billing.usage_cache set count = count - 3 where org_id = 'beta';

-- What one transaction writes occurs one after the other, though now() stands still in it.
do $$ begin
    perform billing.set_usage('acme', 'storage_bytes', 40);
    perform billing.increment_usage('acme', 'storage_bytes', 3);
    perform billing.set_usage('acme', 'storage_bytes', 11);
end $$;
select is((select count::numeric from billing.usage_cache where metric = 'storage_bytes'), 11::numeric,
    'what is set last in a transaction stands');
do $$ begin perform billing.set_usage('acme', 'storage_bytes', 307); end $$;
select is_empty('select * from billing.usage_drift()', 'and the ledger says so');

-- Who has no plan yet is judged by the one that is to come: its close would stop at such a row.
insert into billing.orgs (org_id) values ('early');
insert into billing.subscriptions (org_id, plan_id, starts_at) values ('early', 'starter', now() + interval '1 hour');
select throws_ok($$ select billing.set_usage('early', 'tokens', 1) $$, '22023', null, 'a flow of the plan to come is not set');
select throws_ok($$ select billing.increment_usage('early', 'visitors', 1) $$, '22004', null, 'its unique ones need a key');

-- The reset leaves what occurred since the period began.
select is(billing.reset_usage(to_char(now(), 'YYYY-MM')), 2::bigint, 'the flows are reset');
select is(billing.reset_usage(to_char(now(), 'YYYY-MM')), 0::bigint, 'once');
select is((select string_agg(org_id || ' ' || trim_scale(count), ', ' order by org_id, metric) from billing.usage_cache),
    'acme 307, acme 20, beta 0', 'levels stand, flows count anew');
select is(billing.reset_usage(to_char(now() - interval '1 month', 'YYYY-MM')), 0::bigint, 'a period that is over is not begun again');
select is((select string_agg(org_id || ' ' || trim_scale(count), ', ' order by org_id, metric) from billing.usage_cache),
    'acme 307, acme 20, beta 0', 'and counts nowhere');
select * from finish();
rollback;
