-- The next closed orgs of a period with what they are billed, in the order of org, metric, revision; an
-- org that is billed nothing has one row without a metric. $1: period, $2: the org before them, $3: how
-- many orgs, $4: of which revision alone; 0: of all. Customers and subscriptions are today's.
-- A page is walked along the index, one org after the other: taken at once, what the planner does not
-- know since nothing has analysed the table is read and sorted to its end for every page. Records are
-- looked up by the page's period, not the parameter: of a period that was recorded since the table was
-- analysed the planner expects a row, and would read all of it for every org.
with recursive walk (place, period, org_id) as (
    select 0::bigint, $1::text::date, $2::text collate "C"
    union all
    select
        walk.place + 1,
        walk.period,
        (
            select periods.org_id
            from billing.org_periods as periods
            where periods.period = walk.period and periods.org_id > walk.org_id
            order by periods.org_id
            limit 1
        )
    from walk
    where walk.place < $3::bigint and walk.org_id is not null
), page as (
    select
        walk.period,
        walk.org_id,
        (
            select max(periods.period_end)
            from billing.org_periods as periods
            where periods.period = walk.period and periods.org_id = walk.org_id
        ) as period_end
    from walk
    where walk.place > 0 and walk.org_id is not null
)
select
    page.org_id,
    coalesce(page.period_end, 'epoch'::timestamptz),
    org.status = 'suspended' as is_suspended,
    org.stripe_customer_id::text,
    org.stripe_subscription_id::text,
    org.dodo_customer_id::text,
    org.stripe_item_mode = 'quantity' as is_by_quantity,
    record.metric_type,
    record.revision::bigint,
    record.currency,
    record.billed,
    record.amount,
    record.usage_limit,
    record.unit_price,
    record.model = 'per_unit' as is_per_unit,
    price.unit,
    record.billing_period_start,
    record.billing_period_end,
    record.item_status,
    record.stripe_invoice_item_id,
    record.created_at,
    coalesce(run.run_digest, ''),
    exists (
        select from billing.org_billing_overages as earlier
        where earlier.period = record.period
            and earlier.org_id = record.org_id
            and earlier.metric_type = record.metric_type
            and earlier.revision < record.revision
            and earlier.billed <> 0
            and earlier.item_status not in ('sent', 'disabled')
    ) as is_behind
from page
left join billing.orgs as org on org.org_id = page.org_id
left join billing.org_billing_overages as record
    on record.period = page.period
    and record.org_id = page.org_id
    and record.billed <> 0
    and ($4::bigint = 0 or record.revision = $4::bigint)
left join billing.close_runs as run on run.run_id = record.run_id
left join lateral (
    select sealed.unit
    from billing.org_billing_terms as terms
    join billing.sealed_prices as sealed
        on sealed.plan_digest = terms.plan_digest and sealed.metric = record.metric_type
    where terms.period = record.period
        and terms.org_id = record.org_id
        and terms.revision <= record.revision
    order by terms.revision desc
    limit 1
) as price on true
order by page.org_id, record.metric_type, record.revision
