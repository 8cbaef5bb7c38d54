-- One migrating session at a time, until it ends: others wait here.
select pg_advisory_lock(hashtext('periodclose migrate'))
