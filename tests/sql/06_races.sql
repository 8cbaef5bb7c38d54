-- Two sessions at once. The second is known to wait for the first before the first goes on: the
-- server says who blocks whom, so nothing here depends on time.
\set ECHO none
\getenv host PGHOST
\getenv port PGPORT
\getenv user PGUSER
\getenv password PGPASSWORD
set client_min_messages = warning;
select set_config('test.dsn', format('host=%s port=%s user=%s password=%s dbname=%s', :'host', :'port', :'user', :'password', current_database()), false) is not null as ready \gset
-- Committed, as both sessions must see it: the database is thrown away after this file.
\ir fixture.psql
update billing.org_limits set hard_limit = 1;
select plan(19);

create function public.connect() returns void language plpgsql as $$
begin
    perform dblink_connect('a', current_setting('test.dsn'));
    perform dblink_connect('b', current_setting('test.dsn'));
end $$;
-- Runs first in a (left open), then second in b, which must wait; then a commits. What b answers.
create function public.race(p_level text, p_first text, p_second text) returns text language plpgsql as $$
declare
    pid integer;
    waited boolean := false;
    answer text;
begin
    perform dblink_exec('a', 'begin isolation level ' || p_level);
    perform dblink_exec('b', 'begin isolation level ' || p_level);
    perform * from dblink('b', 'select 1 from billing.orgs limit 1') as t (x int); -- takes its snapshot
    select backend into pid from dblink('b', 'select pg_backend_pid()') as t (backend int);
    perform * from dblink('a', p_first) as t (x text);
    perform dblink_send_query('b', p_second);
    for turn in 1..1000000 loop
        exit when cardinality(pg_blocking_pids(pid)) > 0;
        exit when dblink_is_busy('b') = 0;
    end loop;
    waited := cardinality(pg_blocking_pids(pid)) > 0;
    perform dblink_exec('a', 'commit');
    begin
        select x into answer from dblink_get_result('b') as t (x text);
        perform * from dblink_get_result('b') as t (x text);
        perform dblink_exec('b', 'commit');
    exception when others then
        answer := sqlstate;
        perform * from dblink_get_result('b') as t (x text);
        perform dblink_exec('b', 'rollback');
    end;
    return case when waited then 'waited, ' else 'went on, ' end || answer;
end $$;
select is((select count(*) from public.connect()), 1::bigint, 'two sessions');

select is(public.race('read committed', $$ select billing.assign_seat('beta', 'ann')::text $$, $$ select billing.assign_seat('beta', 'ann')::text $$),
    'waited, 23505', 'one seat a user, of two sessions');
select is(public.race('read committed', $$ select billing.assign_seat('beta', 'bob')::text $$, $$ select billing.assign_seat('beta', 'cid')::text $$),
    'waited, 55000', 'of two racing for the last seat one is refused');
select is((select used from billing.seat_allocation('beta')), 2::numeric, 'and one got it');
do $$ begin perform billing.revoke_seat('beta', 'bob'); end $$;
select is(public.race('repeatable read', $$ select billing.assign_seat('beta', 'bob')::text $$, $$ select billing.assign_seat('beta', 'cid')::text $$),
    'waited, 40001', 'also with snapshots from before: the second has to begin again');
select is((select used from billing.seat_allocation('beta')), 2::numeric, 'and one got it');
do $$ begin perform billing.revoke_seat('beta', 'bob'); end $$;
create table public.sent as select * from billing.invite_seat('beta', 'dan@example.com');
select is(public.race('read committed', format('select seat_id::text from billing.accept_invitation(%L, %L)', (select token from public.sent), 'dan'),
    format('select seat_id::text from billing.accept_invitation(%L, %L)', (select token from public.sent), 'eve')),
    'waited, 55000', 'an invitation is accepted once');
do $$ begin perform billing.revoke_seat('beta', 'dan'); end $$;
select is(public.race('read committed', $$ select token from billing.invite_seat('beta', 'x@example.com') $$, $$ select billing.assign_seat('beta', 'cid')::text $$),
    'waited, 55000', 'a seat being held is not assigned');

select is(public.race('read committed', $$ select billing.increment_usage('acme', 'tokens', 7, null, '2024-02-10 00:00+00', 'same')::text $$,
    $$ select billing.increment_usage('acme', 'tokens', 7, null, '2024-02-10 00:00+00', 'same')::text $$),
    'waited, false', 'the same event from two sessions counts once');
select is(public.race('read committed', $$ select billing.increment_usage('acme', 'tokens', 7, null, '2024-02-10 00:00+00', 'other')::text $$,
    $$ select billing.increment_usage('acme', 'tokens', 8, null, '2024-02-10 00:00+00', 'other')::text $$),
    'waited, 23505', 'with other content it is refused');
select is(public.race('read committed', $$ select billing.increment_usage('acme', 'tokens', 100)::text $$, $$ select billing.increment_usage('acme', 'tokens', 1000)::text $$),
    'waited, true', 'two events of one metric both count');
select is((select count::numeric from billing.usage_cache where metric = 'tokens'), 1114::numeric, 'nothing is lost');
select is(public.race('read committed', $$ select billing.set_usage('acme', 'storage_bytes', 50, null, '2024-02-10 00:00+00')::text $$,
    $$ select billing.set_usage('acme', 'storage_bytes', 60, null, '2024-02-09 00:00+00')::text $$),
    'waited, true', 'two sets of a level');
select is((select count::numeric from billing.usage_cache where metric = 'storage_bytes'), 50::numeric, 'the later instant stands, whoever came first');
select is(public.race('read committed', $$ select billing.ensure_ledger_partition('2029-05-01 00:00+00')::text $$,
    $$ select billing.ensure_ledger_partition('2029-05-02 00:00+00')::text $$),
    'waited, false', 'a partition is made once');
select is(public.race('read committed', $$ select billing.revoke_seat('beta', 'ann')::text $$, $$ select billing.rebuild_user_seats()::text $$),
    'waited, 0', 'seats are not made anew while one is revoked');
select is((select used from billing.seat_allocation('beta')), 0::numeric, 'which it stays');
select is(public.race('read committed', $$ select billing.rebuild_user_seats('beta')::text $$, $$ select (billing.assign_seat('beta', 'fay') > 0)::text $$),
    'waited, true', 'nor is one assigned meanwhile');
select is_empty('select * from billing.usage_drift()', 'cache and ledger agree after all of it');
select * from finish();
