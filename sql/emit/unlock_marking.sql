-- Ends what emit/lock_marking.sql began. $1: period.
select pg_advisory_unlock(hashtextextended('periodclose mark ' || $1::text, 0))
