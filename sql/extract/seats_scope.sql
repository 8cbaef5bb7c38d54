-- Settings that sql/extract/seats_recorded.sql reads, and room for what pairs the events of a seat.
-- $1: the period; $2: orgs of which it is recorded keep the cutoff and the snapshot of that run.
select
    set_config('periodclose.period', $1::text, true),
    set_config('periodclose.keeps_cutoff', $2::boolean::text, true),
    set_config('work_mem', '64MB', true)
