-- What is wrong with an argument is said in words.
\set ECHO none
begin;
select plan(29);
\ir fixture.psql

create function pg_temp.says(p_statement text, p_state text, p_message text) returns setof text language plpgsql as $$
begin
    return next throws_like(p_statement, p_message, p_statement);
    begin
        execute p_statement;
    exception when others then
        if sqlstate <> p_state then
            return next fail(p_statement || ': ' || sqlstate || ', not ' || p_state);
        end if;
    end;
end
$$;
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', null) $$, '22004', 'no quantity is given');
select pg_temp.says($$ select billing.increment_usage('acme', null, 7) $$, '22004', 'no metric is given');
select pg_temp.says($$ select billing.increment_usage('acme', '', 7) $$, '22023', '%is no name of a metric%');
select pg_temp.says($$ select billing.increment_usage('acme', repeat('m', 129), 7) $$, '22023', '%is no name of a metric%');
select pg_temp.says($$ select billing.increment_usage('acme', E'a\tb', 7) $$, '22023', '%is no name of a metric%');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, '') $$, '22023', 'the reason has 0 bytes%');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, repeat('r', 129)) $$, '22023', 'the reason has 129 bytes%');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, p_key => '') $$, '22023', 'the key has 0 bytes%');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, p_key => repeat('k', 1001)) $$, '22023', 'the key has 1001 bytes%');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, p_key => 'monthly_reset:2026-11:tokens') $$, '22023', '%is one of the job''s own');
select pg_temp.says($$ select billing.set_usage('acme', 'storage_bytes', 7, p_key => 'migration:x:storage_bytes') $$, '22023', '%is one of the job''s own');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, p_unique_key => '') $$, '22023', 'unique_key is empty');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, p_occurred_at => '1970-01-01Z') $$, '22008', '%lies before 1971');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, p_occurred_at => '-infinity') $$, '22008', '%lies before 1971');
select pg_temp.says($$ select billing.increment_usage('acme', 'tokens', 7, p_occurred_at => 'infinity') $$, '22008', '%lies in the future');
select pg_temp.says($$ select billing.set_usage('acme', 'storage_bytes', null) $$, '22004', 'no quantity is given');
select is((select count(*) from billing.usage_keys) + (select count(*) from billing.usage_ledger), 0::bigint, 'nothing of it was written');
select pg_temp.says($$ select billing.assign_seat('acme', null) $$, '22004', 'no user is given');
select pg_temp.says($$ select billing.assign_seat('acme', '') $$, '22023', '%is no id of a user%');
select pg_temp.says($$ select billing.assign_seat('acme', 'ann', 'member', 'infinity') $$, '22008', 'a seat does not expire at infinity');
select billing.invite_seat('acme', 'ann@example.com');
select pg_temp.says($$ select billing.invite_seat('acme', 'Ann@Example.com') $$, '23505', '%has an open invitation of org acme');
select pg_temp.says($$ select billing.reset_usage(null) $$, '22004', 'no period is given%');

-- Settings.
select pg_temp.says($$ insert into billing.org_settings values ('acme', 'feature.api', '"off"') $$, '22023', '%must be a boolean%');
select pg_temp.says($$ insert into billing.org_settings values ('acme', 'invitation.days_valid', '"soon"') $$, '22023', '%must be a number%');
select pg_temp.says($$ insert into billing.org_settings values ('acme', 'invitation.days_valid', '-3') $$, '22023', '%from 1 to 365');
select pg_temp.says($$ insert into billing.org_settings values ('acme', 'invitation.days_valid', '2.5') $$, '22023', '%from 1 to 365');
select pg_temp.says($$ insert into billing.org_settings values ('acme', 'alert.thresholds', '[0.8, "high"]') $$, '22023', '%list of parts of a limit%');
select lives_ok($$ insert into billing.org_settings values ('acme', 'feature.api', 'false'), ('acme', 'invitation.days_valid', '30') $$, 'what is understood is taken');
select ok((select expires_at > now() + interval '29 days' from billing.invite_seat('acme', 'bob@example.com')), 'and holds');
select * from finish();
rollback;
