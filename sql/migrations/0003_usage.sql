-- Usage: the append-only ledger, the keys that tell its events apart, and the cache of what stands.
--
-- The ledger is read whole, by physical ranges of its partitions, when a period is closed: its row is
-- narrow (fixed columns first, so that no padding lies between), and it has no index at all. What
-- needs to be found fast is elsewhere: an event by its key in usage_keys, what an org has used so far
-- in usage_cache. It has no foreign key either: every row is written together with a row of
-- usage_cache, which has one, and checking it once more for millions of rows would tell nothing.

create type billing.usage_kind as enum ('delta', 'set');
comment on type billing.usage_kind is 'A row of the ledger changes a quantity, or sets a level.';

create table billing.usage_ledger (
    occurred_at timestamptz not null check (isfinite(occurred_at)),
    recorded_at timestamptz default now() check (isfinite(recorded_at)),
    recorded_xid xid8 not null default pg_current_xact_id(),
    kind billing.usage_kind not null,
    org_id billing.id not null,
    metric billing.metric not null,
    quantity billing.quantity not null,
    reason text collate "C" check (octet_length(reason) between 1 and 128),
    event_id billing.event_key,
    unique_key text collate "C" check (unique_key <> '')
) partition by range (occurred_at);
comment on table billing.usage_ledger is
    'Every change of usage, by the month (UTC) in which it occurred. Append-only. Written by billing.increment_usage and billing.set_usage, and by periodclose ingest and backfill.';
comment on column billing.usage_ledger.recorded_at is
    'When it was written here. Null: not known (read from a file without that column); such a row counts as recorded in time.';
comment on column billing.usage_ledger.recorded_xid is
    'The writing transaction. A close sees it or does not, whatever the clocks said (close_runs.snapshot).';
comment on column billing.usage_ledger.reason is
    'Why: member_added, file_upload, … Rows of monthly_reset, and of migration for a flow, move the cache only: a close counts them as administrative, never as usage.';
comment on column billing.usage_ledger.event_id is
    'The idempotency key, if it has one (see usage_keys). Kept here too: rows of a level in one instant are ordered by it.';
comment on column billing.usage_ledger.unique_key is
    'What metrics aggregated by unique count the distinct values of.';

create function billing.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '% of billing.% is refused: it is append-only', lower(tg_op), tg_table_name
        using errcode = '42501', hint = 'write a row that corrects it';
end
$$;
comment on function billing.refuse_change() is
    'Trigger of append-only tables: refuses update, delete and truncate.';

-- Rows are guarded in every partition by this one; truncate by one that each partition gets of its own.
create trigger append_only before update or delete on billing.usage_ledger
for each row execute function billing.refuse_change();
create trigger append_only_truncate before truncate on billing.usage_ledger
for each statement execute function billing.refuse_change();

create function billing.ensure_ledger_partition(p_occurred_at timestamptz) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    month_start timestamp := date_trunc('month', p_occurred_at at time zone 'UTC');
    partition text := 'usage_ledger_' || to_char(month_start, 'YYYY_MM');
begin
    if not isfinite(p_occurred_at) or extract(year from month_start) not between 1 and 9999 then
        raise exception 'there is no partition for %', p_occurred_at using errcode = '22008';
    end if;
    if to_regclass(format('billing.%I', partition)) is not null then
        return false;
    end if;
    -- One creator at a time; who writes or reads other partitions is not held up: attaching takes
    -- this lock and no stronger one, where create … partition of would take the strongest.
    lock table billing.usage_ledger in share update exclusive mode;
    if to_regclass(format('billing.%I', partition)) is not null then
        return false;
    end if;
    execute format(
        'create table billing.%I (like billing.usage_ledger including defaults including constraints)',
        partition);
    execute format('alter table billing.%I enable row level security', partition);
    execute format('alter table billing.%I force row level security', partition);
    execute format('revoke all on billing.%I from public', partition);
    execute format(
        'create trigger append_only_truncate before truncate on billing.%I '
        'for each statement execute function billing.refuse_change()', partition);
    execute format(
        'alter table billing.usage_ledger attach partition billing.%I for values from (%L) to (%L)',
        partition,
        month_start at time zone 'UTC',
        (month_start + interval '1 month') at time zone 'UTC');
    return true;
end
$$;
comment on function billing.ensure_ledger_partition(timestamptz) is
    'Makes the ledger''s partition for the month (UTC) of that instant, unless it is there; returns whether it made one. Called by whatever writes the ledger. Security definer, since only the owner may make partitions.';

create table billing.usage_keys (
    org_id billing.id not null references billing.orgs,
    event_id billing.event_key not null,
    content bytea not null check (octet_length(content) = 16),
    occurred_at billing.instant not null,
    primary key (org_id, event_id)
);
comment on table billing.usage_keys is
    'Idempotency keys of the ledger''s events. Not partitioned: a retry after midnight, or with the month''s end between, is still a retry.';
comment on column billing.usage_keys.content is
    'What the event says (billing.usage_content): the same key with other content is an error.';
comment on column billing.usage_keys.occurred_at is
    'Part of that content; beside it, as a retry may leave it out. Also tells in which partition the event is.';

create function billing.usage_content(
    p_metric text, p_kind billing.usage_kind, p_quantity numeric, p_unique_key text
) returns bytea
language sql immutable parallel safe
as $$
    select substr(sha256(convert_to(
        octet_length(p_metric) || ':' || p_metric
        || case p_kind when 'set' then '=' else '+' end || trim_scale(p_quantity)
        || coalesce('#' || p_unique_key, ''), 'UTF8')), 1, 16)
$$;
comment on function billing.usage_content(text, billing.usage_kind, numeric, text) is
    'Digest (first 16 bytes of SHA-256) of what makes two rows of one key the same event, but for the instant: metric, kind, quantity, unique_key.';

create table billing.usage_cache (
    org_id billing.id not null references billing.orgs,
    metric billing.metric not null,
    count billing.quantity not null,
    last_updated billing.instant not null default now(),
    set_at billing.instant,
    changed_at billing.instant,
    primary key (org_id, metric)
) with (fillfactor = 70);
comment on table billing.usage_cache is
    'What stands per org and metric, for entitlement checks; never billed from. Equals the ledger: the quantity of the last set row plus the changes since then, or the sum of all changes.';
comment on column billing.usage_cache.set_at is
    'When the last set row occurred; changes from before it are part of it. Null: there is none.';
comment on column billing.usage_cache.changed_at is 'When the last change (delta) occurred.';

-- --- what may be done ----------------------------------------------------------------------------

create table billing.entitlement_actions (
    action text collate "C" primary key check (action ~ '^[a-z][a-z0-9_]*$'),
    metric billing.metric,
    amount billing.amount not null default 1,
    feature text collate "C" references billing.setting_defaults,
    about text not null
);
comment on table billing.entitlement_actions is
    'Actions that billing.check_entitlement decides on: which metric they use, how much of it, and the feature switch they need.';
comment on column billing.entitlement_actions.metric is 'Null: the action uses nothing that is metered.';
comment on column billing.entitlement_actions.amount is
    'Units that one action uses. Zero: allowed as long as there is something left.';

insert into billing.entitlement_actions (action, metric, amount, feature, about) values
    ('use_tokens', 'tokens', 1, null, 'let a model answer'),
    ('run_playbook', 'playbook_runs', 1, 'feature.playbooks', 'run a playbook'),
    ('add_seat', 'seats', 1, null, 'give a user a seat'),
    ('invite_user', 'seats', 1, 'feature.invitations', 'invite a user'),
    ('upload_file', 'storage_bytes', 1, 'feature.storage', 'store a file'),
    ('call_api', 'api_calls', 1, 'feature.api', 'call the API'),
    ('export_data', 'exports', 1, 'feature.exports', 'export data');
