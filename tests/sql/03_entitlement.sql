-- What an org may do, and what more would cost.
\set ECHO none
begin;
select plan(38);
\ir fixture.psql
insert into billing.prices (plan_id, metric, model, included, unit_price, package_size) values
    ('starter', 'exports', 'package', 10, 2.5, 100);
insert into billing.prices (plan_id, metric, model, included) values
    ('starter', 'api_calls', 'volume', 2), ('starter', 'tokens_out', 'graduated', 100);
insert into billing.price_tiers (plan_id, metric, up_to, unit_price, flat_price) values
    ('starter', 'api_calls', 3, 0.5, 0), ('starter', 'api_calls', 10, 0.4, 1), ('starter', 'api_calls', null, 0.3, 0),
    ('starter', 'tokens_out', 1000, 0.08, 0), ('starter', 'tokens_out', 5000.5, 0.06, 5), ('starter', 'tokens_out', null, 0.04, 0);

select is(billing.overage_cost('starter', 'tokens', 250000), 25.00, 'per unit: 250,000 tokens at 10 milli-cents');
select is(billing.overage_cost('starter', 'tokens', 0), 0::numeric, 'no overage costs nothing');
select is(billing.overage_cost('starter', 'tokens', 50), 0.01, 'half a cent is a cent');
select is(billing.overage_cost('starter', 'tokens', 49), 0.00, 'less is none');
select is(billing.overage_cost('starter', 'exports', 101), 5.00, 'package: whole packages');
select is(billing.overage_cost('starter', 'exports', 200), 5.00, 'package: just two');
select is(billing.overage_cost('starter', 'exports', 200.000000000000001), 7.50, 'package: a little more is a third');
select is(billing.overage_cost('starter', 'api_calls', 3), 1.50, 'volume: up to is inclusive');
select is(billing.overage_cost('starter', 'api_calls', 3.5), 2.40, 'volume: the next tier for all, with its flat price');
select is(billing.overage_cost('starter', 'api_calls', 11), 3.30, 'volume: the open tier');
select is(billing.overage_cost('starter', 'tokens_out', 1000), 80.00, 'graduated: the first tier');
select is(billing.overage_cost('starter', 'tokens_out', 6000), 80 + 4000.5 * 0.06 + 5 + 999.5 * 0.04, 'graduated: all tiers');

prepare asked(text, text) as select allowed, reason from billing.check_entitlement($1, $2);
create function pg_temp.ask(p_org text, p_action text) returns text language sql as
    $$ select (case when allowed then 'yes: ' else 'no: ' end) || reason from billing.check_entitlement(p_org, p_action) $$;
create function pg_temp.used(p_org text, p_metric text, p_count numeric) returns void language sql as
    $$ insert into billing.usage_cache (org_id, metric, count) values (p_org, p_metric, p_count)
       on conflict (org_id, metric) do update set count = excluded.count $$;
select is(pg_temp.ask('nobody', 'use_tokens'), 'no: unknown_org', 'an unknown org may nothing');
select is(pg_temp.ask('paused', 'use_tokens'), 'no: org_suspended', 'nor a suspended one');
select is(pg_temp.ask('acme', 'fly'), 'no: unknown_action', 'an unknown action');
select is(pg_temp.ask('acme', 'run_playbook'), 'no: not_in_plan', 'the plan has no such metric');
select is(pg_temp.ask('acme', 'use_tokens'), 'yes: within_limit', 'nothing used yet');
do $$ begin perform pg_temp.used('acme', 'tokens', 499999); end $$;
select is(pg_temp.ask('acme', 'use_tokens'), 'yes: within_limit', 'the last included unit');
do $$ begin perform pg_temp.used('acme', 'tokens', 500000); end $$;
select is(pg_temp.ask('acme', 'use_tokens'), 'yes: overage', 'above it is overage');
do $$ begin perform pg_temp.used('acme', 'tokens', 899999); end $$;
select is(pg_temp.ask('acme', 'use_tokens'), 'yes: overage', 'up to the hard limit');
do $$ begin perform pg_temp.used('acme', 'tokens', 900000); end $$;
select is(pg_temp.ask('acme', 'use_tokens'), 'no: hard_limit', 'not above it');
insert into billing.org_limits values ('acme', 'tokens', 950000, 1000000);
select is(pg_temp.ask('acme', 'use_tokens'), 'yes: within_limit', 'the org''s own limits beat the plan''s');
delete from billing.org_limits;
do $$ begin perform pg_temp.used('acme', 'tokens', 700000); end $$;
update billing.orgs set overage_enabled = false where org_id = 'acme';
select is(pg_temp.ask('acme', 'use_tokens'), 'no: overage_disabled', 'overage is off for the org');
update billing.orgs set overage_enabled = true, overage_cap = 20.00 where org_id = 'acme';
update billing.entitlement_actions set amount = 100 where action = 'use_tokens';
select is(pg_temp.ask('acme', 'use_tokens'), 'no: overage_cap', 'twenty dollars are used up');
update billing.orgs set overage_cap = 20.01 where org_id = 'acme';
select is(pg_temp.ask('acme', 'use_tokens'), 'yes: overage', 'one cent is left');
do $$ begin perform pg_temp.used('acme', 'exports', 11); end $$;
select is(pg_temp.ask('acme', 'use_tokens'), 'no: overage_cap', 'the cap is over all metrics');
select is(billing.cost_so_far('acme', 'tokens', 0), 22.50, 'which is what they cost together');
do $$ begin perform pg_temp.used('beta', 'tokens', 700); end $$;
select is(pg_temp.ask('beta', 'use_tokens'), 'no: plan_limit', 'a plan without overage ends at its limit');
update billing.entitlement_actions set amount = 0 where action = 'use_tokens';
select is(pg_temp.ask('beta', 'use_tokens'), 'no: plan_limit', 'an action of unknown size needs something left');
do $$ begin perform pg_temp.used('beta', 'tokens', 699.5); end $$;
select is(pg_temp.ask('beta', 'use_tokens'), 'yes: within_limit', 'and half a unit is something');
update billing.subscriptions set ends_at = now() - interval '1 second' where org_id = 'beta';
select is(pg_temp.ask('beta', 'use_tokens'), 'no: no_plan', 'without a plan nothing');

-- Settings over their defaults.
select is(billing.settings('acme') -> 'feature.api', 'true'::jsonb, 'a default holds');
insert into billing.org_settings values ('acme', 'feature.api', 'false');
select is(billing.settings('acme') -> 'feature.api', 'false'::jsonb, 'until the org says otherwise');
select is(billing.settings('acme') ->> 'invitation.days_valid', '7', 'for that setting alone');
select is(billing.settings('beta') -> 'feature.api', 'true'::jsonb, 'and that org alone');
select is(pg_temp.ask('acme', 'call_api'), 'no: feature_disabled', 'a switch that is off denies');
select throws_ok($$ insert into billing.org_settings values ('acme', 'featur.api', 'false') $$, '23503', null,
    'a misspelt setting is refused');
insert into billing.entitlement_actions (action, about) values ('log_in', 'log in');
select is(pg_temp.ask('acme', 'log_in'), 'yes: unmetered', 'an action that uses nothing');
select * from finish();
rollback;
