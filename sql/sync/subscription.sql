-- What a provider says of one subscription. $1: provider, $2: its id there, $3: customer, $4: org that
-- its metadata names, $5: what may name its plan, first comes first, $6: in_force, ended or not_begun,
-- $7: the provider's own word, $8: begins, $9: ends, $10: as of when
select billing.sync_subscription($1::text, $2::text, $3::text, $4::text, $5::text::jsonb, $6::text,
    $7::text, $8::timestamptz, $9::timestamptz, $10::timestamptz)
