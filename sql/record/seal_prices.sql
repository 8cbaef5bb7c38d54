-- Their prices. $1: a document.
insert into billing.sealed_prices (
    plan_digest, metric, aggregation, model, included, hard_limit, unit_price, package_size, unit
)
select
    decode(digest, 'hex'), metric, aggregation, model, included, hard_limit, unit_price, package_size, unit
from jsonb_to_recordset($1::text::jsonb) as prices (
    digest text, metric text, aggregation text, model text, included numeric, hard_limit numeric,
    unit_price numeric, package_size numeric, unit text
)
order by digest, metric
on conflict (plan_digest, metric) do nothing
