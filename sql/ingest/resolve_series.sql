-- What the staged usage is of: whether the org is there, and how its plans aggregate the metric.
insert into pg_temp.ingest_series (org_id, metric, is_known, is_refused, aggregation, is_steady)
select
    named.org_id,
    named.metric,
    org.org_id is not null,
    refused.org_id is not null,
    priced.aggregation,
    priced.kinds is null or priced.kinds = 1
from (select distinct org_id, metric from pg_temp.ingest_usage) as named
left join billing.orgs as org on org.org_id = named.org_id
left join pg_temp.ingest_refused_orgs as refused on refused.org_id = named.org_id
left join (
    select
        subscription.org_id,
        price.metric,
        min(price.aggregation) as aggregation,
        count(distinct price.aggregation) as kinds
    from billing.subscriptions as subscription
    join billing.prices as price on price.plan_id = subscription.plan_id
    group by subscription.org_id, price.metric
) as priced on priced.org_id = named.org_id and priced.metric = named.metric
