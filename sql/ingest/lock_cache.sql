-- The cache's rows of a batch, always in the same order, before the statement that reads them.
-- $1: file, $2 and $3: lines from and until, the first not among them.
select count(*)
from (
    select
    from billing.usage_cache as cache
    join (
        select distinct org_id, metric
        from pg_temp.ingest_usage
        where file = $1::integer and line > $2::bigint and line <= $3::bigint
    ) as named using (org_id, metric)
    order by cache.org_id, cache.metric
    for no key update of cache
) as locked
