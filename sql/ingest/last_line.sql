-- Where the next batch ends: $1 file, $2 the line it begins behind, $3 at most so many rows.
select coalesce(max(line), -1)::bigint
from (
    select line
    from pg_temp.ingest_usage
    where file = $1::integer and line > $2::bigint
    order by line
    limit $3::bigint
) as rows
