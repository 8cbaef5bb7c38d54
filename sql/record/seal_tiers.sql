-- Their tiers. $1: a document.
insert into billing.sealed_tiers (plan_digest, metric, tier, up_to, unit_price, flat_price)
select decode(digest, 'hex'), metric, tier, up_to, unit_price, flat_price
from jsonb_to_recordset($1::text::jsonb) as tiers (
    digest text, metric text, tier integer, up_to numeric, unit_price numeric, flat_price numeric
)
order by digest, metric, tier
on conflict (plan_digest, metric, tier) do nothing
