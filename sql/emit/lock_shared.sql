-- Several runs may send items of a period, each of its own orgs. $1: period. Ends with the connection.
select pg_try_advisory_lock_shared(hashtextextended('periodclose emit ' || $1::text, 0)) as is_locked
