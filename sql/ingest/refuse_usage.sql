-- Rows of a batch whose event id is known with other content, after the batch was taken.
-- $1: file, $2 and $3: lines from and until, the first not among them.
select staged.line, staged.event_id::text
from pg_temp.ingest_rows as staged
join billing.usage_keys as known
    on known.org_id = staged.org_id and known.event_id = staged.event_id
where staged.file = $1::integer
    and staged.line > $2::bigint
    and staged.line <= $3::bigint
    and (known.occurred_at <> staged.occurred_at or known.content <> billing.usage_content(
        staged.metric, staged.judged_kind, staged.quantity, staged.unique_key))
order by staged.line
