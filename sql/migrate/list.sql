-- What was applied, in order.
select name, sha256 from billing.schema_migrations order by name
