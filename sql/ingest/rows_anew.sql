-- Rows without event ids of a file that is new, though another one of its name was taken before: they
-- count anew. $1: digest of its content, $2: its name, $3: its number.
select case
    when exists (select from billing.ingested_files where name = $2::text and content <> $1::bytea)
        and not exists (select from billing.ingested_files where content = $1::bytea)
    then (select count(*) from pg_temp.ingest_usage where file = $3::integer and event_id is null)
    else 0
end
