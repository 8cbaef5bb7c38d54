-- What periodclose push needs: how far the ledger was sent, and what of it was not.
--
-- The cursor is a snapshot: what was visible in it is done. No number or time stamp of a row would
-- do, since transactions commit in another order than they write.

-- To find what was written since: narrow enough to cost an insert nothing that can be measured.
create index usage_ledger_written on billing.usage_ledger
using brin (((recorded_xid::text)::bigint)) with (pages_per_range = 32, autosummarize = on);

create table billing.push_cursors (
    target text primary key check (target in ('dodo')),
    begins_at billing.instant not null,
    done_until pg_snapshot,
    sending_until pg_snapshot,
    rows_done bigint not null default 0 check (rows_done >= 0),
    rows_sent bigint not null default 0 check (rows_sent >= 0),
    pushed_at billing.instant
);
comment on table billing.push_cursors is
    'How far the ledger was sent. Snapshots are of this cluster: after a dump and restore elsewhere, delete the row; the first push then begins anew, with what occurred within the hour.';
comment on column billing.push_cursors.begins_at is
    'The first push sends no usage from before: it would be too old.';
comment on column billing.push_cursors.done_until is 'What it sees is done. Null: nothing yet.';
comment on column billing.push_cursors.sending_until is
    'What it sees, and done_until does not, is being sent: rows_done rows of it, in their order, are. Null: nothing is.';

create table billing.push_unsent (
    target text not null check (target in ('dodo')),
    event_id text collate "C" not null check (event_id ~ '^[0-9a-f]{32}$'),
    org_id billing.id not null references billing.orgs,
    metric billing.metric not null,
    kind billing.usage_kind not null,
    quantity billing.quantity not null,
    occurred_at billing.instant not null,
    unique_key text collate "C",
    reason text not null check (reason in ('too_old', 'ahead', 'refused')),
    detail text,
    listed_at billing.instant not null default now(),
    primary key (target, event_id)
);
comment on table billing.push_unsent is
    'Usage that push could not send: too_old (the other side refuses what is older than an hour), ahead (its time stamp lies in the future; sent by a later push, when it is due), refused (detail says why). Bill what stays here by hand, or delete the row once it is settled.';
comment on column billing.push_unsent.event_id is 'The id under which it would have been sent.';

call billing.isolate('billing.push_unsent');

do $$
begin
    revoke all on billing.push_cursors, billing.push_unsent from public;
    grant select, insert, update, delete on billing.push_cursors, billing.push_unsent to billing_close;
    grant select on billing.push_cursors, billing.push_unsent to billing_finance;
end
$$;
