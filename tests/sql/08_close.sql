-- What a close records, and how it stays.
\set ECHO none
begin;
select plan(54);
\ir fixture.psql
insert into billing.close_runs (run_id, period, snapshot, cutoff) values
    (1, '2024-02-01', pg_current_snapshot(), '2024-03-01 02:00+00');
select throws_ok($$ insert into billing.close_runs (run_id, period, is_forced) values (9, '2024-02-01', true) $$, '23514', null,
    'forced only with a reason');
select ok((select not pg_visible_in_snapshot(pg_current_xact_id(), snapshot) from billing.close_runs where run_id = 1),
    'what was not seen is known by its transaction');
update billing.close_runs set state = 'recorded', recorded_at = now();

-- Number and place of the run that holds the claim after one was asked for, and whether it is one's own.
create function pg_temp.claim(p_orgs text, p_dir text, p_run bigint default null) returns text language sql as $$
    select concat_ws(' ', run_id, run_dir, state, is_own) from billing.claim_period('close', '2024-02-01',
        jsonb_build_object('orgs', p_orgs::jsonb), 'db1', p_dir, '1', p_run, now()) $$;
select is(pg_temp.claim('["acme", "beta"]', '/a'), '2 /a running t', 'a claim');
select is(pg_temp.claim('["acme", "beta"]', '/a'), '2 /a running t', 'is its own again after a death');
select is(pg_temp.claim('["beta", "cap"]', '/b'), '2 /a running f', 'is in the way of one that shares an org');
select is(pg_temp.claim('"all"', '/b'), '2 /a running f', 'and of one for all');
update billing.close_runs set state = 'failed' where run_id = 2;
select is(pg_temp.claim('["acme", "beta"]', '/elsewhere', 2), '2 /a running t', 'one that failed goes on by its number');
select is(pg_temp.claim('["cap"]', '/b'), '3 /b running t', 'it is not in the way of one for others');
select is((select count(*) from billing.period_claims), 2::bigint, 'both are listed');
update billing.close_runs set state = 'failed' where run_id = 2;
select is(pg_temp.claim('["acme", "beta"]', '/a', 2), '4 /a running t', 'one that failed before another came gets a new number');
select is(pg_temp.claim('["paused"]', '/a'), '5 /a running t', 'a directory begun anew');
select is((select state from billing.close_runs where run_id = 4), 'abandoned', 'gives up what it claimed before');
select throws_ok($$ select billing.release_claim(5, '') $$, '22004', null, 'released with a reason');
select throws_ok($$ select billing.release_claim(99, 'gone') $$, '55000', null, 'of a run that is there');
select lives_ok($$ select billing.release_claim(5, 'host is gone') $$, 'then it is free');
select is((select state || ': ' || reason from billing.close_runs where run_id = 5),
    'abandoned: claim released by ' || session_user || ': host is gone', 'and the run given up');
select throws_ok($$ select billing.release_claim(5, 'again') $$, '55000', null, 'once');
select is(pg_temp.claim('["acme"]', '/a', 5), '6 /a running t', 'its number is no claim any more');

create function pg_temp.record(p_revision integer, p_cost numeric, p_before numeric, p_billed numeric) returns void
language sql as $$
    insert into billing.org_billing_overages (org_id, metric_type, period, revision, billing_period_start,
        billing_period_end, plan_id, currency, usage, usage_limit, amount, model, unit_price, exact_cost,
        uncapped_cost, cost, previous_cost, billed, run_id, item_status)
    values ('acme', 'tokens', '2024-02-01', p_revision, '2024-02-01 00:00+00', '2024-03-01 00:00+00', 'starter', 'usd',
        750000, 500000, 250000, 'per_unit', 0.0001, 25, 25, p_cost, p_before, p_billed, 1, 'recorded') $$;
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
insert into billing.org_billing_usage_monthly (org_id, metric, period, revision, usage, overage) values
    ('acme', 'tokens', '2024-02-01', 2, 760000, 260000);
select is((select overage_tokens from billing.org_billing_usage_classic), 260000::numeric, 'of the highest revision');
insert into billing.sealed_plans values (sha256('x'), 'starter', null, 'usd');
select throws_ok($$ update billing.sealed_plans set currency = 'eur' $$, '42501', null, 'terms stay sealed');

-- So does who closed it, when and why; runs that recorded nothing may go.
select throws_ok($$ delete from billing.close_runs where run_id = 1 $$, '42501', 'delete of run 1 is refused: it is recorded', 'a run that recorded is not deleted');
select throws_ok($$ update billing.close_runs set reason = 'another' where run_id = 1 $$, '42501', 'update of run 1 is refused: it is recorded', 'nor changed');
select throws_ok($$ truncate billing.close_runs cascade $$, '42501', null, 'nor are all of them');
select lives_ok($$ delete from billing.close_runs where state = 'abandoned' $$, 'one that was given up may go');

-- What a run recorded stays; what was loaded from a history may be corrected.
insert into billing.org_billing_usage_monthly (org_id, metric, period, usage, run_id) values ('beta', 'tokens', '2024-02-01', 5, 1);
insert into billing.org_periods (org_id, period, result_digest, recorded_by, seen_by) values ('beta', '2024-02-01', sha256('x'), 1, 1);
insert into billing.org_periods (org_id, period) values ('acme', '2024-01-01');
select throws_ok($$ update billing.org_billing_usage_monthly set usage = 6 where org_id = 'beta' $$, '42501', null, 'recorded usage is not changed');
select throws_ok($$ delete from billing.org_billing_usage_monthly where org_id = 'beta' $$, '42501', null, 'nor deleted');
select throws_ok($$ truncate billing.org_billing_usage_monthly $$, '42501', null, 'nor all of it');
select throws_ok($$ delete from billing.org_periods where org_id = 'beta' $$, '42501', null, 'a closed period stays closed');
select throws_ok($$ truncate billing.org_periods $$, '42501', null, 'all of them do');
select lives_ok($$ update billing.org_billing_usage_monthly set usage = 750001 where org_id = 'acme' and metric = 'tokens' $$, 'a history is corrected');
select lives_ok($$ delete from billing.org_periods where org_id = 'acme' $$, 'and taken back');

-- What reads a period that was recorded since its tables were analysed, when the planner expects a row
-- of it, reads it once, or looks up by the whole key: never all of it for every row.
insert into billing.sealed_plans select sha256(n::text::bytea), 'p' || n, null, 'usd' from generate_series(1, 9) as n;
create function pg_temp.fill(p_period date) returns void language sql as $$
    insert into billing.org_periods select 'o' || n, p_period, 1, p_period, p_period + 1, sha256('x'), 1, 1 from generate_series(1, 8000) as n;
    insert into billing.org_billing_terms (org_id, period, run_id, plan_digest, currency, timezone, anchor_day, period_start, period_end)
    select 'o' || n, p_period, 1, sha256((n % 9 + 1)::text::bytea), 'usd', 'UTC', 1, p_period, p_period + 1 from generate_series(1, 8000) as n;
    insert into billing.org_billing_usage_monthly (org_id, metric, period, usage, overage, run_id)
    select 'o' || n, metric, p_period, 9, 4, 1 from generate_series(1, 8000) as n, unnest('{tokens,exports}'::text[]) as metric;
    insert into billing.org_billing_overages (org_id, metric_type, period, revision, billing_period_start, billing_period_end, plan_id,
        currency, usage, usage_limit, amount, model, unit_price, exact_cost, uncapped_cost, cost, billed, run_id, item_status)
    select 'o' || n, metric, p_period, 1, p_period, p_period + 1, 'p', 'usd', 9, 5, 4, 'per_unit', 1, 4, 4, 4, 4, 1, 'recorded'
    from generate_series(1, 8000) as n, unnest('{tokens,exports}'::text[]) as metric $$;
set local random_page_cost = 1.1;
insert into billing.orgs (org_id) select 'o' || n from generate_series(1, 8000) as n;
insert into billing.subscriptions (org_id, plan_id) select 'o' || n, 'starter' from generate_series(1, 8000) as n;
-- What a statement of a close or a settlement asks of the tables, in rows and blocks per org: all orgs
-- for each of them is thousands. Whatever was analysed when: nothing, tables without rows, another month.
create function pg_temp.asked(p_statement text, p_orgs bigint) returns bigint language plpgsql as $$
declare
    found jsonb;
    asked numeric;
begin
    execute 'explain (analyze, buffers, timing off, format json) ' || p_statement into found;
    select sum((coalesce((node ->> 'Actual Rows')::numeric, 0) + coalesce((node ->> 'Rows Removed by Join Filter')::numeric, 0)
        + coalesce((node ->> 'Rows Removed by Filter')::numeric, 0)) * (node ->> 'Actual Loops')::numeric)
    into asked
    from jsonb_path_query(found, 'strict $.** ? (exists (@."Actual Loops"))') as node;
    return (asked + (found #>> '{0,Plan,Shared Hit Blocks}')::numeric + (found #>> '{0,Plan,Shared Read Blocks}')::numeric) / p_orgs;
end
$$;
\set statement `sed '/^ *--/d' sql/extract/misfits.sql`
prepare misfits as :statement;
\set statement `sed '/^ *--/d' sql/settle/records.sql`
prepare records as :statement;
\set history `sed '/^ *--/d; s/^copy (//; s/^) to stdout.*//' sql/extract/history.sql`
create function pg_temp.asked_by_all(p_period date, p_history text) returns text language plpgsql as $$
begin
    perform set_config('periodclose.period', p_period::text, true);
    return concat_ws(' ',
        'misfits ' || pg_temp.asked(format('execute misfits(%L)', p_period), 8000),
        'history ' || pg_temp.asked(replace(p_history, '$1', quote_literal(p_period)), 8000),
        'records ' || pg_temp.asked(format('execute records(%L, ''o2'', 100, 0)', p_period), 100));
end
$$;
create function pg_temp.is_linear(p_period date, p_history text, p_when text) returns text language sql as $$
    select matches(pg_temp.asked_by_all(p_period, p_history), '^misfits [1-4]?\d history [1-6]?\d records [1-6]?\d$', p_when) $$;
analyze billing.org_periods, billing.org_billing_terms, billing.org_billing_usage_monthly, billing.org_billing_overages, billing.sealed_plans;
select pg_temp.is_linear('2023-01-01', :'history', 'nothing is recorded');
select pg_temp.fill('2023-01-01') \g /dev/null
select pg_temp.is_linear('2023-01-01', :'history', 'the first period that is recorded, tables analysed without it');
select pg_temp.is_linear('2023-02-01', :'history', 'the one after it');
select pg_temp.is_linear('2023-07-01', :'history', 'one after a pause');
delete from pg_statistic where starelid in (select oid from pg_class where relnamespace = 'billing'::regnamespace);
update pg_class set reltuples = -1, relpages = 0 where relnamespace = 'billing'::regnamespace and relkind = 'r';
deallocate all;
\set statement `sed '/^ *--/d' sql/extract/misfits.sql`
prepare misfits as :statement;
\set statement `sed '/^ *--/d' sql/settle/records.sql`
prepare records as :statement;
select pg_temp.is_linear('2023-01-01', :'history', 'that period, nothing analysed');
select pg_temp.is_linear('2023-02-01', :'history', 'the one after it, neither');
select pg_temp.is_linear('2023-07-01', :'history', 'nor after a pause');
analyze billing.org_periods, billing.org_billing_terms, billing.org_billing_usage_monthly, billing.org_billing_overages, billing.sealed_plans;
select pg_temp.fill('2023-02-01') \g /dev/null
select pg_temp.is_linear('2023-02-01', :'history', 'a period, the one before analysed');
select pg_temp.is_linear('2023-03-01', :'history', 'the one after it');
select pg_temp.is_linear('2023-09-01', :'history', 'one after a pause');
create function pg_temp.plan_of(p_statement text) returns text language plpgsql as $$
declare
    line text;
    lines text := '';
begin
    for line in execute 'explain (costs off) ' || p_statement loop
        lines := lines || line || E'\n';
    end loop;
    return lines;
end
$$;
-- A scan by the period alone, or rows held against each other.
create function pg_temp.reads_all(p_statement text) returns setof text language sql as $$
    select trim(line) from regexp_split_to_table(pg_temp.plan_of(p_statement), E'\n') as line
    where line ~ 'Index Cond: \(period = [^=<>]*\)$' or line ~ 'Join Filter: .*org_id'
        or line ~ 'Seq Scan on org_(billing_overages|periods|billing_terms)' $$;
\set statement `sed '/^ *--/d' sql/emit/known.sql`
prepare known as :statement;
\set statement `sed '/^ *--/d' sql/emit/behind.sql`
prepare behind as :statement;
\set statement `sed '/^ *--/d' sql/emit/write_back.sql`
prepare write_back as :statement;
select is_empty($$ select pg_temp.reads_all('execute records(''2023-02-01'', ''o2'', 100, 0)') $$, 'records to be sent are looked up');
select unalike(pg_temp.plan_of('execute records(''2023-02-01'', ''o2'', 100, 0)'), '%Group Key%', 'page by page, and none reads to the end');
select is_empty($$ select pg_temp.reads_all('execute known(''2023-02-01'', ''[]'')') $$, 'so is what became of items');
select is_empty($$ select pg_temp.reads_all('execute behind(''2023-02-01'', ''[]'')') $$, 'and the revisions before them');
select is_empty($$ select pg_temp.reads_all('execute write_back(''2023-02-01'', ''[]'')') $$, 'also to write it onto them');
\set statement `sed '/^ *--/d' sql/recorded/settings.sql`
prepare settings as :statement;
execute settings('2023-02-01', null, 100) \g /dev/null
\set statement `sed '/^ *--/d; s/^copy (//; s/^) to stdout.*//' sql/recorded/orgs.sql`
select unalike(pg_temp.plan_of(:'statement'), '%Nested Loop%', 'orgs and their terms are joined at once');
\set statement `sed '/^ *--/d; s/^copy (//; s/^) to stdout.*//' sql/recorded/charges.sql`
select unalike(pg_temp.plan_of(:'statement'), '%Nested Loop%', 'usage and its records, too');

select * from finish();
rollback;
