-- Is there a list of applied migrations? The catalog says so without any right on the schema. Who may
-- not use the schema is told to come with the job's role, but not while that one may not either: then
-- the migrations that grant it are still to come, and the list is as good as none.
select exists (
    select
    from pg_class as class
    join pg_namespace as schema on schema.oid = class.relnamespace
    where schema.nspname = 'billing'
        and class.relname = 'schema_migrations'
        and (
            has_schema_privilege(schema.oid, 'usage')
            or exists (
                select
                from pg_roles as role
                where role.rolname = 'billing_close' and has_schema_privilege(role.oid, schema.oid, 'usage')
            )
        )
)
