-- What was recorded, in the columns of usage_history.csv, by the latest revision: of the month before,
-- which opens this period and is compared with it. Of an org that has nothing of it, or something of
-- this month or a later one, what is latest: it tells a gap, or an overlap. Of an org whose period a
-- run has recorded already only what came before: whether that may be closed again is the record
-- stage's to judge.
-- All that was ever recorded is many times the rows of a month, and what a month has the planner takes
-- for a row until something has analysed it. So orgs are held against each other by grouping and by
-- except, never by a join, and of the few that are left earlier months are looked up one by one, by the
-- whole key (limit keeps the planner from turning that around). Rows are put in order where they arrive.
-- $1: the first day of the month in which the period begins.
copy (
    with recursive months (period) as (
        select max(monthly.period)
        from billing.org_billing_usage_monthly as monthly
        where monthly.period < $1::date - interval '1 month'
        union all
        select (
            select max(monthly.period)
            from billing.org_billing_usage_monthly as monthly
            where monthly.period < months.period
        )
        from months
        where months.period is not null
    ), missing as materialized (
        select subscription.org_id::text
        from billing.subscriptions as subscription
        where (starts_at is null or starts_at < $1::date + interval '64 days')
            and (ends_at is null or ends_at > $1::date - interval '2 days')
            and exists (select from months where period is not null)
        except
        select org_id
        from billing.org_billing_usage_monthly
        where period = $1::date - interval '1 month'
            and exists (select from months where period is not null)
    ), ahead as materialized (
        select org_id, max(period) as period
        from (
            select org_id, period
            from billing.org_billing_usage_monthly
            where period >= $1::date
            union all
            select org_id, null
            from billing.org_periods
            where period = $1::date and recorded_by is not null
        ) as closed
        group by org_id
        having bool_and(period is not null)
    ), latest as (
        select missing.org_id, before.period
        from missing
        cross join lateral (
            select looked_up.period
            from (
                select period
                from months
                where period is not null
                order by period desc
            ) as descending
            cross join lateral (
                select monthly.period
                from billing.org_billing_usage_monthly as monthly
                where monthly.period = descending.period and monthly.org_id = missing.org_id
                limit 1
            ) as looked_up
            limit 1
        ) as before
        union all
        select org_id, period
        from ahead
    ), wanted as (
        select month_before.*
        from (
            select distinct on (org_id, metric) *
            from billing.org_billing_usage_monthly
            where period = ($1::date - interval '1 month')::date
            order by org_id, metric, revision desc
        ) as month_before
        union all
        select monthly.*
        from latest
        cross join lateral (
            select distinct on (metric) *
            from billing.org_billing_usage_monthly as looked_up
            where looked_up.period = latest.period and looked_up.org_id = latest.org_id
            order by metric, revision desc
        ) as monthly
    )
    select
        org_id::text,
        metric::text,
        to_char(period, 'YYYY-MM'),
        trim_scale(usage)::text,
        trim_scale(closing_level)::text,
        trim_scale(overage)::text,
        trim_scale(cost)::text,
        currency::text,
        trim_scale(projected)::text,
        trim_scale(projected_cost)::text
    from wanted
) to stdout (format binary)
