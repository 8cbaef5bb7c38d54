#!/usr/bin/env bash
# Connections that are lost while the database is read: the range is read again in the same snapshot
# as long as that lives, else everything; and a signal ends the statement on the server.
#
# The program is stopped (SIGSTOP) as soon as the server sends usage, so that what happens to its
# connections then does happen in the middle.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

PGDATABASE=postgres createdb --template template0 --encoding UTF8 lost
export PGDATABASE=lost
periodclose migrate --database ""
# Periods that begin on the 1st and on the 15th lie in two partitions: two ranges, two connections.
sql <<'ROWS' >"$scratch/sql"
insert into billing.orgs (org_id, anchor_day) select 'org-' || n, case when n % 2 = 0 then 1 else 15 end from generate_series(0, 99) as n;
insert into billing.plans (plan_id) values ('pro');
insert into billing.prices (plan_id, metric, aggregation, included, unit_price) values
    ('pro', 'tokens', 'sum', 100, 0.0001), ('pro', 'disk', 'time_weighted', 3, 2), ('pro', 'models', 'unique', 1, 5);
insert into billing.subscriptions (org_id, plan_id) select org_id, 'pro' from billing.orgs;
select billing.ensure_ledger_partition('2024-07-01Z'), billing.ensure_ledger_partition('2024-08-01Z');
insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity, unique_key)
select
    '2024-07-01Z'::timestamptz + n * interval '8.5 seconds', '2024-08-20Z', 'delta', 'org-' || n % 100,
    (array['tokens', 'tokens', 'disk', 'models'])[1 + n % 4], n % 7 - 2, case when n % 4 = 3 then 'm' || n % 89 end
from generate_series(0, 599999) as n;
-- What travels in another way than most: sets with an id, keys of any length, rows that are late, that
-- open a level, that are no usage.
insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity, reason, event_id, unique_key)
select
    '2024-07-02Z'::timestamptz + n / 3 * interval '2 minutes', '2024-08-20Z'::timestamptz + n % 5 * interval '5 days',
    case when n % 4 = 2 then 'set' else 'delta' end::billing.usage_kind, 'org-' || n % 100,
    (array['tokens', 'tokens', 'disk', 'models'])[1 + n % 4], n % 1000 / 8.0 - 3,
    (array[null, 'file_upload', 'monthly_reset', 'migration'])[1 + n % 7 % 4], 'é' || n,
    case when n % 4 = 3 then (array['', E'\x01', E'\n'])[1 + n % 3] || repeat('ö', n % 700) || n % 3 end
from generate_series(0, 19999) as n
where n % 4 <> 2 or n % 7 % 4 <> 2;
ROWS

options=(--period 2024-07 --cutoff 2024-09-01T00:00:00Z --until project --database "")

copying() { # CONDITION: how many backends send usage now
    sql -c "select count(*) from pg_stat_activity where application_name = 'periodclose' and state = 'active'
        and query like '%usage_ledger%' and $1"
}

# Waits in the server, which sees it sooner than one psql after the other; false after about SECONDS.
until_both_copy() { # SECONDS CONDITION
    sql 2>"$scratch/sql" <<WAIT
do \$\$
begin
    for round in 1 .. 500 * $1 loop
        perform pg_stat_clear_snapshot();
        if 2 <= (
            select count(*) from pg_stat_activity where application_name = 'periodclose' and state = 'active'
                and query like '%usage_ledger%' and $2
        ) then
            return;
        end if;
        perform pg_sleep(0.002);
    end loop;
    raise exception 'they do not copy';
end
\$\$;
WAIT
}

# in_the_middle RUN ACTION...: begins a run, stops it while both connections send, does ACTION, lets
# it go on; its exit status in $status. A run that had too little left to send is begun anew.
in_the_middle() {
    local run=$1 reader is_stopped
    shift
    for _ in {1..20}; do
        rm -rf "${scratch:?}/$run"
        "$program" run "${options[@]}" --jobs 2 --run-dir "$scratch/$run" >"$scratch/out" 2>"$scratch/err" &
        reader=$!
        is_stopped=0
        if until_both_copy 10 true && kill -STOP "$reader" &&
            until_both_copy 4 "wait_event = 'ClientWrite'"; then
            is_stopped=1
            "$@" "$reader"
        fi
        kill -CONT "$reader" 2>/dev/null
        status=0
        wait "$reader" || status=$?
        [ "$is_stopped" -eq 0 ] || break
    done
    [ "$is_stopped" -eq 1 ] || echo "twenty runs were over before they could be stopped"
    cat "$scratch/err"
    [ "$is_stopped" -eq 1 ]
}

# The connection that began first holds the snapshot.
end_backend() { # first | last | all
    local order="backend_start" limit=1
    [ "$1" = first ] || order="backend_start desc"
    [ "$1" != all ] || limit=2
    sql -c "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where application_name = 'periodclose'
        and query like '%usage_ledger%' order by $order limit $limit) as backends" >"$scratch/sql"
}

same_checkpoints() { # RUN
    local stage
    for stage in 20-meter 30-rate 40-project; do
        diff -r "$scratch/calm/$stage" "$scratch/$1/$stage" || return 1
    done
}

calm() {
    expect 0 run "${options[@]}" --jobs 1 --run-dir "$scratch/calm"
}

loses_worker() {
    in_the_middle worker end_backend last && [ "$status" -eq 0 ] && same_checkpoints worker &&
        error_says "its range was read again in the same snapshot" && ! grep -q "again from the start" "$scratch/err"
}

loses_exporter() {
    in_the_middle exporter end_backend first && [ "$status" -eq 0 ] && same_checkpoints exporter &&
        error_says "reading the database again from the start"
}

loses_both() {
    in_the_middle both end_backend all && [ "$status" -eq 0 ] && same_checkpoints both &&
        error_says "reading the database again from the start"
}

interrupt() { kill -INT "$2"; }

ends_statements() {
    local left=1
    in_the_middle interrupted interrupt now && [ "$status" -eq 40 ] || return 1
    SECONDS=0
    while [ "$SECONDS" -lt 60 ]; do
        left=$(copying true)
        [ "$left" -gt 0 ] || break
    done
    [ "$left" -eq 0 ] && expect 0 run "${options[@]}" --jobs 2 --run-dir "$scratch/interrupted" &&
        same_checkpoints interrupted
}

check "a calm run" calm
check "a lost connection is replaced, its range read again in the same snapshot" loses_worker
check "when the one is lost that holds the snapshot, everything is read again" loses_exporter
check "when both are lost, too" loses_both
# Half a million events of two calendars, added up on the server. The extract's bytes are the same.
adds_up() {
    expect 0 run "${options[@]}" --jobs 2 --aggregate server --run-dir "$scratch/summed" &&
        same_checkpoints summed && diff -r "$scratch/calm/10-extract" "$scratch/summed/10-extract"
}

check "sums from the server give the same bytes" adds_up
check "a signal ends the statements on the server, and the run goes on when typed again" ends_statements

finish
