#!/usr/bin/env bash
# periodclose ingest: what it takes, refuses and reports, and that it can be killed and typed again.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

fresh_database() { # NAME
    PGDATABASE=postgres createdb --template template0 --encoding UTF8 "$1" && export PGDATABASE=$1
    periodclose migrate --database ""
}

no_drift() {
    [ -z "$(sql -c "select * from billing.usage_drift()" | tee /dev/stderr)" ]
}

# says FILE ROWS TAKEN DUPLICATES REFUSED: a line of the table on stdout.
says() {
    awk -v file="$1" -v wanted="$2 $3 $4 $5" '
        $1 == file { found = ($2 " " $3 " " $4 " " $5 == wanted) }
        END { exit !found }' "$scratch/out" && return
    echo "stdout does not say: $*"
    cat "$scratch/out"
    return 1
}

# Everything that a close reads, and keys and cache, without what differs from ingest to ingest.
content() {
    sql -c "set timezone to 'UTC'" \
        -c "select 'ledger', org_id, metric, kind, quantity, occurred_at, recorded_at, event_id, unique_key
            from billing.usage_ledger where reason is distinct from 'migration' order by 2, 3, 6, 4, 8, 5, 9, 7" \
        -c "select 'key', org_id, event_id, content, occurred_at from billing.usage_keys order by 2, 3" \
        -c "select 'cache', org_id, metric, count, set_at, case when metric <> 'seats' then changed_at end from billing.usage_cache order by 2, 3" \
        -c "select 'org', org_id, status, currency, overage_cap from billing.orgs order by 2" \
        -c "select 'subscription', org_id, plan_id, starts_at, ends_at from billing.subscriptions order by 2, 3, 4" \
        -c "select 'seat', org_id, user_id, role, assigned_at, revoked_at from billing.seat_intervals order by 2, 3, 5, 6" \
        -c "select 'user', org_id, user_id, status, assigned_at, revoked_at from billing.user_seats order by 2, 3" \
        -c "select 'month', org_id, metric, period, usage, closing_level from billing.org_billing_usage_monthly order by 2, 3, 4"
}

# A folder for temporary files of this suite alone: others ingest, too.
export TMPDIR=$scratch/temporary
mkdir "$TMPDIR"

acme=$scratch/acme # without the org that is refused
mkdir "$acme"
for file in "$root/fixtures/acme/dataset"/*.csv; do
    grep -v '^doubled,' "$file" >"$acme/$(basename "$file")"
done

# --- a dataset folder ----------------------------------------------------------------------------

takes_folder() {
    expect 0 ingest "$acme" --database "" && says usage.csv 92 89 3 0 && says seats.csv 23 23 0 0 &&
        no_drift && content >"$scratch/once" && [ -s "$scratch/once" ]
}

takes_folder_again() {
    expect 0 ingest "$acme" --database "" && says usage.csv 92 0 92 0 && says seats.csv 23 0 23 0 &&
        says orgs.csv 35 0 35 0 && content >"$scratch/twice" && same_file "$scratch/once" "$scratch/twice"
}

refuses_overlapping_org() {
    expect 10 ingest "$root/fixtures/acme/dataset" --database "" &&
        error_says "subscriptions.csv:9: org_id 'doubled': overlaps the subscription on line 8" &&
        says orgs.csv 36 35 0 1 && says subscriptions.csv 38 36 0 2 && says usage.csv 93 89 3 1 &&
        no_drift && content >"$scratch/without" && same_file "$scratch/once" "$scratch/without"
}

takes_changes() {
    cp -r "$acme" "$scratch/changed"
    sed -i 's/^acme,\(.*\)active/acme,\1suspended/' "$scratch/changed/orgs.csv"
    expect 0 ingest "$scratch/changed" --database "" && says orgs.csv 35 1 34 0 &&
        [ "$(sql -c "select status from billing.orgs where org_id = 'acme'")" = suspended ]
}

# An open seat that has ended since, by the file; one that ended is not moved.
takes_seat_ends() {
    local open ended
    cp -r "$acme" "$scratch/seats"
    open=$(sql -c "select org_id || ',' || user_id from billing.seat_intervals where revoked_at is null
        order by org_id, user_id, assigned_at limit 1")
    awk -F, -v OFS=, -v open="$open" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
        $at["org_id"] "," $at["user_id"] == open && $at["revoked_at"] == "" && !done {
            $at["revoked_at"] = "2024-06-01T00:00:00Z"; done = 1 }
        { print }' "$acme/seats.csv" >"$scratch/seats/seats.csv"
    expect 0 ingest "$scratch/seats" --database "" && says seats.csv 23 1 22 0 || return 1
    ended=$(sql -c "select count(*) from billing.seat_intervals where revoked_at = '2024-06-01Z'")
    [ "$ended" -eq 1 ] || return 1
    sed -i 's/2024-06-01T00:00:00Z/2024-06-02T00:00:00Z/' "$scratch/seats/seats.csv"
    expect 10 ingest "$scratch/seats" --database "" && says seats.csv 23 0 22 1 &&
        error_says "has a seat from then with another end: 2024-06-01 00:00:00+00"
}

# The same words for the same rows as run has them.
judges_as_run_does() {
    local bad=$scratch/bad
    cp -r "$acme" "$bad"
    cat >"$bad/usage_bad.csv" <<'ROWS'
org_id,metric,quantity,occurred_at,event_id,kind,unique_key,recorded_at
,tokens,1,2024-02-02T00:00:00Z,,,,
acme,,1,2024-02-02T00:00:00Z,,,,
acme,tokens,,2024-02-02T00:00:00Z,,,,
acme,tokens,12x,2024-02-02T00:00:00Z,,,,
acme,tokens,1e3,2024-02-02T00:00:00Z,,,,
acme,tokens,0.1234567890123456,2024-02-02T00:00:00Z,,,,
acme,tokens,1,,,,,
acme,tokens,1,yesterday,,,,later
acme,tokens,1,2024-02-30T00:00:00Z,,,,
acme,tokens,1,2024-02-02T00:00:00Z,,put,,
acme,tokens,x,2024-02-02T00:00:00Z,,put,,
acme,seats,1,2024-02-02T00:00:00Z,,,,
acme,tokens,1
ROWS
    sed -i '2s/^[^,]*,/nobody,/' "$bad/limits.csv"
    sed -i '3s/,2[0-9-]*T/,soonT/' "$bad/seats.csv"
    expect 10 run --source "$bad" --period 2024-02 --run-dir "$scratch/bad-run" || return 1
    grep -E '^[a-z_]+\.csv:[0-9]+: ' "$scratch/err" >"$scratch/run-says"
    content >"$scratch/before"
    expect 10 ingest "$bad" --database "" || return 1
    grep -E '^[a-z_]+\.csv:[0-9]+: ' "$scratch/err" >"$scratch/ingest-says"
    error_says "nothing was written"
    content >"$scratch/after"
    [ "$(wc -l <"$scratch/run-says")" -gt 14 ] && same_file "$scratch/run-says" "$scratch/ingest-says" &&
        same_file "$scratch/before" "$scratch/after"
}

# --- files of usage ------------------------------------------------------------------------------

header=org_id,metric,quantity,occurred_at,event_id,kind,unique_key,recorded_at
rows() { # FILE: rows from stdin
    { echo "$header" && cat; } >"$scratch/$1"
}

known_by_event_id() {
    rows usage_a.csv <<'ROWS'
acme,tokens,5,2024-05-01T10:00:00Z,e-1,,,2024-05-03T00:00:00Z
acme,tokens,5.0,2024-05-01T12:00:00+02:00,e-1,delta,,2024-05-02T00:00:00Z
acme,tokens,6,2024-05-01T10:00:00Z,e-1,,,
acme,tokens,7,2024-05-01T10:00:00Z,e-2,,,2024-05-01T10:00:01Z
ROWS
    expect 10 ingest "$scratch/usage_a.csv" --database "" && says usage_a.csv 4 2 1 1 &&
        error_says "usage_a.csv:4: event_id 'e-1': is known with other content" "all other rows were taken" &&
        [ "$(sql -c "set timezone to 'UTC'" -c "select event_id, quantity, recorded_at from billing.usage_ledger
            where org_id = 'acme' and event_id like 'e-_' order by 1" | tr '\n' ' ')" = \
            'e-1|5.000000000000000|2024-05-02 00:00:00+00 e-2|7.000000000000000|2024-05-01 10:00:01+00 ' ] && no_drift
}

known_by_function() {
    rows usage_b.csv <<'ROWS'
acme,tokens,9,2024-05-04T00:00:00Z,f-1,,,
capped,tokens,9,2024-05-04T00:00:00Z,f-1,,,
ROWS
    sql -c "select billing.increment_usage('acme', 'tokens', 9, 'chat', '2024-05-04Z', 'f-1')" &&
        expect 0 ingest "$scratch/usage_b.csv" --database "" && says usage_b.csv 2 1 1 0 &&
        [ "$(sql -c "select billing.increment_usage('capped', 'tokens', 9, 'chat', '2024-05-04Z', 'f-1')")" = f ] &&
        no_drift
}

known_by_place() {
    rows usage_c.csv <<'ROWS'
acme,tokens,11,2024-05-05T00:00:00Z,,,,
acme,tokens,11,2024-05-05T00:00:00Z,,,,
ROWS
    expect 0 ingest "$scratch/usage_c.csv" --database "" && says usage_c.csv 2 2 0 0 &&
        cp "$scratch/usage_c.csv" "$scratch/usage_d.csv" &&
        expect 0 ingest "$scratch/usage_d.csv" --database "" && says usage_d.csv 2 0 2 0 &&
        [ "$(sql -c "select sum(quantity) from billing.usage_ledger where occurred_at = '2024-05-05Z'")" = 22.000000000000000 ]
}

# A file that has grown is another one: what counts anew is told.
tells_rows_anew() {
    echo acme,tokens,12,2024-05-05T01:00:00Z,,,, >>"$scratch/usage_c.csv"
    expect 0 ingest "$scratch/usage_c.csv" --database "" && says usage_c.csv 3 3 0 0 &&
        error_says "a file named 'usage_c.csv' was taken before with other content: 3 rows without event_id count as new" &&
        expect 0 ingest "$scratch/usage_c.csv" --database "" && says usage_c.csv 3 0 3 0 &&
        ! grep -q "count as new" "$scratch/err"
}

refuses_what_no_close_takes() {
    rows usage_e.csv <<'ROWS'
nobody,tokens,1,2024-05-05T00:00:00Z,,,,
acme,tokens,1,2024-05-05T00:00:00Z,,set,,
acme,seats,1,2024-05-05T00:00:00Z,,,,
acme,tokens,13,2024-05-06T00:00:00Z,,,,
ROWS
    content >"$scratch/before"
    expect 10 ingest "$scratch/usage_e.csv" --database "" &&
        error_says "usage_e.csv:2: org_id 'nobody': is not in billing.orgs" \
            "usage_e.csv:3: kind 'set': the org's plan adds this metric up: it cannot be set" \
            "usage_e.csv:4: metric 'seats': seats are counted from billing.seat_events" "nothing was written" &&
        content >"$scratch/after" && same_file "$scratch/before" "$scratch/after"
}

refuses_odd_paths() {
    expect 10 ingest "$scratch/nothing" --database "" && error_says "is not there" &&
        expect 2 ingest "$acme/orgs.csv" --database "" && error_says "name its folder" &&
        expect 2 ingest --database "" && expect 2 ingest "$acme"
}

check_temporary_gone() {
    [ -d "$TMPDIR" ] && [ -z "$(ls -A "$TMPDIR")" ]
}

# --- levels in any order --------------------------------------------------------------------------

# Sets and changes of two levels, cut into files that are taken in an order of no sense.
levels_in_any_order() {
    local part
    # shellcheck disable=SC2016 # JavaScript
    node -e '
        const [header, folder] = process.argv.slice(1);
        const fs = require("node:fs");
        let state = 20240501;
        const random = (n) => { state = (state * 1103515245 + 12345) % 2147483648; return state % n; };
        const rows = [];
        for (let n = 0; n < 600; n += 1) {
            const at = new Date(Date.UTC(2024, 4, 1 + random(20), random(4))).toISOString();
            const org = ["level", "level2"][random(2)];
            const kind = random(4) === 0 ? "set" : "delta";
            const id = random(3) === 0 ? "" : `l-${n}`;
            rows.push([org, "disk", (random(2000) - 500) / 8, at, id, kind, "", ""].join(","));
        }
        for (let part = 0; part < 6; part += 1) {
            const own = rows.filter((row, index) => index % 6 === part);
            fs.writeFileSync(`${folder}/usage_level${part}.csv`, `${header}\n${own.join("\n")}\n`);
        }' "$header" "$scratch"
    sql -c "insert into billing.orgs (org_id) values ('level'), ('level2')" \
        -c "insert into billing.plans (plan_id) values ('disks')" \
        -c "insert into billing.prices (plan_id, metric, aggregation, unit_price) values ('disks', 'disk', 'last', 1)" \
        -c "insert into billing.subscriptions (org_id, plan_id) values ('level', 'disks'), ('level2', 'disks')"
    for part in 3 0 5 1 4 2; do
        expect 0 ingest "$scratch/usage_level$part.csv" --database "" && no_drift || return 1
    done
    [ "$(sql -c "select count(*) from billing.usage_ledger where metric = 'disk'")" -eq 600 ]
}

# --- killed, and side by side ----------------------------------------------------------------------

# 130,000 rows, every other one without an event id: several batches. The org oak comes late in it, so
# that who has a lock on it meets an ingest whose first batches stand.
large() {
    awk -v header="$header" 'BEGIN {
        print header
        for (n = 0; n < 130000; n++)
            printf "%s,%s,%d,2024-07-%02dT%02d:00:00Z,%s,,,\n", (n > 100000 && n % 7 == 0) ? "oak" : n % 3 ? "acme" : "globex",
                n % 2 ? "tokens" : "playbook_runs", n % 97, 1 + n % 31, n % 24, n % 2 ? "n-" n : ""
    }' >"$scratch/usage_large.csv"
}

hold_oak() { hold_lock "select org_id from billing.orgs where org_id = 'oak' for update;"; }
lines_taken() {
    sql -c "select coalesce(max(lines_taken), 0) from billing.ingested_files where name = 'usage_large.csv'"
}

# Killed when the first batches stand, then typed again.
survives_kill() {
    local taken killed is_held=1
    hold_oak || return 1
    "$program" ingest "$scratch/usage_large.csv" --database "" >/dev/null 2>&1 &
    killed=$!
    until_waiting 1 || is_held=0
    kill -9 "$killed" 2>/dev/null
    wait "$killed" 2>/dev/null
    let_go
    [ "$is_held" -eq 1 ] && until_gone || return 1
    taken=$(lines_taken)
    echo "killed at $taken lines"
    [ "$taken" -gt 0 ] && [ "$taken" -lt 130001 ] || return 1
    expect 0 ingest "$scratch/usage_large.csv" --database "" && no_drift && large_is_there
}

large_is_there() {
    [ "$(sql -c "select count(*), count(event_id), sum(quantity) from billing.usage_ledger
        where occurred_at >= '2024-07-01Z' and occurred_at < '2024-08-01Z'")" = \
        "$(awk -F, 'NR > 1 { sum += $3 } END { printf "130000|65000|%d.000000000000000", sum }' "$scratch/usage_large.csv")" ]
}

interrupted() {
    local ingesting is_held=1
    hold_oak || return 1
    "$program" ingest "$scratch/usage_large.csv" --database "" >/dev/null 2>"$scratch/err" &
    ingesting=$!
    until_waiting 1 || is_held=0
    kill -INT "$ingesting"
    status=0
    wait "$ingesting" || status=$?
    let_go
    echo "exit $status, $(lines_taken) lines taken"
    [ "$is_held" -eq 1 ] && [ "$(lines_taken)" -gt 0 ] && [ "$status" -eq 40 ] && error_says "next: periodclose ingest" || return 1
    expect 0 ingest "$scratch/usage_large.csv" --database "" && no_drift && large_is_there
}

# The same file at once: one takes it, the other is told, or finds all of it known.
side_by_side() {
    local other first=0 second=0
    "$program" ingest "$scratch/usage_large.csv" --database "" >"$scratch/one" 2>&1 &
    other=$!
    "$program" ingest "$scratch/usage_large.csv" --database "" >"$scratch/two" 2>&1 || first=$?
    wait "$other" || second=$?
    case $first$second in
    00 | 011 | 110) no_drift && large_is_there ;;
    *) cat "$scratch/one" "$scratch/two" && return 1 ;;
    esac
}

fresh_database acme
check "a dataset folder is taken, cache and ledger agree" takes_folder
check "typed again it finds everything known" takes_folder_again
check "rows that run would refuse are refused with the same words, and nothing is written" judges_as_run_does
check "a changed row of a small file is written" takes_changes
check "an open seat gets its end, a known end stays" takes_seat_ends
check "an event id known with other content is refused with its line, the earliest recording stands" known_by_event_id
check "ingest and functions know each other's events" known_by_function
check "rows without event ids are taken once per content of their file" known_by_place
check "rows that count anew in a file that has grown are told" tells_rows_anew
check "what the database knows better is refused before anything is written" refuses_what_no_close_takes
check "a path that cannot be taken is told" refuses_odd_paths
check "levels that are set in any order leave cache and ledger equal" levels_in_any_order
check "nothing is left in the temporary folder" check_temporary_gone
fresh_database overlapping
check "an org with overlapping subscriptions is refused by name, the rest is taken" refuses_overlapping_org
large
fresh_database killed
sql -c "insert into billing.orgs (org_id) values ('acme'), ('globex'), ('oak')"
check "killed in the middle and typed again it has taken each row once" survives_kill
fresh_database interrupted
sql -c "insert into billing.orgs (org_id) values ('acme'), ('globex'), ('oak')"
check "interrupted it stops with exit 40, and goes on when typed again" interrupted
fresh_database beside
sql -c "insert into billing.orgs (org_id) values ('acme'), ('globex'), ('oak')"
check "two at once take each row once" side_by_side

# What an org may do of a metric that counts distinct keys goes by those that were taken, once each.
counts_distinct() {
    local dataset=$scratch/counted now
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    mkdir "$dataset" && fresh_database counted || return 1
    printf 'org_id\nfir\n' >"$dataset/orgs.csv"
    printf 'plan_id\npro\n' >"$dataset/plans.csv"
    printf 'plan_id,metric,aggregation,included,hard_limit,unit_price\npro,visitors,unique,2,3,0.5\n' >"$dataset/prices.csv"
    printf 'org_id,plan_id\nfir,pro\n' >"$dataset/subscriptions.csv"
    printf 'org_id,metric,quantity,occurred_at,unique_key\n' >"$dataset/usage.csv"
    printf "fir,visitors,7,$now,%s\n" ann ann bob >>"$dataset/usage.csv"
    sql -c "insert into billing.entitlement_actions (action, metric, amount, about) values ('visit', 'visitors', 1, 'lets somebody in')"
    all expect 0 ingest "$dataset" --database "" -- expect 0 check --org fir --action visit --database "" -- \
        grep -q '"reason":"overage"' "$scratch/out" -- expect 0 ingest "$dataset" --database "" -- \
        expect 0 check --org fir --action visit --database "" -- grep -q '"reason":"overage"' "$scratch/out" || return 1
    sql -c "select billing.increment_usage('fir', 'visitors', 1, p_unique_key => 'eve')"
    expect 0 check --org fir --action visit --database "" && cat "$scratch/out" && grep -q '"reason":"hard_limit"' "$scratch/out"
}

# A file of usage alone is counted with what it brings, and not by the whole ledger: no other than the ledger says.
counted() {
    sql -c "select metric, period, count from billing.usage_counts order by 1, 2" \
        -c "select metric, period, key_digest from billing.usage_uniques order by 1, 2, 3"
}
counts_files() {
    local file=$scratch/visits.csv now before
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    before=$(date -u -d '40 days ago' +%Y-%m-%dT%H:%M:%SZ)
    sql -c "insert into billing.prices (plan_id, metric, aggregation, included, unit_price) values ('pro', 'calls', 'count', 1, 1)"
    {
        echo org_id,metric,quantity,occurred_at,event_id,unique_key
        printf "fir,visitors,7,$now,%s\n" e1,bob e2,zoe e2,zoe e3,zoe
        printf "fir,calls,7,$now,%s,\n" c1 c1 c2
        echo "fir,calls,7,$before,c3,"
        echo "fir,visitors,1,$before,e4,old"
    } >"$file"
    expect 0 ingest "$file" --database "" && expect 0 ingest "$file" --database "" || return 1
    counted >"$scratch/counted_as_taken"
    sql -c "select billing.recount_usage()"
    counted >"$scratch/counted_anew"
    cat "$scratch/counted_as_taken"
    cmp "$scratch/counted_as_taken" "$scratch/counted_anew" &&
        grep -qE "^calls\\|[-0-9]+\\|2$" "$scratch/counted_anew" && grep -qE "^visitors\\|[-0-9]+\\|4$" "$scratch/counted_anew"
}
check "distinct keys are counted as they come, for what an org may do" counts_distinct
check "a file of usage is counted as it is taken, as the ledger would be" counts_files

finish
