-- Settings that sql/extract/usage_late.sql reads: a row of sql/extract/late_parts.sql.
select
    set_config('periodclose.from', $1::text, true),
    set_config('periodclose.until', $2::text, true),
    set_config('periodclose.written_from', $3::text, true),
    set_config('periodclose.recorded_after', $4::text, true)
