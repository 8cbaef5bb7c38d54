-- How far a file was taken before. $1: digest of its content.
select coalesce(max(lines_taken), 0)::bigint
from billing.ingested_files
where content = $1::bytea
