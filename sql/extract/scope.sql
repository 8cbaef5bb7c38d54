-- Settings of the whole extract. $1, $2: the first instants of the earliest and of the latest of the
-- orgs' periods; $3: the end of the last one; $4: the cutoff; $5: metrics that are levels, whose
-- earlier rows open them; $6: every level is opened by a record, so that of rows before $1 only those
-- matter that were recorded since; $7: the period; $8: orgs of which it is recorded keep the cutoff
-- and the snapshot of that run.
select
    set_config('periodclose.start', $1::timestamptz::text, true),
    set_config('periodclose.start_last', $2::timestamptz::text, true),
    set_config('periodclose.end', $3::timestamptz::text, true),
    set_config('periodclose.cutoff', $4::timestamptz::text, true),
    set_config('periodclose.levels', $5::text, true),
    set_config('periodclose.is_opened', $6::boolean::text, true),
    set_config('periodclose.period', $7::text, true),
    set_config('periodclose.keeps_cutoff', $8::boolean::text, true)
