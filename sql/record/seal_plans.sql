-- Plans as they were rated with. $1: a document; many periods share a plan, and other runs may be
-- sealing it now.
insert into billing.sealed_plans (plan_digest, plan_id, name, currency)
select decode(digest, 'hex'), plan_id, name, currency
from jsonb_to_recordset($1::text::jsonb) as plans (digest text, plan_id text, name text, currency text)
order by digest
on conflict (plan_digest) do nothing
