-- Instants at which a day begins in any of the orgs' calendars, in order, for
-- sql/extract/usage_summed.sql.
select set_config('periodclose.days', $1::text, true)
