-- Nobody else sends items of the period meanwhile. $1: period. Ends with the connection.
select pg_try_advisory_lock(hashtextextended('periodclose emit ' || $1::text, 0)) as is_locked
