-- Alerts: which parts of its limit an org has reached.
\set ECHO none
begin;
select plan(23);
\ir fixture.psql

create function pg_temp.alerts(p_org text) returns text language sql as $$
    select coalesce(string_agg(concat_ws(' ', metric, trim_scale(threshold), trim_scale(usage), trim_scale(usage_limit)),
        ', ' order by metric, threshold), '')
    from billing.usage_alerts where org_id = p_org
$$;
create function pg_temp.as_app(p_org text) returns void language plpgsql as $$
begin
    perform set_config('billing.org_id', p_org, true);
    execute 'set local role billing_app';
end
$$;

select billing.increment_usage('acme', 'tokens', 399999);
select is(pg_temp.alerts('acme'), '', 'below four fifths of the limit nothing is told');
select billing.increment_usage('acme', 'tokens', 1);
select is(pg_temp.alerts('acme'), 'tokens 0.8 400000 500000', 'at four fifths it is');
select billing.increment_usage('acme', 'tokens', 7);
select is(pg_temp.alerts('acme'), 'tokens 0.8 400000 500000', 'once');
select billing.increment_usage('acme', 'tokens', 200000, p_key => 'once'), billing.increment_usage('acme', 'tokens', 200000, p_key => 'once');
select is(pg_temp.alerts('acme'), 'tokens 0.8 400000 500000, tokens 1 600007 500000', 'and at the limit');
select is((select period from billing.usage_alerts where threshold = 1)::date, date_trunc('month', now() at time zone 'UTC')::date,
    'in the present period');
select is((select run_id from billing.usage_alerts where threshold = 1), null, 'by no run');
select billing.set_usage('acme', 'storage_bytes', 800.5);
select is(pg_temp.alerts('acme'), 'storage_bytes 0.8 800.5 1000, tokens 0.8 400000 500000, tokens 1 600007 500000', 'of a level, too');
select billing.assign_seat('acme', 'ann'), billing.assign_seat('acme', 'bob');
select unalike(pg_temp.alerts('acme'), '%seats%', 'two of three seats are not yet told');
select billing.assign_seat('acme', 'eve');
select alike(pg_temp.alerts('acme'), 'seats 0.8 3 3, seats 1 3 3,%', 'but all of them');

-- Where the close counts otherwise than the cache, alerts do, too.
select billing.increment_usage('acme', 'visitors', 1, p_unique_key => 'same') from generate_series(1, 9);
select unalike(pg_temp.alerts('acme'), '%visitors%', 'nine visits of one visitor reach no limit');

-- Limits and thresholds of its own.
insert into billing.org_limits (org_id, metric, soft_limit) values ('beta', 'tokens', 200);
insert into billing.org_settings (org_id, name, value) values ('beta', 'alert.thresholds', '[0.5, 2]');
select billing.increment_usage('beta', 'tokens', 150);
select is(pg_temp.alerts('beta'), 'tokens 0.5 150 200', 'by its own limit and thresholds');
select is(billing.alert_thresholds('[0.5, 2, "high", null, -1, 0.5]'), array[0.5, 2], 'what is no number is none');
update billing.org_settings set value = '[]' where org_id = 'beta';
select billing.increment_usage('beta', 'tokens', 1000);
select is(pg_temp.alerts('beta'), 'tokens 0.5 150 200', 'without thresholds there are no alerts');
update billing.org_settings set value = '[1]' where org_id = 'beta';
update billing.org_limits set soft_limit = 0 where org_id = 'beta';
select billing.increment_usage('beta', 'tokens', 1);
select is(pg_temp.alerts('beta'), 'tokens 0.5 150 200', 'nor with a limit of zero');
select billing.increment_usage('acme', 'nonsense', 1e9);
select unalike(pg_temp.alerts('acme'), '%nonsense%', 'nor without a price');

-- The present period, where it does not begin with the month.
select is(billing.current_period('acme', '2026-10-31 23:59:59+00'), '2026-10-01'::date, 'a month in UTC');
update billing.orgs set timezone = 'Asia/Tokyo', anchor_day = 31 where org_id = 'acme';
select is(billing.current_period('acme', '2026-11-29 14:59:59+00'), '2026-10-01'::date, 'until the last day of the next month');
select is(billing.current_period('acme', '2026-11-29 15:00:00+00'), '2026-11-01'::date, 'there');

-- Each side.
select pg_temp.as_app('acme');
select is((select count(*) from billing.usage_alerts), 5::bigint, 'an application sees those of its org');
select throws_ok($$ update billing.usage_alerts set acknowledged_at = now() $$, '42501', null, 'it does not write them');
select is(billing.acknowledge_alerts('acme', 'tokens'), 2::bigint, 'but says that they were seen');
select is(billing.acknowledge_alerts('acme') + billing.acknowledge_alerts('acme'), 3::bigint, 'once');
select throws_ok($$ select billing.acknowledge_alerts('beta') $$, '42501', null, 'not those of another org');
select * from finish();
rollback;
