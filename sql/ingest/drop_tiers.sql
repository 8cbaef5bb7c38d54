-- The tiers of a price are one thing: of the prices that the files name, those go that the files do
-- not have. (They are checked at commit.)
delete from billing.price_tiers as tier
where exists (
        select from pg_temp.ingest_prices as price
        where price.plan_id = tier.plan_id and price.metric = tier.metric
    )
    and not exists (
        select from pg_temp.ingest_tiers as staged
        where staged.plan_id = tier.plan_id
            and staged.metric = tier.metric
            and staged.up_to is not distinct from tier.up_to
    )
