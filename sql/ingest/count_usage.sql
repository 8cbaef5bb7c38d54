-- Rows of a batch: all, and those of refused orgs. $1: file, $2 and $3: lines from and until, the
-- first not among them.
select
    count(*) as rows_read,
    count(*) filter (where series.is_refused) as rows_refused
from pg_temp.ingest_usage as staged
join pg_temp.ingest_series as series
    on series.org_id = staged.org_id and series.metric = staged.metric
where staged.file = $1::integer and staged.line > $2::bigint and staged.line <= $3::bigint
