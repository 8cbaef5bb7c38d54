-- The snapshot that the whole extract sees, for the other connections and for the records; and
-- whether there is a seat book.
select
    pg_export_snapshot() as exported,
    pg_current_snapshot()::text as snapshot,
    exists (select from billing.seat_events) as has_seats
