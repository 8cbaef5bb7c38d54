-- One session at a time takes a file. $1: digest of its content.
select pg_try_advisory_lock(hashtextextended('periodclose ingest ' || encode($1::bytea, 'hex'), 0))
