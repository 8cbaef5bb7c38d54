-- Settings that sql/extract/usage.sql reads. $1, $2: the partition's bounds; $3, $4: blocks, the last
-- range of a partition has no end.
select
    set_config('periodclose.from', $1::text, true),
    set_config('periodclose.until', $2::text, true),
    set_config('periodclose.block_from', '(' || $3::bigint || ',0)', true),
    set_config('periodclose.block_until', '(' || $4::bigint || ',0)', true)
