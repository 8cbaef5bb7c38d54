-- Are there seats that are assigned and revoked here? They are not in the ledger.
select exists (select from billing.seat_events) as has_seats
