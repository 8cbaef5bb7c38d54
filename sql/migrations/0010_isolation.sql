-- Isolation: who may see and do what. sql/README.md says what the database must trust others for.
--
-- billing_app      the applications: see the org in billing.org_id, write through functions only
-- billing_close    the job: sees and writes all orgs
-- billing_finance  reads all, changes nothing
--
-- Roles are of the whole cluster, so they may be there already. Attributes such as bypassrls are not
-- inherited by members, policies are: so the job has both.

do $$
declare
    wanted record;
begin
    for wanted in
        select *
        from (values
            ('billing_app', '',
                'Applications: see the org in billing.org_id, write through functions of billing only.'),
            ('billing_close', 'bypassrls',
                'The job that closes billing periods: sees and writes all orgs.'),
            ('billing_finance', '',
                'Finance: reads all of the schema billing, changes nothing.')
        ) as roles (name, attribute, about)
    loop
        if exists (select from pg_roles where rolname = wanted.name) then
            continue;
        end if;
        begin
            execute format('create role %I nologin %s', wanted.name, wanted.attribute);
            execute format('comment on role %I is %L', wanted.name, wanted.about);
        exception
            when duplicate_object or unique_violation then
                null; -- made by a migration of another database at this moment
            when insufficient_privilege then
                raise exception 'role % is missing, and % may not create it', wanted.name, current_user
                    using errcode = '42501', hint = format(
                        'as a superuser: create role %I nologin %s', wanted.name, wanted.attribute);
        end;
    end loop;
end
$$;

create procedure billing.isolate(p_table regclass)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('alter table %s enable row level security', p_table);
    execute format('alter table %s force row level security', p_table);
    execute format(
        'create policy own_org on %s using (org_id = billing.current_org()) '
        'with check (org_id = billing.current_org())', p_table);
    execute format(
        'create policy job_works on %s to billing_close using (true) with check (true)', p_table);
    execute format('create policy finance_reads on %s for select to billing_finance using (true)', p_table);
    -- The owner is under row security too, so that an application which connects as the owner by
    -- mistake is isolated as soon as it sets its org. The security definer functions run as the
    -- owner, for the job without any org.
    execute format(
        'create policy owner_without_org on %s to current_user '
        'using (billing.current_org() is null) with check (billing.current_org() is null)', p_table);
end
$$;
comment on procedure billing.isolate(regclass) is
    'Puts a table with an org_id under forced row-level security. Every migration that makes one calls it.';

do $$
declare
    name regclass;
begin
    for name in
        select class.oid
        from pg_class as class
        join pg_attribute as attribute on attribute.attrelid = class.oid
        where class.relnamespace = 'billing'::regnamespace
            and class.relkind in ('r', 'p')
            and not class.relispartition
            and attribute.attname = 'org_id'
            and not attribute.attisdropped
    loop
        call billing.isolate(name);
    end loop;
end
$$;

-- --- rights --------------------------------------------------------------------------------------
-- Never on all tables of the schema: that would include the partitions, and who asks a partition
-- directly is not held back by the policies of its parent.

revoke all on schema billing from public;
grant usage on schema billing to billing_app, billing_close, billing_finance;

do $$
declare
    name regclass;
begin
    for name in
        select oid
        from pg_class
        where relnamespace = 'billing'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition
    loop
        execute format('revoke all on %s from public', name);
        execute format('grant select on %s to billing_close, billing_finance', name);
    end loop;
end
$$;

-- The application reads. Tokens of invitations it does not even see as digests.
grant select on
    billing.orgs, billing.plans, billing.prices, billing.price_tiers, billing.subscriptions,
    billing.org_limits, billing.setting_defaults, billing.org_settings, billing.role_permissions,
    billing.usage_ledger, billing.usage_cache, billing.entitlement_actions, billing.seat_events,
    billing.seat_intervals, billing.user_seats, billing.org_billing_usage_monthly,
    billing.org_billing_usage_classic, billing.org_billing_overages, billing.org_periods,
    billing.usage_alerts, billing.currencies, billing.timezones
to billing_app;
grant select (invitation_id, org_id, email, role, status, created_at, expires_at, accepted_at,
    accepted_by, cancelled_at, cancel_reason, resent_count, last_sent_at)
on billing.seat_invitations to billing_app;

-- The job writes. Where it may only add, the tables refuse more to everybody.
grant insert, update, delete on
    billing.orgs, billing.plans, billing.prices, billing.price_tiers, billing.subscriptions,
    billing.org_limits, billing.setting_defaults, billing.org_settings, billing.entitlement_actions,
    billing.usage_cache, billing.user_seats, billing.seat_invitations, billing.close_runs,
    billing.usage_alerts
to billing_close;
grant insert on
    billing.timezones, billing.usage_ledger, billing.usage_keys, billing.seat_events,
    billing.org_periods, billing.org_billing_usage_monthly, billing.org_billing_terms, billing.sealed_plans, billing.sealed_prices, billing.sealed_tiers
to billing_close;
grant insert, update on billing.org_billing_overages to billing_close;
grant usage on sequence billing.seat_ids, billing.subscriptions_subscription_id_seq to billing_close;

-- --- functions -----------------------------------------------------------------------------------

do $$
declare
    name regprocedure;
begin
    for name in select oid from pg_proc where pronamespace = 'billing'::regnamespace and not exists (
        select from pg_depend where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e')
    loop
        execute format('revoke all on routine %s from public', name);
    end loop;
end
$$;

-- Needed by policies and checks of whoever reads or writes.
grant execute on function
    billing.current_org(), billing.check_decimal(numeric, text)
to billing_app, billing_close, billing_finance;

-- Reading.
grant execute on function
    billing.authorize(text, text, text), billing.settings(text),
    billing.plan_at(text, timestamptz), billing.local_midnight(date, text),
    billing.period_start(date, text, integer), billing.parse_month(text),
    billing.get_usage(text), billing.fold_usage(text, text), billing.usage_drift(),
    billing.overage_cost(text, text, numeric), billing.used_seats(text),
    billing.pending_invitations(text), billing.used_seat_of(text, text),
    billing.metric_state(text, text), billing.cost_so_far(text, text, numeric),
    billing.judge_more(text, text, numeric, numeric), billing.check_entitlement(text, text),
    billing.seat_allocation(text), billing.can_assign_seat(text)
to billing_app, billing_close, billing_finance;

-- Writing for one org, with the owner's rights and a check of their own.
grant execute on function
    billing.increment_usage(text, text, numeric, text, timestamptz, text, text),
    billing.set_usage(text, text, numeric, text, timestamptz, text, text),
    billing.assign_seat(text, text, text, timestamptz, text),
    billing.revoke_seat(text, text, text),
    billing.invite_seat(text, text, text),
    billing.resend_invitation(text, text),
    billing.cancel_invitation(text, text, text),
    billing.accept_invitation(text, text)
to billing_app, billing_close;

-- The job's own.
grant execute on function
    billing.caller(), billing.is_job(),
    billing.usage_content(text, billing.usage_kind, numeric, text),
    billing.ensure_ledger_partition(timestamptz),
    billing.reset_usage(text), billing.rebuild_user_seats(text),
    billing.claim_period(text, date, jsonb, text, text, text, bigint, timestamptz),
    billing.release_claim(bigint, text), billing.refresh_timezones()
to billing_close;
