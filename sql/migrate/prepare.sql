-- Where applied migrations are noted; the same as in the first of them.
create schema if not exists billing;
create table if not exists billing.schema_migrations (
    name text collate "C" primary key,
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz not null default now(),
    applied_by text not null default session_user
);
