#!/usr/bin/env bash
# periodclose backfill: what an old system counted, compared with the cache and written once.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

no_drift() {
    [ -z "$(sql -c "select * from billing.usage_drift()" | tee /dev/stderr)" ]
}

lists() { # LINE...: on stdout, below the header
    { echo org_id,metric,cached,truth,difference && printf '%s\n' "$@"; } | diff - "$scratch/out"
}
lists_nothing() { echo org_id,metric,cached,truth,difference | diff - "$scratch/out"; }

cached() { # ORG METRIC
    sql -c "select trim_scale(count) from billing.usage_cache where org_id = '$1' and metric = '$2'"
}

stands() { # ORG METRIC COUNT
    echo "$1 $2: $(cached "$1" "$2")"
    [ "$(cached "$1" "$2")" = "$3" ]
}
gives() { [ "$(sql -c "$1")" = "$2" ]; } # SQL VALUE

PGDATABASE=postgres createdb --template template0 --encoding UTF8 backfill
export PGDATABASE=backfill
periodclose migrate --database ""
mkdir "$scratch/acme"
for file in "$root/fixtures/acme/dataset"/*.csv; do
    grep -v '^doubled,' "$file" >"$scratch/acme/$(basename "$file")"
done
args_of "$root/fixtures/acme/args"
periodclose ingest "$scratch/acme" --database ""

truth=$scratch/truth.csv
cat >"$truth" <<'ROWS'
metric,quantity,org_id,remark
tokens,752233,acme,equal
playbook_runs,80.125,acme,more
tokens,1000,capped,less
exports,17,acme,not cached
exports,0,capped,not cached and nothing
ROWS
# shellcheck disable=SC2054 # words with commas
differences=(acme,exports,0,17,17 acme,playbook_runs,75,80.125,5.125 capped,tokens,750000,1000,-749000)

only_compares() {
    all expect 15 backfill --truth "$truth" --verify --database "" -- lists "${differences[@]}" -- \
        error_says "5 compared, 3 different" "3 of 5 rows of the cache drift" "next: periodclose backfill --truth" -- \
        stands acme playbook_runs 75 -- no_drift
}

writes_differences() {
    all expect 0 backfill --truth "$truth" --database "" -- lists "${differences[@]}" -- \
        stands acme playbook_runs 80.125 -- stands capped tokens 1000 -- stands acme exports 17 -- \
        stands capped exports '' -- no_drift -- \
        gives "select count(*) from billing.usage_ledger where reason = 'migration' and metric <> 'seats'" 3 -- \
        expect 0 backfill --truth "$truth" --verify --database "" -- lists_nothing
}

writes_once() {
    all sql -c "select billing.increment_usage('acme', 'tokens', 5), billing.increment_usage('acme', 'exports', 1)" -- \
        expect 0 backfill --truth "$truth" --database "" -- lists_nothing -- \
        stands acme tokens 752238 -- stands acme exports 18 -- no_drift
}

# What the plan counts by events is compared and moved as it is counted, whatever its quantities add up to.
moves_counts() {
    sql -c "insert into billing.orgs (org_id) values ('oak')" -c "insert into billing.plans (plan_id) values ('metered')" \
        -c "insert into billing.prices (plan_id, metric, aggregation, included, unit_price) values ('metered', 'calls', 'count', 31, 1)" \
        -c "insert into billing.subscriptions (org_id, plan_id) values ('oak', 'metered')" \
        -c "select billing.increment_usage('oak', 'calls', 700), billing.increment_usage('oak', 'calls', 700)"
    printf 'org_id,metric,quantity\noak,calls,30\n' >"$scratch/counted.csv"
    printf 'org_id,metric,quantity\noak,calls,30.5\n' >"$scratch/no_count.csv"
    all expect 10 backfill --truth "$scratch/no_count.csv" --database "" -- error_says "counts events or distinct keys" -- \
        expect 15 backfill --truth "$scratch/counted.csv" --verify --database "" -- lists oak,calls,2,30,28 -- \
        expect 0 backfill --truth "$scratch/counted.csv" --database "" -- lists oak,calls,2,30,28 -- \
        gives "select count from billing.get_usage('oak')" 30 -- no_drift -- \
        gives "select billing.recount_usage('oak'), (select used from billing.metric_state('oak', 'calls'))" "1|30" -- \
        sql -c "select billing.increment_usage('oak', 'calls', 700)" -- \
        gives "select count from billing.get_usage('oak')" 31 -- no_drift -- \
        expect 0 backfill --truth "$scratch/counted.csv" --database "" -- lists_nothing
}

# Below what is counted, and to nothing, beside an org that has more; a recount gives the same.
lowers_counts() {
    sql -c "insert into billing.orgs (org_id) values ('elm'), ('fir')" \
        -c "insert into billing.subscriptions (org_id, plan_id) values ('elm', 'metered'), ('fir', 'metered')" \
        -c "select billing.increment_usage('elm', 'calls', 700) from generate_series(1, 3)" >"$scratch/sql"
    printf 'org_id,metric,quantity\nelm,calls,1\nfir,calls,4\n' >"$scratch/lower.csv"
    printf 'org_id,metric,quantity\nfir,calls,6\nelm,calls,0\n' >"$scratch/none.csv"
    local counts="select string_agg(org_id || ' ' || count, ', ' order by org_id) from billing.usage_counts where org_id in ('elm', 'fir')"
    all expect 0 backfill --truth "$scratch/lower.csv" --database "" -- lists elm,calls,3,1,-2 fir,calls,0,4,4 -- \
        gives "$counts" "elm 1, fir 4" -- no_drift -- \
        expect 0 backfill --truth "$scratch/none.csv" --database "" -- lists elm,calls,1,0,-1 fir,calls,4,6,2 -- \
        gives "$counts" "elm 0, fir 6" -- no_drift -- \
        gives "select billing.recount_usage() > 0" t -- gives "$counts" "elm 0, fir 6" -- \
        sql -c "select billing.increment_usage('elm', 'calls', 700)" -- gives "$counts" "elm 1, fir 6" -- no_drift
}

# Differences of quantities, as a backfill wrote them while the metric was added up, are no events.
counts_no_quantities() {
    sql -c "insert into billing.orgs (org_id) values ('ash')" \
        -c "select billing.increment_usage('ash', 'calls', 700) from generate_series(1, 3)" >"$scratch/sql"
    printf 'org_id,metric,quantity\nash,calls,3.5\n' >"$scratch/summed.csv"
    all expect 0 backfill --truth "$scratch/summed.csv" --database "" -- lists ash,calls,2100,3.5,-2096.5 -- \
        sql -c "insert into billing.subscriptions (org_id, plan_id) values ('ash', 'metered')" -- \
        gives "select ledger from billing.usage_drift()" 3 -- sql -c "select billing.recount_usage()" -- \
        gives "select used from billing.metric_state('ash', 'calls')" 3 -- no_drift
}

# What no bigint holds is told by its line, as every faulty row is.
refuses_no_count() {
    printf 'org_id,metric,quantity\nfir,calls,7\nelm,calls,100000000000000000000\n' >"$scratch/huge.csv"
    all expect 10 backfill --truth "$scratch/huge.csv" --database "" -- \
        error_says "huge.csv:3: org_id 'elm': has a quantity that is no whole number from 0 to below 10^18" -- \
        gives "select count from billing.usage_counts where org_id = 'fir'" 6 -- \
        sed -i 's/1\(0\{18\}\)00/\1/' "$scratch/huge.csv" -- \
        expect 15 backfill --truth "$scratch/huge.csv" --verify --database "" -- lists elm,calls,1,0,-1 fir,calls,6,7,1
}

# Flows: what was closed stays as it was.
changes_no_close() {
    all expect 4 run "${args[@]}" --source "$scratch/acme" --run-dir "$scratch/files" -- \
        expect 4 run "${args[@]}" --database "" --run-dir "$scratch/tables" -- \
        diff -r "$scratch/files/20-meter" "$scratch/tables/20-meter"
}

asks_query() {
    sql -c "create schema old" -c "create sequence old.n" \
        -c "create table old.counts as select 'acme' as org, 'tokens' as what, 752000::bigint as total"
    all expect 15 backfill --query 'select org, what, total from old.counts' --verify --database "" -- \
        lists acme,tokens,752238,752000,-238 -- \
        expect 0 backfill --query 'select org, what, total from old.counts' --database "" -- no_drift -- \
        expect 0 backfill --query 'select org, what, total from old.counts' --database "" -- lists_nothing -- \
        expect 20 backfill --query 'delete from old.counts returning org, what, total' --database "" -- \
        expect 20 backfill --query 'select 1) as a (b); drop table old.counts; select (2' --database "" -- \
        gives "select count(*) from old.counts" 1
}

# What is wrong with the query is no matter of migrations, nor of a standby.
hints_at_query() {
    local query
    for query in 'select 1' "select 'acme', 'tokens', 'many'" 'select a, b, c from nowhere' \
        'selct 1' "select 'acme', null, 1" "select 'acme', 'tokens', 1 / 0" "select 'acme', 'tokens', nextval('old.n')"; do
        expect 20 backfill --query "$query" --database "" && error_says "hint: --query takes one query that only reads" || return 1
    done
    sql -c "create role blind login password 'blind' in role billing_close" -c "grant usage on schema old to blind"
    PGUSER=blind PGPASSWORD=blind expect 20 backfill --query 'select org, what, total from old.counts' --database "" &&
        error_says "grant that one the right to read"
}

counts_seats() {
    sql -c "insert into billing.orgs (org_id) values ('seated'), ('empty')" \
        -c "insert into billing.plans (plan_id) values ('chairs')" \
        -c "insert into billing.prices (plan_id, metric, included, unit_price) values ('chairs', 'seats', 2, 1)" \
        -c "insert into billing.subscriptions (org_id, plan_id) values ('seated', 'chairs'), ('empty', 'chairs')" \
        -c "select billing.assign_seat('seated', u, 'member') from unnest(array['ann', 'bob', 'cyd']) as u" >"$scratch/sql"
    all stands seated seats 3 -- expect 0 backfill --seats --verify --database "" -- lists_nothing -- \
        sql -c "update billing.user_seats set expires_at = assigned_at where user_id = 'cyd'" -- \
        expect 15 backfill --seats --verify --database "" -- lists seated,seats,3,2,-1 -- \
        expect 0 backfill --seats --database "" -- lists seated,seats,3,2,-1 -- no_drift -- \
        expect 0 backfill --seats --verify --database "" -- lists_nothing -- \
        sql -c "select billing.revoke_seat('seated', 'bob', 'left')" -- stands seated seats 1 -- no_drift -- \
        expect 0 backfill --seats --verify --database ""
}

# Seats are counted from the seat book: what keeps their cache equal is nothing to a close.
closes_after_seats() {
    periodclose run --period "$(date -u +%Y-%m)" --database "" --run-dir "$scratch/seated"
    cat "$scratch/err"
    [ "$status" -eq 0 ] || [ "$status" -eq 4 ]
}

# An org's period taken as over: the three events that there were, though 31 stand.
closed_three() { grep -r "^oak,metered,calls,count,3," "$scratch/oak"; }
closes_no_counts() {
    all gives "select used from billing.metric_state('oak', 'calls')" 31 -- \
        expect 0 run --org oak --period "$(date -u +%Y-%m)" --cutoff "$(date -u -d '40 days' +%Y-%m-%dT00:00:00Z)" \
        --database "" --run-dir "$scratch/oak" --dry-run -- \
        closed_three
}

# A level stands where the old system says, and later changes count from there.
moves_level() {
    sql -c "insert into billing.prices (plan_id, metric, aggregation, included, unit_price) values ('chairs', 'disk', 'last', 2, 1)" \
        -c "select billing.set_usage('seated', 'disk', 40), billing.set_usage('empty', 'disk', 9, p_occurred_at => now() + interval '1 hour')"
    printf 'org_id,metric,quantity\nseated,disk,64\nempty,disk,3\n' >"$scratch/disk.csv"
    all expect 0 backfill --truth "$scratch/disk.csv" --database "" -- lists empty,disk,9,3,-6 seated,disk,40,64,24 -- \
        no_drift -- sql -c "select billing.increment_usage('seated', 'disk', 1)" -- no_drift
}

refuses_no_file() {
    all expect 10 backfill --truth "$scratch/nowhere.csv" --database "" -- \
        error_says "--truth: '$scratch/nowhere.csv' is not there" -- \
        expect 10 backfill --truth "$scratch" --database "" -- error_says "--truth: '$scratch' is not a file"
}

refuses_bad_truth() {
    cat >"$scratch/bad.csv" <<'ROWS'
org_id,metric,quantity
acme,tokens,many
nobody,tokens,1
acme,,1
acme,exports,1
acme,exports,2
ROWS
    sql -c "select * from billing.usage_cache order by 1, 2" >"$scratch/before"
    all expect 10 backfill --truth "$scratch/bad.csv" --database "" -- \
        error_says "bad.csv:2: quantity 'many'" "bad.csv:4: metric '': is empty" -- \
        sed -i -e 2d -e 4d "$scratch/bad.csv" -- expect 10 backfill --truth "$scratch/bad.csv" --database "" -- \
        error_says "bad.csv:2: org_id 'nobody': is not in billing.orgs" "bad.csv:4: org_id 'acme': stands twice" -- \
        expect 2 backfill --database "" -- expect 2 backfill --truth "$truth" --seats --database "" -- \
        expect 30 backfill --truth "$scratch/nothing.csv" --database ""
    sql -c "select * from billing.usage_cache order by 1, 2" | diff "$scratch/before" -
}

# Killed when the first batches stand, usage goes on, then typed again: each org once.
survives_kill() {
    local killed done=0 is_held=1
    sql -c "insert into billing.orgs (org_id) select 'old-' || n from generate_series(1, 35000) as n"
    awk 'BEGIN { print "org_id,metric,quantity"; for (n = 1; n <= 35000; n++) print "old-" n ",tokens," n ".5" }' >"$scratch/large.csv"
    hold_lock "select org_id from billing.orgs where org_id = 'old-34999' for update;" || return 1 # of the last batch
    "$program" backfill --truth "$scratch/large.csv" --database "" >/dev/null 2>&1 &
    killed=$!
    until_waiting 1 || is_held=0
    kill -9 "$killed" 2>/dev/null
    wait "$killed" 2>/dev/null
    let_go
    [ "$is_held" -eq 1 ] && until_gone || return 1
    done=$(sql -c "select count(*) from billing.usage_cache where org_id like 'old-%'")
    echo "killed after $done"
    [ "$done" -gt 0 ] && [ "$done" -lt 35000 ] || return 1
    sql -c "select billing.increment_usage(org_id, 'tokens', 1000000) from billing.usage_cache where org_id like 'old-%'" >"$scratch/sql"
    done=$(wc -l <"$scratch/sql")
    expect 0 backfill --truth "$scratch/large.csv" --database "" &&
        [ "$(sql -c "select trim_scale(sum(count)) from billing.usage_cache where org_id like 'old-%'")" = $((612517500 + 17500 + done * 1000000)) ] &&
        [ "$(sql -c "select count(*) from billing.usage_ledger where reason = 'migration' and org_id like 'old-%'")" = 35000 ] && no_drift
}

check "ingest leaves the cache of seats as the seat book has it" all \
    expect 0 backfill --seats --verify --database "" -- lists_nothing -- \
    gives "select count(*) > 0 from billing.usage_cache where metric = 'seats'" t
check "--verify lists what differs, changes nothing and ends with 15" only_compares
check "differences go into ledger and cache" writes_differences
check "a file's row is written once, also when usage has gone on since" writes_once
check "a close counts none of it as usage of a flow" changes_no_close
check "what a plan counts by events is moved as it is counted" moves_counts
check "and also below what is counted, beside another org" lowers_counts
check "what was added up before is no number of events" counts_no_quantities
check "a truth that is no count is told by its line" refuses_no_count
check "a query gives the truth, and can only read" asks_query
check "what is wrong with a query is told as such" hints_at_query
check "the seat book gives the truth for seats" counts_seats
check "a close passes over what was written for seats" closes_after_seats
check "nor does it count what was brought in as a count" closes_no_counts
check "a level moves by it" moves_level
check "a bad truth is told by line, and nothing is written" refuses_bad_truth
check "a truth that is no file is told as such" refuses_no_file
check "killed in the middle and typed again each org has its difference once" survives_kill

finish
