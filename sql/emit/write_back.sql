-- What became of invoice items, onto their records. $1: period, $2: the items, an array of objects.
-- How many records there are of them; every item has one.
-- The period comes from a table of one row: see sql/emit/behind.sql.
with asked as materialized (
    select $1::text::date as period
), item as (
    select given.org_id, given.metric, given.revision, given.status, given.id
    from jsonb_to_recordset($2::text::jsonb)
        as given (org_id text, metric text, revision integer, status text, id text)
), record as (
    select known.period, known.org_id, known.metric_type, known.revision, item.status, item.id,
        known.item_status is distinct from item.status
            or known.stripe_invoice_item_id is distinct from item.id as is_news
    from item
    cross join asked
    join billing.org_billing_overages as known
        on known.org_id = item.org_id
        and known.metric_type = item.metric
        and known.period = asked.period
        and known.revision = item.revision
), written as (
    update billing.org_billing_overages as known
    set item_status = record.status, stripe_invoice_item_id = record.id
    from record
    where record.is_news
        and known.org_id = record.org_id
        and known.metric_type = record.metric_type
        and known.period = record.period
        and known.revision = record.revision
    returning 1
)
select (select count(*) from record) as found, (select count(*) from written) as written
