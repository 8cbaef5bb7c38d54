-- The parts of the ledger that may hold rows of interest, and how many blocks they have. $1: from,
-- $2: until (what has no lower bound begins at -infinity).
select
    leaf.from_at::text,
    leaf.until_at::text,
    leaf.blocks
from (
    select
        coalesce(substring(bound from $pattern$FROM \('([^']*)'\)$pattern$), '-infinity')::timestamptz as from_at,
        coalesce(substring(bound from $pattern$TO \('([^']*)'\)$pattern$), 'infinity')::timestamptz as until_at,
        blocks
    from (
        select
            pg_get_expr(part.relpartbound, part.oid) as bound,
            pg_relation_size(part.oid) / current_setting('block_size')::bigint as blocks
        from pg_partition_tree('billing.usage_ledger') as tree
        join pg_class as part on part.oid = tree.relid
        where tree.isleaf
    ) as sized
) as leaf
where leaf.until_at > $1::timestamptz and leaf.from_at < $2::timestamptz
order by leaf.from_at
