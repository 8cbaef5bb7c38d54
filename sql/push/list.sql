-- A row that is not sent. $1: event id, $2: org, $3: metric, $4: kind, $5: quantity, $6: when it
-- occurred, $7: unique key, $8: reason, $9: detail
insert into billing.push_unsent
    (target, event_id, org_id, metric, kind, quantity, occurred_at, unique_key, reason, detail)
values ('dodo', $1::text, $2::text, $3::text, $4::text::billing.usage_kind, $5::numeric,
    $6::timestamptz, $7::text, $8::text, $9::text)
on conflict (target, event_id) do update
set reason = excluded.reason, detail = excluded.detail, listed_at = excluded.listed_at
