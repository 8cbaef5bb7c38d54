-- What a close records, and how it stays.
\set ECHO none
begin;
select plan(18);
\ir fixture.psql
insert into billing.close_runs (run_id, period, snapshot, cutoff) values
    ('run-1', '2024-02-01', pg_current_snapshot(), '2024-03-01 02:00+00'), ('run-2', '2024-02-01', null, null);
select throws_ok($$ insert into billing.close_runs (run_id, period, is_forced) values ('r', '2024-02-01', true) $$, '23514', null,
    'forced only with a reason');
select ok((select not pg_visible_in_snapshot(pg_current_xact_id(), snapshot) from billing.close_runs where run_id = 'run-1'),
    'what was not seen is known by its transaction');
insert into billing.org_periods (org_id, period, claimed_by, claimed_at) values
    ('acme', '2024-02-01', 'run-1', now()), ('beta', '2024-02-01', 'run-1', now());
select is((select min(state) from billing.org_periods), 'claimed', 'a claim');
select throws_ok($$ insert into billing.org_periods (org_id, period, claimed_by, claimed_at) values ('acme', '2024-02-01', 'run-2', now()) $$,
    '23505', null, 'is of one run');
select throws_ok($$ select billing.release_claims('run-1', '') $$, '22004', null, 'released with a reason');
select throws_ok($$ select billing.release_claims('nobody', 'gone') $$, '55000', null, 'of a run that is there');
select is(billing.release_claims('run-1', 'host is gone'), 2::bigint, 'then all of them');
select results_eq($$ select distinct state from billing.org_periods $$, array['released'], 'are free');
select is((select state from billing.close_runs where run_id = 'run-1'), 'abandoned', 'and the run is given up');
select throws_ok($$ select billing.release_claims('run-1', 'again') $$, '55000', null, 'once');
update billing.org_periods set revision = 1, recorded_by = 'run-2', recorded_at = now() where org_id = 'acme';
select is((select state from billing.org_periods where org_id = 'acme'), 'closed', 'a recorded period is closed');

create function pg_temp.record(p_revision integer, p_cost numeric, p_before numeric, p_billed numeric) returns void
language sql as $$
    insert into billing.org_billing_overages (org_id, metric_type, period, revision, billing_period_start,
        billing_period_end, plan_id, currency, usage, usage_limit, amount, model, unit_price, exact_cost,
        uncapped_cost, cost, previous_cost, billed, run_id, item_status)
    values ('acme', 'tokens', '2024-02-01', p_revision, '2024-02-01 00:00+00', '2024-03-01 00:00+00', 'starter', 'usd',
        750000, 500000, 250000, 'per_unit', 0.0001, 25, 25, p_cost, p_before, p_billed, 'run-2', 'recorded') $$;
select lives_ok($$ select pg_temp.record(1, 25, 0, 25) $$, 'a record');
select throws_ok($$ select pg_temp.record(2, 20, 25, 20) $$, '23514', null, 'billed is the difference');
select lives_ok($$ select pg_temp.record(2, 20, 25, -5) $$, 'also downwards');
select throws_ok($$ delete from billing.org_billing_overages $$, '42501', null, 'records are not deleted');
select throws_ok($$ update billing.org_billing_overages set amount = 1 $$, '42501', null, 'nor changed');

insert into billing.org_billing_usage_monthly (org_id, metric, period, usage, overage) values
    ('acme', 'tokens', '2024-02-01', 750000, 250000), ('acme', 'playbook_runs', '2024-02-01', 75, 25),
    ('acme', 'exports', '2024-02-01', 9, 4);
select results_eq($$ select tokens, runs, seats, overage_tokens, overage_runs, overage_seats from billing.org_billing_usage_classic $$,
    $$ values (750000::numeric, 75::numeric, 0::numeric, 250000::numeric, 25::numeric, 0::numeric) $$, 'the classic columns');
insert into billing.sealed_plans values (sha256('x'), 'starter', null, 'usd');
select throws_ok($$ update billing.sealed_plans set currency = 'eur' $$, '42501', null, 'terms stay sealed');
select * from finish();
rollback;
