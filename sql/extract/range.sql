-- Settings that the statements of usage read. $1, $2: the partition's bounds; $3, $4: blocks, the last
-- range of a partition has no end; $5: the last block that there is; $6: the range is long enough for
-- its statement to be compiled, where the server is set up for that.
select
    set_config('periodclose.from', $1::text, true),
    set_config(
        'periodclose.until',
        least($2::timestamptz, current_setting('periodclose.end')::timestamptz)::text,
        true
    ),
    set_config('periodclose.block_from', '(' || $3::bigint || ',0)', true),
    set_config('periodclose.block_until', '(' || $4::bigint || ',0)', true),
    set_config('periodclose.first_block', $3::bigint::text, true),
    set_config('periodclose.last_block', $5::bigint::text, true),
    set_config('jit', case when $6::boolean then current_setting('periodclose.jit') else 'off' end, true)
