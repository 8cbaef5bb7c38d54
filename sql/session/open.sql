-- What every connection begins with: who and where we are, and settings that statements and their
-- results depend on, whatever the login or the database has set: how literals, dates and null are
-- read, how catalogs name things, and what a transaction sees.
-- $1: the role to take where the login is a member of it; $2: statement_timeout in milliseconds,
-- where the login has none; $3: row security may not hide rows silently.
select
    current_setting('server_version_num')::bigint as server_version,
    pg_is_in_recovery() as is_standby,
    current_database()::text as database_name,
    (select system_identifier from pg_control_system())::text as cluster,
    set_config('search_path', 'pg_catalog', false) as search_path,
    set_config('TimeZone', 'UTC', false) as time_zone,
    set_config('jit', 'off', false) as jit,
    set_config('row_security', case when $3::boolean then 'off' else 'on' end, false) as row_security,
    case
        when (select setting from pg_settings where name = 'statement_timeout') = '0'
        then set_config('statement_timeout', $2::bigint::text, false)
    end as statement_timeout,
    (select setting::bigint from pg_settings where name = 'statement_timeout') as timeout_ms,
    case
        when exists (
            select from pg_roles where rolname = $1::text and pg_has_role(oid, 'member')
        )
        then set_config('role', $1::text, false)
    end as role_taken,
    set_config('standard_conforming_strings', 'on', false) as literals,
    set_config('quote_all_identifiers', 'off', false) as identifiers,
    set_config('transform_null_equals', 'off', false) as nulls,
    set_config('array_nulls', 'on', false) as null_elements,
    set_config('DateStyle', 'ISO, YMD', false) as dates,
    set_config('IntervalStyle', 'postgres', false) as intervals,
    set_config('default_transaction_isolation', 'read committed', false) as isolation
