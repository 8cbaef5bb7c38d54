-- Rows of the truth that cannot be: of no org, given twice, no quantity, or no count (which leaves room
-- in a bigint for what comes after).
select judged.line, judged.org_id::text, judged.metric::text, judged.fault
from (
    select
        truth.line,
        truth.org_id,
        truth.metric,
        case
            when org.org_id is null then 'org'
            when truth.quantity = 'NaN' or abs(truth.quantity) >= 1e23
                or min_scale(truth.quantity) > 15 then 'quantity'
            when (truth.quantity < 0 or truth.quantity >= 1e18 or min_scale(truth.quantity) > 0)
                and truth.metric in (select metric from billing.prices where aggregation in ('count', 'unique'))
                and billing.counted_usage(truth.org_id, truth.metric) is not null then 'counted'
            when octet_length(truth.metric) not between 1 and 128 then 'metric'
            when row_number() over (
                partition by truth.org_id, truth.metric order by truth.line) > 1 then 'repeated'
        end as fault
    from pg_temp.backfill_truth as truth
    left join billing.orgs as org on org.org_id = truth.org_id
) as judged
where judged.fault is not null
order by judged.line, judged.org_id, judged.metric
limit 10000
