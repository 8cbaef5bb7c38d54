-- Settings that sql/extract/seats_recorded.sql reads. $1: the period; $2: orgs of which it is recorded
-- keep the cutoff and the snapshot of that run. Seats are no longer read by physical range.
select
    set_config('periodclose.period', $1::text, true),
    set_config('periodclose.keeps_cutoff', $2::boolean::text, true),
    set_config('enable_seqscan', 'on', true),
    set_config('enable_hashjoin', 'on', true),
    set_config('enable_mergejoin', 'on', true),
    set_config('enable_indexscan', 'on', true)
