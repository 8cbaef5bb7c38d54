#!/usr/bin/env bash
# What an operator sets for a close: limits that stop one that looks wrong before anything is
# recorded, and overage that is metered and reported but not billed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

data=$scratch/data
run=$scratch/run
now=2026-11-10T00:00:00Z

# fern costs 10.00 usd, moss 300 jpy; the month before, fern cost 8.00 usd.
write_dataset() {
    mkdir -p "$data"
    printf 'org_id,currency\nfern,usd\nmoss,jpy\n' >"$data/orgs.csv"
    printf 'plan_id,currency\nbasic,usd\nyen,jpy\n' >"$data/plans.csv"
    printf 'plan_id,metric,unit_price\nbasic,runs,2\nyen,runs,100\n' >"$data/prices.csv"
    printf 'org_id,plan_id\nfern,basic\nmoss,yen\n' >"$data/subscriptions.csv"
    printf '%s\n' org_id,metric,quantity,occurred_at fern,runs,5,2026-10-02T00:00:00Z \
        moss,runs,3,2026-10-03T00:00:00Z >"$data/usage.csv"
    printf '%s\n' org_id,metric,period,quantity,cost fern,runs,2026-09,4,8 >"$data/usage_history.csv"
}

close_with() { # close_with STATUS OPTION...: a new run
    local expected=$1
    shift
    rm -rf "$run"
    expect "$expected" run --source "$data" --run-dir "$run" --period 2026-10 --now "$now" "$@"
}

told_once() { # told_once STAGE: one line about it on stderr
    [ "$(grep -c "^$1 " "$scratch/err")" -eq 1 ] && return
    cat "$scratch/err"
    return 1
}

nothing_recorded() {
    [ -e "$run/40-project" ] && [ ! -e "$run/50-record" ] && return
    find "$run"
    return 1
}

fails_usage() { # fails_usage WORD OPTION...: exit 2, naming the word, and no run is begun
    local word=$1
    shift
    close_with 2 "$@" && error_says "$word" && [ ! -e "$run" ]
}

write_dataset
check 'a total as high as allowed passes' all close_with 0 --max-total usd=10 --max-total JPY=300 \
    -- told_once rate -- told_once record
check 'a higher one stops before anything is recorded' all close_with 14 --max-total usd=9.99 -- \
    nothing_recorded -- error_says '10.00 USD' 'usd=9.99' 'next: periodclose report' -- type_next -- \
    error_says "next: less $run/reports/overages.csv" -- type_next
check 'also in the second currency' all close_with 14 --max-total usd=10 --max-total jpy=299 -- \
    error_says '300 JPY' jpy=299
check 'reports can be read before deciding' all expect 0 report "$run" -- \
    grep -q ^moss,.*,300,0,300,1,computed, "$run/reports/overages.csv"
held() { # held COMMAND ARGUMENT...: what that one tells to type next is held, too
    expect 0 "$@" && expect_told 14 && nothing_recorded && error_says '300 JPY' jpy=299
}
check 'the limit holds for what status tells to type' held status "$run"
check 'and after the reports were read' all expect 0 report "$run" -- \
    expect 14 run --run-dir "$run" -- nothing_recorded
check 'and for the same command without it' all expect 14 run --source "$data" --run-dir "$run" \
    --period 2026-10 --now "$now" -- nothing_recorded
check 'status tells it' all expect 0 status "$run" -- \
    grep -q '^limits  *--max-total usd=10 --max-total jpy=299$' "$scratch/out"
check 'another one for another currency changes nothing' all \
    expect 14 run --run-dir "$run" --max-total usd=20 -- error_says jpy=299
check 'the same run goes on with another limit' all \
    expect 0 run --run-dir "$run" --max-total jpy=300 -- told_once extract -- told_once record
check 'and is not looked at again when it is done' all expect 0 run --run-dir "$run" --max-total jpy=1
check 'a change as large as allowed passes, and what cannot be compared is told' all \
    close_with 0 --max-change 25 -- error_says 'no jpy cost'
check 'a larger one stops' all close_with 14 --max-change 24.9 -- nothing_recorded -- \
    error_says '10.00 USD' '8.00 USD' 24.9
sed -i s/,4,8$/,4,16/ "$data/usage_history.csv"
check 'so does a fall' all close_with 14 --max-change 37 -- error_says '16.00 USD'
check 'which may be allowed' close_with 0 --max-change 37.5
check 'a run that ends before recording is not looked at' close_with 0 --max-total usd=1 --until rate
check 'but when it goes on' expect 14 run --run-dir "$run"
check 'a limit that is typed anew holds from then on' all \
    expect 14 run --run-dir "$run" --max-total usd=2 -- \
    expect 14 run --run-dir "$run" -- error_says usd=2
check 'begun anew, the run is held to it, too' all expect 14 run --run-dir "$run" --restart -- \
    expect 14 run --source "$data" --run-dir "$run" --period 2026-10 --now "$now" --restart -- \
    error_says usd=2 -- nothing_recorded
check 'nothing but a word lifts it, and that is kept' all \
    expect 0 run --run-dir "$run" --max-total none --until project -- \
    grep -q '"max_total": "none"' "$run/manifest.json" -- expect 0 run --run-dir "$run"
check 'one currency can be lifted alone' all \
    close_with 14 --max-total usd=1 --max-total jpy=1 --max-change 1 -- \
    expect 14 run --run-dir "$run" --max-total usd=none -- error_says jpy=1 -- \
    expect 14 run --run-dir "$run" --max-total jpy=none -- error_says --max-change -- \
    expect 0 run --run-dir "$run" --max-change none

# A dry run shows what the run would come to: also that it would stop.
held_dry() {
    close_with 0 --max-total usd=9 --until rate && expect 14 run --run-dir "$run" --dry-run &&
        error_says '10.00 USD' usd=9 'would stop here, too' && type_next &&
        expect 14 run --source "$data" --run-dir "$run" --period 2026-10 --now "$now" --dry-run &&
        expect 0 run --run-dir "$run" --dry-run --max-total none && expect 14 run --run-dir "$run"
}
check 'a dry run is held to it, too, and lifts it for itself alone' held_dry

# Whoever begins anew what cannot be read says what is to hold.
held_over_damage() {
    local restart=(run --source "$data" --run-dir "$run" --period 2026-10 --now "$now" --restart)
    close_with 14 --max-total usd=9 --max-change 20 && rm -rf "$run.1" || return 1
    sed -i 's/"usd=9"/"usd=8"/' "$run/manifest.json"
    expect 12 "${restart[@]}" && error_says "$run/manifest.json" '--max-total' usd=8 'hint: type' &&
        expect 12 "${restart[@]}" --max-total none && error_says '--max-change' "reads '20'" &&
        expect 12 "${restart[@]}" --dry-run && [ ! -e "$run.1" ] &&
        expect 14 "${restart[@]}" --max-total usd=7 --max-change none && error_says usd=7 &&
        [ -e "$run.1" ]
}
unknown_over_damage() {
    : >"$run/manifest.json"
    rm -rf "$run.1"
    expect 0 run --source "$data" --run-dir "$run" --period 2026-10 --now "$now" --restart &&
        error_says 'if --max-total was kept in it, it holds no more' \
            'if --max-change was kept in it, it holds no more'
}
check 'a limit in a damaged manifest is not lost by beginning anew: it must be typed' \
    held_over_damage
check 'and where nothing can be read, that is told' unknown_over_damage

# Nothing is sealed yet: what is typed may be a correction, but no limit is forgotten.
held_after_bad_rows() {
    cp "$data/usage.csv" "$scratch/usage.csv"
    echo fern,runs,many,2026-10-02T00:00:00Z >>"$data/usage.csv"
    close_with 10 --max-total usd=1
    local result=$?
    cp "$scratch/usage.csv" "$data/usage.csv"
    [ "$result" -eq 0 ] && expect 14 run --source "$data" --run-dir "$run" --period 2026-10 \
        --now "$now" && error_says usd=1
}
check 'a run that stopped at bad rows is held to its limit when they are corrected' \
    held_after_bad_rows
check 'limits are checked before anything is computed' all fails_usage 10000 --max-total 10000 -- \
    fails_usage xyz --max-total xyz=1 -- fails_usage -1 --max-total usd=-1 -- \
    fails_usage 1e3 --max-total usd=1e3 -- fails_usage 25% --max-change 25% -- \
    fails_usage -5 --max-change=-5 -- fails_usage xyz --max-total xyz=none

# --- overage that is not billed ---

disabled_is() {
    grep -q '^fern,.*,10.00,0.00,10.00,1,disabled,$' "$run/reports/overages.csv" &&
        grep -q '^moss,.*,300,0,300,1,disabled,$' "$run/reports/overages.csv" && return
    cat "$run/reports/overages.csv"
    return 1
}

close_switched_by_environment() {
    PERIODCLOSE_OVERAGE_BILLING=false close_with 0
}

check 'overage billing off: metered, rated, reported, and every record disabled' all \
    close_with 0 --overage-billing false -- disabled_is -- expect 0 verify "$run"
check 'the same from the environment' all close_switched_by_environment -- disabled_is
check 'it is pinned: the run cannot be gone on with as if it were on' all \
    expect 13 run --run-dir "$run" --overage-billing true -- error_says overage_billing false true
check 'and goes on as it began' expect 0 run --run-dir "$run"
check 'another word is refused' all close_with 2 --overage-billing maybe -- error_says maybe

finish
