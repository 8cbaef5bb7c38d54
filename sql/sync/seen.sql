-- Was this webhook event taken before? $1: provider, $2: event id
select exists (
    select from billing.webhook_events where provider = $1::text and event_id = $2::text
)
