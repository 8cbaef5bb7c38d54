-- Settings that the statements of this folder read. $1: the first day of the period's month; $2: the
-- orgs, an array's text, or null for all; $3: the run before which was recorded what is asked for:
-- runs that share an org have ascending numbers. The statements ask for them in subqueries, which are
-- computed once, not once a row.
-- Whole periods are joined, which the planner takes for a row when nothing has analysed their tables
-- since they were recorded: it must not choose a loop over all rows per row.
select
    set_config('periodclose.period', $1::text, true),
    set_config('periodclose.orgs', coalesce($2::text, ''), true),
    set_config('periodclose.run', $3::bigint::text, true),
    set_config('enable_nestloop', 'off', true)
