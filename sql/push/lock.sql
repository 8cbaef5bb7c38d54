-- One push at a time; the lock ends with its connection.
select pg_try_advisory_lock(hashtextextended('periodclose push dodo', 0)) as is_locked
