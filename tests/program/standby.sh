#!/usr/bin/env bash
# A hot standby: reading there is fine, and what wants to write names the primary. The standby is a
# base backup of the throw-away cluster of this suite, started beside it and ended with it.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
PGDATABASE=postgres createdb --template template0 --encoding UTF8 primary
export PGDATABASE=primary
periodclose migrate --database ""
sql >"$scratch/sql" <<'ROWS'
insert into billing.orgs (org_id) values ('elm');
insert into billing.plans (plan_id) values ('pro');
insert into billing.prices (plan_id, metric, included, unit_price) values ('pro', 'runs', 5, 2);
insert into billing.subscriptions (org_id, plan_id) values ('elm', 'pro');
insert into billing.usage_cache (org_id, metric, count) values ('elm', 'runs', 9);
select billing.ensure_ledger_partition('2025-01-10Z');
insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity) values ('2025-01-10Z', '2025-01-10Z', 'delta', 'elm', 'runs', 9);
ROWS

# A server of the same version, on a socket of its own, with a limit to its life.
folder=$scratch/standby
bin=$(sql -c "select setting from pg_config where name = 'BINDIR'")
as_server() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start_standby() {
    timeout 200 pg_basebackup -D "$folder" -X stream -R -c fast >"$scratch/backup" 2>&1 || { cat "$scratch/backup"; return 1; }
    printf 'local all all trust\n' >"$folder/pg_hba.conf"
    : >"$folder/pg_ident.conf"
    cat >"$folder/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$folder'
hot_standby = on
CONF
    if [ "$(id -u)" -eq 0 ]; then
        chmod 755 "$scratch" && chown -R postgres "$folder" || return 1
    fi
    chmod 700 "$folder"
    as_server timeout 1200 "$bin/postgres" -D "$folder" >"$scratch/standby.log" 2>&1 &
    server=$!
    SECONDS=0
    while [ "$SECONDS" -lt 60 ]; do
        kill -0 "$server" 2>/dev/null || break
        if as_server pg_isready -q -t 1 -h "$folder" && [ "$(on_standby sql -c "select pg_is_in_recovery()" 2>"$scratch/sql")" = t ]; then
            return
        fi
    done
    cat "$scratch/standby.log"
    return 1
}
on_standby() { PGHOST=$folder PGUSER=postgres "$@"; }
stop_standby() {
    [ -z "${server:-}" ] || { as_server "$bin/pg_ctl" -D "$folder" -m immediate -t 20 stop >"$scratch/stop" 2>&1 || kill "$server"; wait "$server"; }
}
trap 'stop_standby; clean_up' EXIT

closing() { # STATUS RUN OPTION...
    local status=$1 run=$2
    shift 2
    expect "$status" run --database "host=$folder user=postgres" --period 2025-01 --now 2025-03-01T00:00:00Z --run-dir "$scratch/$run" "$@"
}
caught_up() {
    local wanted
    wanted=$(sql -c "select pg_current_wal_lsn()")
    on_standby sql <<WAIT
do \$\$
begin
    for round in 1 .. 6000 loop
        if pg_last_wal_replay_lsn() >= '$wanted' then
            return;
        end if;
        perform pg_sleep(0.01);
    end loop;
    raise exception 'it does not catch up';
end
\$\$;
WAIT
}

check "a standby is started" start_standby
check "and has what the primary has" caught_up
check "a close that is to record there stops before it reads, and says where to" all \
    closing 20 recorded -- error_says "is a read-only standby: nothing can be recorded there" "name the primary with --database" "--until project" -- \
    [ ! -e "$scratch/recorded/10-extract" ]
check "computing is fine, in parallel too" closing 0 computed --until project --jobs 2
tries() {
    closing 0 tried --dry-run && cat "$scratch/tried/dry-run/reports/overages.csv" && grep -q ',8.00,0.00,8.00,1,' "$scratch/tried/dry-run/reports/overages.csv"
}
goes_on() {
    expect 0 run --run-dir "$scratch/computed" --database "" && cat "$scratch/err" && [ "$(sql -c "select trim_scale(billed) from billing.org_billing_overages")" = 8 ]
}
asks() {
    caught_up && on_standby expect 0 summary --org elm --database "" && cat "$scratch/out" && grep -q '"totalCost":800' "$scratch/out" &&
        on_standby expect 0 check --org elm --action call_api --database "" && on_standby expect 0 seats --org elm --database "" &&
        on_standby expect 0 claims --database ""
}
check "and a dry run shows what would be recorded" tries
check "the computed run goes on at the primary" goes_on
check "migrate has nothing to write there" all on_standby expect 20 migrate --database "" -- error_says "read-only standby" "name the primary"
check "but lists" all on_standby expect 0 migrate --database "" --dry-run -- grep -q "^0 to be applied" "$scratch/out"
printf 'org_id,metric,quantity,occurred_at\nelm,runs,1,2025-01-11T00:00:00Z\n' >"$scratch/usage.csv"
check "ingest names the primary" all on_standby expect 20 ingest --database "" "$scratch/usage.csv" -- error_says "hint: " "primary"
check "so do waive" all on_standby expect 20 waive --period 2025-01 --database "" --org elm --metric runs --reason test -- error_says "hint: " "primary"
check "and releasing a claim" all on_standby expect 20 claims --database "" --release 1 --reason test -- error_says "hint: " "primary"
check "what only asks is answered" asks

finish
