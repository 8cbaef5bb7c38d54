-- One after the other looks whose items are marked, and marks its own. $1: period. Waits; ends with
-- emit/unlock_marking.sql or the connection.
select pg_advisory_lock(hashtextextended('periodclose mark ' || $1::text, 0))
