-- Metrics that are counted by events or by distinct keys: what an org may do goes by what a close counts.
\set ECHO none
begin;
select plan(37);
\ir fixture.psql
insert into billing.prices (plan_id, metric, aggregation, included, hard_limit, unit_price) values
    ('starter', 'exports', 'count', 3, 5, 0.25), ('strict', 'visitors', 'unique', 2, null, 0.5);
insert into billing.entitlement_actions (action, metric, amount, about) values
    ('export', 'exports', 40, 'writes an export of forty rows'), ('visit', 'visitors', 1, 'lets somebody in'),
    ('look_at_exports', 'exports', 0, 'an action of unknown size');
create function pg_temp.ask(p_org text, p_action text) returns text language sql as
    $$ select (case when allowed then 'yes: ' else 'no: ' end) || reason from billing.check_entitlement(p_org, p_action) $$;
create function pg_temp.used(p_org text, p_metric text) returns numeric language sql as
    $$ select used from billing.metric_state(p_org, p_metric) $$;

-- count: rows, whatever their quantity.
select billing.increment_usage('acme', 'exports', 1000, p_key => 'e1'), billing.increment_usage('acme', 'exports', 1000, p_key => 'e1');
select is(pg_temp.used('acme', 'exports'), 1::numeric, 'a thousand in one event is one, and a retry is none');
select is(pg_temp.ask('acme', 'export'), 'yes: within_limit', 'so that there is room for more');
select billing.increment_usage('acme', 'exports', -7), billing.increment_usage('acme', 'exports', 0);
select is(pg_temp.used('acme', 'exports'), 3::numeric, 'events of less than nothing are events');
select is(pg_temp.ask('acme', 'export'), 'yes: overage', 'the fourth is above the three');
select is((select fee from billing.judge_more('acme', 'exports', 40)), 0.25, 'and costs what one costs, not forty');
select is(pg_temp.ask('acme', 'look_at_exports'), 'yes: overage', 'of unknown size, too');
select billing.increment_usage('acme', 'exports', 1), billing.increment_usage('acme', 'exports', 1);
select is(pg_temp.ask('acme', 'export'), 'no: hard_limit', 'five are all');
select is(pg_temp.ask('acme', 'look_at_exports'), 'no: hard_limit', 'and leave nothing');
select is((select string_agg(trim_scale(threshold) || ' ' || trim_scale(usage), ', ' order by threshold) from billing.usage_alerts
    where org_id = 'acme' and metric = 'exports'), '0.8 3, 1 3', 'alerts go by them');
select is((select count::numeric from billing.usage_cache where org_id = 'acme' and metric = 'exports'), 995::numeric,
    'the cache adds quantities up, as before');

-- unique: distinct keys of the period.
select billing.increment_usage('acme', 'visitors', 5, p_unique_key => 'ann') from generate_series(1, 4);
select is(pg_temp.used('acme', 'visitors'), 1::numeric, 'who comes often is one');
select is(pg_temp.ask('acme', 'visit'), 'yes: within_limit', 'a second may come');
select billing.increment_usage('acme', 'visitors', 1, p_unique_key => 'bob');
select is(pg_temp.ask('acme', 'visit'), 'yes: overage', 'a third is above the two');
select is(pg_temp.used('beta', 'visitors'), 0::numeric, 'of another org these are none');
select billing.increment_usage('beta', 'visitors', 1, p_unique_key => key) from unnest(array['ann', 'eve', 'eve']) as keys (key);
select is(pg_temp.ask('beta', 'visit'), 'no: plan_limit', 'which has a limit of its own');

-- What occurred in another period counts there.
select billing.increment_usage('acme', 'visitors', 1, p_occurred_at => now() - interval '40 days', p_unique_key => 'late');
select is(pg_temp.used('acme', 'visitors'), 2::numeric, 'what comes late is not of this period');
select is((select sum(count) from billing.usage_counts where org_id = 'acme' and metric = 'visitors'), 3::numeric, 'but of its own');
select is_empty('select * from billing.usage_drift()', 'cache and ledger agree');

-- Shown is what is judged, and never more than the period's.
create function pg_temp.shown(p_org text, p_metric text) returns numeric language sql as
    $$ select count from billing.get_usage(p_org) where metric = p_metric $$;
select is(pg_temp.shown('acme', 'exports'), 5::numeric, 'five events are shown, not what they add up to');
select is(pg_temp.shown('acme', 'visitors'), 2::numeric, 'and two keys');
select billing.increment_usage('beta', 'tokens', 31);
select is(pg_temp.shown('beta', 'tokens'), 31::numeric, 'of what is added up the sum');
update billing.usage_counts set count = 6 where org_id = 'acme' and metric = 'exports';
select results_eq('select org_id, metric, cached, ledger, difference from billing.usage_drift()',
    $$ values ('acme', 'exports', 6::numeric, 5::numeric, -1::numeric) $$, 'a count that the ledger does not give has drifted');
update billing.usage_counts set count = 5 where org_id = 'acme' and metric = 'exports';

-- Made anew from the ledger, also what was written past the functions.
insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity, unique_key, reason) values
    (now(), 'delta', 'beta', 'visitors', 1, 'zoe', null), (now(), 'delta', 'beta', 'visitors', 9, 'counted', 'migration'),
    (now(), 'delta', 'beta', 'visitors', 0.5, 'counted', 'migration'),
    (now(), 'delta', 'beta', 'visitors', 1000.5, null, 'migration'), (now(), 'delta', 'acme', 'exports', -2097, null, 'migration'),
    (now(), 'delta', 'beta', 'visitors', 70, 'amy', 'monthly_reset');
select results_eq($$ select metric, cached, ledger from billing.usage_drift() where ledger = 12 $$,
    $$ values ('visitors', 2::numeric, 12::numeric) $$, 'what was written past them is drift');
select is(billing.recount_usage(), 3::bigint, 'all are counted again');
select is((select string_agg(concat_ws(' ', org_id, metric, count), ', ' order by org_id, metric) from billing.usage_counts
    where period = billing.current_period(org_id, now())),
    'acme exports 5, acme visitors 2, beta visitors 12', 'as they are in the ledger, with what a backfill brought');
select is_empty($$ select * from billing.usage_drift() where cached = 12 or ledger = 5 $$, 'which is no drift then');
select billing.increment_usage('beta', 'visitors', 1, p_unique_key => 'zoe');
select is(pg_temp.used('beta', 'visitors'), 12::numeric, 'nor forgotten when more comes');
delete from billing.usage_counts where org_id = 'beta';
select is((select cached from billing.usage_drift() where ledger = 12), null::numeric, 'a count that is not there has drifted, too');
select billing.recount_usage();

update billing.usage_counts set count = 77 where org_id = 'acme';
select is(billing.recount_usage('beta'), 1::bigint, 'or of one org');
select is((select max(count) from billing.usage_counts where org_id = 'acme'), 77::bigint, 'and no other');
select is(billing.recount_usage(), 3::bigint, 'again');
select billing.increment_usage('beta', 'visitors', 1, p_unique_key => 'zoe');
select is(pg_temp.used('beta', 'visitors'), 12::numeric, 'whom the ledger knew is known');

-- Keys are forgotten when nobody can ask for them any more, also where a month to come is typed.
insert into billing.usage_uniques (org_id, metric, period, key_digest) values
    ('beta', 'visitors', date_trunc('month', now() - interval '100 days'), sha256('ann'));
select billing.reset_usage('2999-01');
select is((select count(*) from billing.usage_uniques where org_id = 'beta'), 3::bigint, 'old keys go, those of the period stay');
select billing.increment_usage('beta', 'visitors', 1, p_unique_key => 'eve');
select is(pg_temp.used('beta', 'visitors'), 12::numeric, 'and who was counted is not counted again');

-- Whose.
set local role billing_app;
select set_config('billing.org_id', 'acme', true);
select is((select count(distinct org_id) from billing.usage_counts), 1::bigint, 'an application sees its own counts');
select throws_ok($$ select billing.recount_usage() $$, '42501', null, 'and counts none anew');
reset role;
select set_config('billing.org_id', '', true);

-- A level that became a flow is reset with the flows, once its last set lies behind.
insert into billing.usage_cache (org_id, metric, count, set_at) values ('acme', 'tokens', 12, now() - interval '40 days');
insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity) values (now() - interval '40 days', 'set', 'acme', 'tokens', 12);
select billing.increment_usage('acme', 'tokens', 5);
select billing.reset_usage(to_char(billing.current_period('acme', now()), 'YYYY-MM'));
select is((select count::numeric from billing.usage_cache where org_id = 'acme' and metric = 'tokens'), 5::numeric,
    'what was a level before counts anew as a flow');
select * from finish();
rollback;
