-- A webhook event is taken. $1: provider, $2: event id, $3: type, $4: outcome. No row: it was before.
insert into billing.webhook_events (provider, event_id, type, outcome)
values ($1::text, $2::text, $3::text, $4::text)
on conflict (provider, event_id) do nothing
