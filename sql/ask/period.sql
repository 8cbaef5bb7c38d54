-- What the recorded period of an org was rated with: of $2 (its first day), or the last one there is.
-- No row: the org is not there; nulls: it has no recorded period. $1: org.
select
    to_char(rated.period, 'YYYY-MM') as period,
    rated.period_start,
    rated.period_end,
    rated.currency::text,
    rated.plan_digest
from billing.orgs as org
left join lateral (
    select terms.*
    from (select distinct period from billing.close_runs where state = 'recorded') as closed
    cross join lateral (
        select sealed.*
        from billing.org_billing_terms as sealed
        where sealed.period = closed.period and sealed.org_id = org.org_id
        order by sealed.revision desc
        limit 1
    ) as terms
    where $2::text is null or closed.period = $2::text::date
    order by closed.period desc
    limit 1
) as rated on true
where org.org_id = $1::text
