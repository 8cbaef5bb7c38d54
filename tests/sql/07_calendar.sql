-- Periods begin where the program's calendar says.
\set ECHO none
begin;
select plan(15);
set local timezone = 'Asia/Kathmandu';
create function pg_temp.start_of(p_month text, p_zone text, p_day integer) returns text language sql as
    $$ select to_char(billing.period_start(billing.parse_month(p_month), p_zone, p_day) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') $$;
select is(pg_temp.start_of('2024-02', 'UTC', 1), '2024-02-01T00:00:00', 'a month');
select is(pg_temp.start_of('2024-02', 'UTC', 31), '2024-02-29T00:00:00', 'clamped to its end');
select is(pg_temp.start_of('2023-02', 'UTC', 29), '2023-02-28T00:00:00', 'without a leap day');
select is(pg_temp.start_of('2024-03', 'UTC', 31), '2024-03-31T00:00:00', 'from the anchor again');
select is(pg_temp.start_of('2024-03', 'America/New_York', 30), '2024-03-30T04:00:00', 'in summer time');
select is(pg_temp.start_of('2024-03', 'America/Havana', 10), '2024-03-10T05:00:00', 'a midnight jumped over is the jump');
select is(pg_temp.start_of('2024-11', 'America/Havana', 3), '2024-11-03T04:00:00', 'a doubled one is the earlier');
select is(pg_temp.start_of('2024-11', 'America/Havana', 4), '2024-11-04T05:00:00', 'the day after is as ever');
select is(pg_temp.start_of('2024-03', 'Atlantic/Azores', 31), '2024-03-31T01:00:00', 'Azores: the jump');
select is(pg_temp.start_of('2024-10', 'Atlantic/Azores', 27), '2024-10-27T00:00:00', 'Azores: the earlier');
select is(pg_temp.start_of('2011-12', 'Pacific/Apia', 30), '2011-12-30T10:00:00', 'a date that was skipped');
select is(pg_temp.start_of('2011-12', 'Pacific/Apia', 31), '2011-12-30T10:00:00', 'is the same instant as the next');
select is(pg_temp.start_of('2024-04', 'Australia/Lord_Howe', 7), '2024-04-06T13:00:00', 'half an hour, after midnight');
select throws_ok($$ select billing.parse_month('2024-13') $$, '22007', '2024-13 is not a month; write YYYY-MM', 'a month has a name');
select throws_ok($$ select billing.parse_month('10/2024') $$, '22007', null, 'of that form');
select * from finish();
rollback;
