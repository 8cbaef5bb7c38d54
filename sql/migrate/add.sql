-- Notes a migration, in the transaction that applies it. $1: its name; $2: the digest of its file.
-- Those that note themselves (sql/migrations/0014_noted.sql) have done so.
insert into billing.schema_migrations (name, sha256) values ($1::text, $2::text)
on conflict (name) do nothing
