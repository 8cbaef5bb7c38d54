-- What the tables accept: the same as the program accepts from a dataset folder.
\set ECHO none
begin;
select plan(44);
\ir fixture.psql

select is_empty(
    $$ (table billing.currencies except table public.money_c)
       union all (table public.money_c except table billing.currencies) $$,
    'currencies are those of src/core/money.c, row by row');
select is(
    (select count(*) from pg_class c where relnamespace = 'billing'::regnamespace
        and relkind in ('r', 'p', 'v', 'S') and not relispartition and obj_description(oid, 'pg_class') is null
        and not exists (select from pg_depend where objid = c.oid and deptype = 'i')),
    0::bigint, 'every table, view and sequence says what it is');
select is(
    (select count(*) from pg_proc p where pronamespace = 'billing'::regnamespace
        and obj_description(oid, 'pg_proc') is null
        and not exists (select from pg_depend where objid = p.oid and deptype = 'e')),
    0::bigint, 'every function says what it does');

select throws_ok($$ insert into billing.orgs (org_id) values ('') $$, '23514', null, 'an id is not empty');
select throws_ok($$ insert into billing.orgs (org_id) values (repeat('x', 256)) $$, '23514', null,
    'an id has at most 255 bytes');
select lives_ok($$ insert into billing.orgs (org_id) values (repeat('x', 255)) $$, 'and may have those');
select throws_ok($$ insert into billing.orgs (org_id) values (repeat('é', 128)) $$, '23514', null,
    'bytes are counted, not characters');
select throws_ok($$ insert into billing.orgs (org_id) values (E'a\u0085b') $$, '23514', null,
    'no control characters, not of the second set either');
select throws_ok($$ insert into billing.org_limits (org_id, metric) values ('acme', repeat('m', 129)) $$,
    '23514', null, 'a metric has at most 128 bytes');
select throws_ok($$ insert into billing.orgs (org_id, status) values ('x', 'closed') $$, '23514', null,
    'there are three states of an org');
select throws_ok($$ insert into billing.orgs (org_id, currency) values ('x', 'USD') $$, '23503', null,
    'currencies are in lower case');
select throws_ok($$ insert into billing.orgs (org_id, currency) values ('x', 'zzz') $$, '23503', null,
    'an unknown currency is refused');
select throws_ok($$ insert into billing.orgs (org_id, timezone) values ('x', 'FOO5BAR') $$, '23503', null,
    'what the server would take as a zone, but is none');
select lives_ok($$ insert into billing.orgs (org_id, timezone) values ('hav', 'America/Havana') $$, 'a zone');
select throws_ok($$ insert into billing.orgs (org_id, anchor_day) values ('x', 32) $$, '23514', null,
    'an anchor day is a day of a month');
select throws_ok($$ insert into billing.orgs (org_id, overage_cap) values ('x', 39.995) $$, '23514',
    'overage_cap 39.995 of org x is not a multiple of 0.01, as usd is billed', 'a cap is in increments');
select lives_ok($$ insert into billing.orgs (org_id, overage_cap) values ('cap', 39.99) $$, 'a cap in increments');
select throws_ok($$ update billing.orgs set currency = 'jpy' where org_id = 'cap' $$, '23514', null,
    'also when the currency changes under the cap');
select throws_ok($$ insert into billing.orgs (org_id, currency, overage_cap) values ('x', 'kwd', 1.005) $$,
    '23514', null, 'dinars are billed in hundredths');
select throws_ok($$ insert into billing.orgs (org_id, overage_cap) values ('x', 'NaN') $$, '23514', null,
    'NaN is no amount');
select throws_ok($$ insert into billing.orgs (org_id, overage_cap) values ('x', -1) $$, '23514', null,
    'an amount is not negative');

select throws_ok($$ insert into billing.prices (plan_id, metric) values ('strict', 'runs') $$, '23514', null,
    'per_unit needs a unit price');
select throws_ok($$ insert into billing.prices (plan_id, metric, model, unit_price) values ('strict', 'runs', 'package', 2) $$,
    '23514', null, 'package needs a package size');
select throws_ok($$ insert into billing.prices (plan_id, metric, model, unit_price, package_size) values ('strict', 'runs', 'package', 2, 0) $$,
    '23514', null, 'a package holds something');
insert into billing.plans (plan_id) values ('defaults');
insert into billing.prices (plan_id, metric, unit_price) values ('defaults', 'seats', 3), ('defaults', 'runs', 4);
select results_eq($$ select aggregation from billing.prices where plan_id = 'defaults' order by metric $$,
    array['sum', 'last'], 'seats are a level by default, all else a sum');

-- Tiers are judged at commit; here the deferred triggers are fired by hand.
create function pg_temp.tiers(p_rows text) returns text language plpgsql as $$
begin
    execute p_rows;
    set constraints all immediate;
    set constraints all deferred;
    raise exception sqlstate 'UNDO0';
exception
    when sqlstate 'UNDO0' then return 'fine';
    when others then return sqlerrm;
end $$;
insert into billing.plans (plan_id) values ('p');
select is(pg_temp.tiers($$ insert into billing.prices (plan_id, metric, model) values ('p', 'm', 'volume') $$),
    'price of m in plan p needs tiers, as its model is volume', 'a tiered price has tiers');
select is(pg_temp.tiers($$ insert into billing.prices (plan_id, metric, model) values ('p', 'm', 'volume');
    insert into billing.price_tiers values ('p', 'm', 10, 1) $$),
    'tiers of m in plan p do not end open: up_to of the last one must be null', 'the last one is open');
select is(pg_temp.tiers($$ insert into billing.prices (plan_id, metric, model) values ('p', 'm', 'graduated');
    insert into billing.price_tiers values ('p', 'm', 10, 1), ('p', 'm', null, 2) $$), 'fine', 'whole tiers');
select matches(pg_temp.tiers($$ insert into billing.prices (plan_id, metric, model) values ('p', 'm', 'graduated');
    insert into billing.price_tiers values ('p', 'm', null, 1), ('p', 'm', null, 2) $$),
    'price_tiers_overlap', 'two open ones overlap');
select matches(pg_temp.tiers($$ insert into billing.prices (plan_id, metric, model) values ('p', 'm', 'graduated');
    insert into billing.price_tiers values ('p', 'm', 10, 1), ('p', 'm', 10.0, 2), ('p', 'm', null, 2) $$),
    'price_tiers_overlap', 'two with one end overlap');
select matches(pg_temp.tiers($$ insert into billing.price_tiers values ('starter', 'tokens', null, 1) $$),
    'which has no tiers', 'no tiers for a price without');
select is(pg_temp.tiers($$ insert into billing.prices (plan_id, metric, model) values ('p', 'm', 'graduated');
    insert into billing.price_tiers values ('p', 'm', 10, 1), ('p', 'm', null, 2);
    delete from billing.price_tiers where up_to is null $$),
    'tiers of m in plan p do not end open: up_to of the last one must be null', 'nor may the open one go');
select is(pg_temp.tiers($$ insert into billing.prices (plan_id, metric, model) values ('p', 'm', 'graduated');
    insert into billing.price_tiers select 'p', 'm', nullif(n, 1025), 1 from generate_series(1, 1025) n $$),
    'price of m in plan p has 1025 tiers, at most 1024 are possible', 'at most 1024');

select throws_ok($$ insert into billing.subscriptions (org_id, plan_id, starts_at) values ('acme', 'strict', '2024-01-01') $$,
    '23P01', null, 'no two subscriptions of an org overlap');
select lives_ok($$ insert into billing.subscriptions (org_id, plan_id, ends_at) values ('acme', 'strict', '2023-06-01 00:00+00') $$,
    'one may begin where another ends');
select lives_ok($$ insert into billing.subscriptions (org_id, plan_id, starts_at, ends_at) values ('acme', 'strict', '2024-01-01', '2024-01-01') $$,
    'an empty one is never in force, and overlaps nothing');
select throws_ok($$ insert into billing.subscriptions (org_id, plan_id, starts_at, ends_at) values ('cap', 'strict', '2024-02-01', '2024-01-01') $$,
    '23514', null, 'none ends before it starts');

select throws_ok($$ select billing.check_decimal(0.0000000000000001, 'amount') $$, '22003',
    'amount has more than 15 decimals: 0.0000000000000001', 'sixteen decimals are refused, not rounded');
select is(billing.check_decimal(1.50000000000000000000, 'amount'), 1.5, 'zeros behind are none');
select throws_ok($$ select billing.check_decimal(100000000000000000000000, 'amount') $$, '22003', null,
    'twenty-four digits are refused');
select is(billing.check_decimal(-99999999999999999999999.999999999999999, 'amount'),
    -99999999999999999999999.999999999999999, 'the least number there is');
select throws_ok($$ select billing.check_decimal('NaN', 'amount') $$, '22023', null, 'NaN is no number');
select throws_ok($$ select billing.check_decimal('Infinity', 'amount') $$, '22023', null, 'nor is infinity');
select throws_ok($$ insert into billing.close_runs (run_id, period) values (1, '2026-10-02') $$, '23514', null,
    'a period is the first day of its month');
select * from finish();
rollback;
