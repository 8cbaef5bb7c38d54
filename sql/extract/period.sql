-- $1: the first day of the month in which the period begins, for sql/extract/history.sql.
select set_config('periodclose.period', $1::text, true)
