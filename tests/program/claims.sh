#!/usr/bin/env bash
# Runs of one database beside one another: races for a claim, runs of different orgs, a claim that is
# released while its run lives; guards and overage billing that is off, where results are recorded.
#
# A lock that psql holds stops a run where it is to be stopped: in extract, or in record.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
PGDATABASE=postgres createdb --template template0 --encoding UTF8 claims
export PGDATABASE=claims
periodclose migrate --database ""
# Each month elm costs 10.00 usd, fir 20.00, oak 30.00.
sql >"$scratch/sql" <<'ROWS'
insert into billing.orgs (org_id) values ('elm'), ('fir'), ('oak');
insert into billing.plans (plan_id) values ('pro');
insert into billing.prices (plan_id, metric, included, unit_price) values ('pro', 'runs', 5, 2);
insert into billing.subscriptions (org_id, plan_id) select org_id, 'pro' from billing.orgs;
insert into billing.usage_cache (org_id, metric, count) select org_id, 'runs', 1 from billing.orgs;
select billing.ensure_ledger_partition(month) from generate_series('2025-01-10Z'::timestamptz, '2025-12-10Z', '1 month') as month;
insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity)
select month, month, 'delta', org_id, 'runs', 5 + 5 * number
from generate_series('2025-01-10Z'::timestamptz, '2025-12-10Z', '1 month') as month,
    (values ('elm', 1), ('fir', 2), ('oak', 3)) as own (org_id, number);
ROWS

is() { # SQL EXPECTED
    local got
    got=$(sql -c "$1") || return 1
    [ "$got" = "$2" ] || { echo "$1: $got, expected $2"; return 1; }
}
closing() { # STATUS MONTH RUN OPTION...
    local status=$1 month=$2 run=$3
    shift 3
    expect "$status" run --database "" --period "$month" --now 2026-02-01T00:00:00Z --run-dir "$scratch/$run" "$@"
}
begin() { # MONTH RUN OPTION...: beside the script; its number in $!
    local month=$1 run=$2
    shift 2
    "$program" run --database "" --period "$month" --now 2026-02-01T00:00:00Z --run-dir "$scratch/$run" "$@" >"$scratch/$run.out" 2>&1 &
}
ended() { # NUMBER EXPECTED RUN
    local got=0
    wait "$1" || got=$?
    [ "$got" -eq "$2" ] || { echo "$3 ended with $got, expected $2"; cat "$scratch/$3.out"; return 1; }
}
hold() { # MODE TABLE: a lock, until let_go
    hold_lock "lock table billing.$2 in $1 mode;"
}
claim_of() { sql -c "select run_id from billing.period_claims where run_dir = '$scratch/$1'"; }

# --- side by side -------------------------------------------------------------------------------

overlapping() {
    closing 11 2025-01 both --org oak --org fir && error_says "claimed by run $(claim_of fir): $scratch/fir on" &&
        closing 11 2025-01 all && error_says "claimed by run"
}
side_by_side() {
    local elm fir
    hold exclusive org_billing_terms || return 1
    begin 2025-01 elm --org elm
    elm=$!
    begin 2025-01 fir --org fir
    fir=$!
    until_waiting 2 || { let_go; return 1; }
    overlapping
    local refused=$?
    let_go
    [ "$refused" -eq 0 ] && ended "$elm" 0 elm && ended "$fir" 0 fir && closing 0 2025-01 both --org oak --org fir &&
        is "select string_agg(org_id || ' ' || trim_scale(billed) || ' ' || run_id, ', ' order by org_id) from billing.org_billing_overages" \
            "$(sql -c "select string_agg(own.org_id || ' ' || own.billed || ' ' || runs.run_id, ', ' order by own.org_id)
                from (values ('elm', 10, 'elm'), ('fir', 20, 'fir'), ('oak', 30, 'both')) as own (org_id, billed, run)
                join billing.close_runs as runs on runs.run_dir = '$scratch/' || own.run and runs.state = 'recorded'")" &&
        is "select count(*) from billing.period_claims" 0
}
race() {
    local month number first second status_first status_second
    for number in 02 03 04 05; do
        month=2025-$number
        begin "$month" "left-$number"
        first=$!
        begin "$month" "right-$number"
        second=$!
        status_first=0 status_second=0
        wait "$first" || status_first=$?
        wait "$second" || status_second=$?
        case "$status_first $status_second" in
        "0 0" | "0 11" | "11 0") ;;
        *) echo "$month: $status_first $status_second"; cat "$scratch/left-$number.out" "$scratch/right-$number.out"; return 1 ;;
        esac
        is "select count(distinct recorded_by) || ' ' || count(*) from billing.org_periods where period = '$month-01'" "1 3" &&
            is "select count(*) || ' ' || trim_scale(sum(billed)) from billing.org_billing_overages where period = '$month-01'" "3 60" || return 1
    done
    is "select count(*) from billing.close_runs where state = 'running'" 0
}
check "runs over different orgs go side by side, and overlapping ones name the first" side_by_side
check "of two that race for a period one records it" race

# --- a claim that was released while its run lives ------------------------------------------------

released_alive() {
    local run number
    hold "access exclusive" usage_ledger || return 1
    begin 2025-06 alive
    run=$!
    until_waiting 1 || { let_go; return 1; }
    number=$(claim_of alive)
    expect 0 claims --database "" --release "$number" --reason "taken for dead" || { let_go; return 1; }
    let_go
    ended "$run" 11 alive && grep -qF "the claim of run $number on the period was given back" "$scratch/alive.out" &&
        grep -q "^hint: .*Type the same command again" "$scratch/alive.out" &&
        is "select count(*) from billing.org_periods where period = '2025-06-01'" 0 &&
        is "select count(*) from billing.org_billing_usage_monthly where period = '2025-06-01'" 0 &&
        is "select state from billing.close_runs where run_id = $number" abandoned &&
        closing 0 2025-06 alive && is "select count(*), count(distinct recorded_by), min(recorded_by) > $number from billing.org_periods where period = '2025-06-01'" "3|1|t"
}
overtaken() {
    local run number
    hold "access exclusive" usage_ledger || return 1
    begin 2025-07 slow
    run=$!
    until_waiting 1 || { let_go; return 1; }
    number=$(claim_of slow)
    kill -STOP "$run"
    let_go
    expect 0 claims --database "" --release "$number" --reason "taken for dead" && closing 0 2025-07 fast
    kill -CONT "$run"
    ended "$run" 11 slow && is "select count(*) || ' ' || trim_scale(sum(billed)) from billing.org_billing_overages where period = '2025-07-01'" "3 60" &&
        is "select distinct run_dir from billing.close_runs join billing.org_periods on recorded_by = run_id where org_periods.period = '2025-07-01'" "$scratch/fast"
}
check "a run whose claim was released records nothing, and asks for one of its own" released_alive
check "nor when another has recorded in its place" overtaken

# --- guards, and overage that is not billed -----------------------------------------------------

guarded() {
    closing 14 2025-08 guarded --max-total usd=59.99 && error_says "60.00 USD" "usd=59.99" &&
        is "select count(*) from billing.org_periods where period = '2025-08-01'" 0 &&
        is "select count(*) from billing.period_claims" 0 && closing 0 2025-08 guarded --max-total usd=60 --max-change 0
}
guards_change() {
    sql -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at, recorded_at) values ('oak', 'runs', 'delta', 6, '2025-09-12Z', '2025-09-12Z')"
    closing 14 2025-09 changed --max-change 19.9 && error_says "72.00 USD" "60.00 USD" "19.9" &&
        is "select count(*) from billing.org_periods where period = '2025-09-01'" 0 && closing 0 2025-09 changed --max-change 20
}
switched_off() {
    PERIODCLOSE_OVERAGE_BILLING=false closing 0 2025-10 off &&
        is "select string_agg(concat_ws(' ', org_id, trim_scale(cost), trim_scale(billed), item_status), ', ' order by org_id) from billing.org_billing_overages where period = '2025-10-01'" \
            "elm 10 10 disabled, fir 20 20 disabled, oak 30 30 disabled" &&
        is "select sum(usage)::int from billing.org_billing_usage_monthly where period = '2025-10-01'" 45 &&
        closing 0 2025-10 off-again && is "select count(*) from billing.org_billing_overages where period = '2025-10-01'" 3 &&
        [ "$(grep -c ',disabled,$' "$scratch/off-again/reports/overages.csv")" -eq 3 ]
}
switched_off_for_one() {
    sql -c "update billing.orgs set overage_enabled = false where org_id = 'fir'"
    closing 0 2025-11 one-off &&
        is "select string_agg(concat_ws(' ', org_id, trim_scale(billed), item_status), ', ' order by org_id) from billing.org_billing_overages where period = '2025-11-01'" \
            "elm 10 recorded, fir 20 disabled, oak 30 recorded"
}
revised_later() { # what was not billed then stays so; the difference is
    sql -c "update billing.orgs set overage_enabled = true where org_id = 'fir'" \
        -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at) values ('fir', 'runs', 'delta', 4, '2025-11-12Z')"
    closing 0 2025-11 one-on --cutoff 2999-01-01T00:00:00Z --force --reason "late" &&
        is "select string_agg(concat_ws(' ', revision, trim_scale(cost), trim_scale(billed), item_status), ', ' order by revision) from billing.org_billing_overages where period = '2025-11-01' and org_id = 'fir'" \
            "1 20 20 disabled, 2 28 8 recorded"
}
check "a guard stops before anything is recorded, and the claim is given back" guarded
check "so does a cost that differs from the one recorded for the month before" guards_change
check "overage billing off: metered, rated and recorded, and no item is to be sent" switched_off
check "off for one org" switched_off_for_one
check "a later revision bills the difference alone" revised_later

finish
