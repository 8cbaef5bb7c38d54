-- Settings that sql/extract/usage_late.sql reads, and how it is best read: the ledger by when rows
-- were written, then org by org. So few that compiling would not pay. $1: the period; $2: metrics that any plan meters as a level.
select
    set_config('periodclose.period', $1::text, true),
    set_config('periodclose.levels', $2::text, true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('enable_nestloop', 'on', true),
    set_config('enable_indexscan', 'on', true),
    set_config('enable_bitmapscan', 'on', true),
    set_config('jit', 'off', true)
