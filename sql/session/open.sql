-- What every connection begins with: who and where we are, and settings that results depend on.
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
    end as role_taken
