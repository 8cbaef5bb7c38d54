-- Who applied a migration is noted, whoever it was: periodclose migrate notes a file itself; one that
-- psql applies does it with its last line, from this file on, and this file does it for those before.
--
-- The last line of a file names it, the SHA-256 of all that stands above that line, and the digest of
-- what the schema is then (sql/seal.sh writes the line). psql goes on after a statement that failed,
-- and outside a transaction nothing takes back what it did: so there the schema must have become
-- what the files make, or nothing is noted.

create function billing.schema_digest() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    -- What the catalog says word by word, and nothing that a server version writes in its own way
    -- (expressions, views). Partitions come and go; rights of others, and indexes for speed, may be
    -- the operator's.
    with relations as (
        select oid, relname, relkind, relrowsecurity, relforcerowsecurity, relacl
        from pg_class
        where relnamespace = 'billing'::regnamespace and relkind in ('r', 'p', 'v', 'S')
            and not relispartition
    ), grantees (oid, name) as (
        select oid, rolname from pg_roles where rolname in ('billing_app', 'billing_close', 'billing_finance')
        union all
        select 0, 'public'
    ), lines (line) as (
        select concat_ws(' ', 'relation', relname, relkind, relrowsecurity, relforcerowsecurity) from relations
        union all
        select concat_ws(' ', 'column', relname, attname, format_type(atttypid, atttypmod), attnotnull,
            atthasdef, attidentity)
        from relations
        join pg_attribute on attrelid = relations.oid and attnum > 0 and not attisdropped
        where relkind <> 'S'
        union all
        select concat_ws(' ', 'routine', proname, pg_get_function_identity_arguments(pg_proc.oid),
            prokind, prosecdef, provolatile, proconfig::text, md5(prosrc))
        from pg_proc
        where pronamespace = 'billing'::regnamespace and not exists (
            select from pg_depend
            where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e')
        union all
        select concat_ws(' ', 'type', typname, typtype, format_type(typbasetype, typtypmod),
            (select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = pg_type.oid))
        from pg_type
        where typnamespace = 'billing'::regnamespace and typtype in ('d', 'e')
        union all
        select concat_ws(' ', 'constraint', coalesce(relname, typname), conname, contype)
        from pg_constraint
        left join relations on relations.oid = conrelid
        left join pg_type on pg_type.oid = contypid
        where connamespace = 'billing'::regnamespace and contype <> 'n'
            and (relations.oid is not null or contypid <> 0)
        union all
        select concat_ws(' ', 'trigger', relname, tgname, tgtype, tgenabled)
        from relations
        join pg_trigger on tgrelid = relations.oid and not tgisinternal
        union all
        select concat_ws(' ', 'policy', relname, polname, polcmd, polpermissive)
        from relations
        join pg_policy on polrelid = relations.oid
        union all
        select concat_ws(' ', 'right', relname, attname, grantees.name, privilege_type)
        from (
            select relname, null::name as attname, relacl as acl from relations
            union all
            select relname, attname, attacl
            from relations
            join pg_attribute on attrelid = relations.oid and not attisdropped
        ) as granted, aclexplode(acl) as entry
        join grantees on grantees.oid = entry.grantee
        union all
        select concat_ws(' ', 'right', proname, pg_get_function_identity_arguments(pg_proc.oid),
            grantees.name, privilege_type)
        from pg_proc, aclexplode(proacl) as entry
        join grantees on grantees.oid = entry.grantee
        where pronamespace = 'billing'::regnamespace
    )
    select encode(sha256(convert_to(string_agg(line, E'\n' order by line collate "C"), 'UTF8')), 'hex')
    from lines
$$;
comment on function billing.schema_digest() is
    'Digest of what the schema is made of: tables, columns, routines, constraints, triggers, policies and rights of its roles.';

create procedure billing.note_migration(p_name text, p_sha256 text, p_schema text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- A transaction that has written is one with the file: it fails as a whole.
    if pg_current_xact_id_if_assigned() is null and billing.schema_digest() <> p_schema then
        raise exception 'migration % is not noted: the schema billing is not what the migrations make', p_name
            using errcode = '55000',
                hint = 'a statement failed, or a file before is missing: begin with an empty database, and apply each with: psql -X -1 -v ON_ERROR_STOP=1 -f';
    end if;
    insert into billing.schema_migrations (name, sha256)
    values (p_name, p_sha256)
    on conflict (name) do nothing;
end
$$;
comment on procedure billing.note_migration(text, text, text) is
    'Notes that a file of sql/migrations was applied; each ends with it.';

do $$
begin
    revoke all on function billing.schema_digest() from public;
    revoke all on procedure billing.note_migration(text, text, text) from public;
end
$$;

-- The files before were applied by periodclose migrate, which has noted them all; or by psql, which
-- has noted none.
do $$
begin
    if (select count(*) from billing.schema_migrations where name < '0014') < 13
        and billing.schema_digest() <> '257095839411061d14d7f7752022d6e0295fb025a2b8b8f9cb04d8038bfb49d8' then
        raise exception 'the schema billing is not what the migrations 0001 to 0013 make: they are not noted'
            using errcode = '55000',
                hint = 'a statement failed, or a file is missing or another one: begin with an empty database, and apply each with: psql -X -1 -v ON_ERROR_STOP=1 -f';
    end if;
    insert into billing.schema_migrations (name, sha256)
    values
        ('0001_foundation.sql',
            '344fde111a90e5eedeabefb336a6b030530b8c68db416a863ec9dc32c2ba753d'),
        ('0002_tenants_and_plans.sql',
            '504363667828229727e398ebd2cc0d06012d89771f3dba52738b33c9eaa3adda'),
        ('0003_usage.sql',
            '4ac869fe2d9db502d1f63579eec7ed02b517ae260d04cdd66392e537e6cb58ed'),
        ('0004_seats.sql',
            'eb071ee073483a9a9c849732bf6f5c59cd48b21e2905c870f41ff7745a4197dd'),
        ('0005_close.sql',
            '8d6de21e6cdcc1ac8274464b3dd998093892a0cac03502553f0e5cd48c0211c6'),
        ('0006_tenant_functions.sql',
            'b7e0ca69aac342df22b2247bdee7a8541adf1780f14d9a1bcb27cb72ee7ec110'),
        ('0007_usage_functions.sql',
            '0054f13315ad6c36384163a074d32eba166e2463c2f7505fb14b6495f053e37a'),
        ('0008_entitlement_functions.sql',
            '5392053771a2c9cc0feef5b750eb0418bcb30ecd01a96f788be41e8b9f57954e'),
        ('0009_seat_functions.sql',
            'c6de27e1e66da8bf21a326905be63c5da7c9a611f1f2430bb33e1ef2219e2974'),
        ('0010_isolation.sql',
            '2cabedd94ddfafc9ac846349de4900d70ac32a42bd259b39191a9b77f2f598aa'),
        ('0011_ingest.sql',
            '390967170be1d2e663ed3b6b62d311eb3032269aeb99f38be138bc7e8d14022b'),
        ('0012_push.sql',
            '94794811951a46b9a2623bc56726814c2ded6eba7ac742d077b764ced43696ec'),
        ('0013_sync.sql',
            '870268d258e775266334422a45b0ad994d2ed2f46c62126c681e3d6b8b335ac0')
    on conflict (name) do nothing;
end
$$;
call billing.note_migration('0014_noted.sql', '4694234fb757f3fc938345a754bd5d37026d164c03046ee4ad263ad5d249baa9', '257095839411061d14d7f7752022d6e0295fb025a2b8b8f9cb04d8038bfb49d8');
