-- Usage is read by physical range: nothing may turn the TID range scan into another one, or what is
-- recorded into a loop per row. Of what long ranges are compiled with, optimising pays: inlining does
-- not.
select
    set_config('enable_seqscan', 'off', true),
    set_config('enable_indexscan', 'off', true),
    set_config('enable_indexonlyscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_nestloop', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true),
    set_config('periodclose.jit', (select reset_val from pg_settings where name = 'jit'), true),
    set_config('jit_above_cost', '0', true),
    set_config('jit_optimize_above_cost', '0', true),
    set_config('jit_inline_above_cost', '-1', true)
