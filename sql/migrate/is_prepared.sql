-- Is there a list of applied migrations?
select to_regclass('billing.schema_migrations') is not null
