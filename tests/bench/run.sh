#!/usr/bin/env bash
# The benchmark: closes 24 million usage rows of 200,000 orgs, in org order and in random order,
# beside two yardsticks on the same files in the same run: a bare libcsv pass, and the same close as
# SQL for DuckDB, whose costs must equal ours.
#
#   RUNS=5                                     every number is the median of so many rounds
#   BENCH=org,random,replay,double,events      which parts (replay and double run after org)
#   BENCH_DIR=build/bench/data                 where datasets and run directories are made
#   KEEP=1                                     keep the datasets for the next time
#   ORGS=200000                                fewer for a quick look; then the goals mean nothing
#
# A round runs every measurement of a part once, so that a slow minute of the machine hits all of
# them alike. Memory is the highest of all rounds, not the median.
set -euo pipefail
export LC_ALL=C
unset "${!PERIODCLOSE_@}"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
program=${PERIODCLOSE:-$root/build/periodclose}
tools=$root/build/bench
data=${BENCH_DIR:-$root/build/bench/data}
runs=${RUNS:-5}
orgs=${ORGS:-200000}
parts=,${BENCH:-org,random,replay,double,events},
events_memory_mb=128
duckdb_seconds_max=900 # within the memory that is enough for us
seconds_max=1800       # of any one measurement

mkdir -p "$tools" "$data"
results=$data/results.tsv # part, measurement, wall us, cpu us, anonymous KB
stages=$data/stages.tsv   # part, measurement, stage, elapsed us, rows, bytes
made=()

say() {
    echo "bench: $*" >&2
}

die() {
    say "$*"
    exit 1
}

has_part() {
    [[ $parts == *",$1,"* ]]
}

clean_up() {
    rm -rf "$data"/run-* "$data"/duckdb-* "$data"/*.t{sv,xt} "$data/measured"
    if [ -z "${KEEP:-}" ]; then
        rm -rf "${made[@]}"
        rmdir "$data" 2>/dev/null || true
    fi
}

build_tools() {
    local name
    for name in generate measure bare; do
        if [ "$here/$name.c" -nt "$tools/$name" ]; then
            say "builds $name"
            "${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$tools/$name" "$here/$name.c" -lcsv
        fi
    done
    if [ ! -d "$here/node_modules/@duckdb/node-api" ]; then
        # not npm ci: versions of npm differ in whether they want other platforms in the lock file
        say "installs @duckdb/node-api in tests/bench (npm install, by the lock file)"
        npm install --no-save --silent --no-fund --no-audit --prefix "$here" >&2
    fi
}

# room_for MEGABYTES: at the full number of orgs.
room_for() {
    local needed=$(($1 * orgs / 200000)) free
    free=$(df -Pm "$data" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt "$needed" ] || die "needs $needed MB in $data, $free MB are free"
}

# dataset NAME MEGABYTES OPTION...: made once; then read once, so that the page cache is warm.
dataset() {
    local name=$1 megabytes=$2 folder=$data/$1 cached
    shift 2
    if [ ! -e "$folder/complete" ]; then
        room_for $((megabytes + 5000))
        say "makes $folder (about $((megabytes * orgs / 200000)) MB)"
        made+=("$folder")
        mkdir -p "$folder"
        "$tools/generate" "$folder" --orgs "$orgs" "$@"
        touch "$folder/complete"
    else
        room_for 5000
        say "takes $folder as it is"
    fi
    cached=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
    [ "$cached" -gt $((megabytes * orgs / 200000)) ] ||
        say "the files do not fit in the page cache: times are those of the disk"
    cat "$folder"/*.csv >/dev/null
}

# take PART MEASUREMENT COMMAND...: measures it once. Returns what the command returned.
take() {
    local part=$1 name=$2 code=0
    shift 2
    sync "$data"
    timeout "$seconds_max" "$tools/measure" "$data/measured" "$@" >"$data/out.txt" 2>"$data/err.txt" || code=$?
    if [ "$code" -eq 0 ]; then
        sed -E "s/^wall_us=([0-9]+) cpu_us=([0-9]+) anon_kb=([0-9]+) .*/$part\t$name\t\1\t\2\t\3/" \
            "$data/measured" >>"$results"
    fi
    return "$code"
}

must_take() {
    take "$@" || {
        tail -n 20 "$data/err.txt" >&2
        die "$1: $2 failed"
    }
}

close_command() {
    echo "$program" run --period 2026-09 --source "$1" --run-dir "$2" --emit none --quiet \
        --cutoff 2026-10-01T00:00:00Z
}

# elapsed PART MEASUREMENT RUN: what the run says of each of its stages.
elapsed() {
    "$program" status "$3" --json 2>"$data/err.txt" | node -e '
        const [part, name] = process.argv.slice(1);
        for (const s of JSON.parse(require("fs").readFileSync(0)).stages)
            console.log([part, name, s.stage, s.elapsed_us, s.rows, s.bytes].join("\t"));
        ' "$1" "$2" >>"$stages"
}

# take_close PART JOBS: a whole close of the part's dataset; leaves run-PART.
take_close() {
    local run=$data/run-$1
    rm -rf "$run"
    # shellcheck disable=SC2046 # words on purpose
    must_take "$1" "close, $2 job$([ "$2" = 1 ] || echo s)" \
        $(close_command "$data/$1" "$run") --jobs "$2"
    elapsed "$1" "$2" "$run"
}

# take_stages PART: one close stage by stage, each a process of its own, for memory per stage.
take_stages() {
    local run=$data/run-$1-stages stage
    rm -rf "$run"
    for stage in extract meter rate project record emit report; do
        # shellcheck disable=SC2046 # words on purpose
        must_take "$1" "stage $stage" $(close_command "$data/$1" "$run") --jobs 1 --until "$stage"
    done
    rm -rf "$run"
}

duckdb() {
    node "$here/duckdb_close.mjs" "$@"
}

bench_ordered() {
    local part=$1 round
    dataset "$part" 1250 --order "$part"
    for ((round = 1; round <= runs; round++)); do
        say "$part: round $round of $runs"
        must_take "$part" "bare libcsv pass" "$tools/bare" "$data/$part"/*.csv
        if [ "$part" = org ]; then
            must_take org "DuckDB, 2 threads" \
                node "$here/duckdb_close.mjs" close "$data/org" "$data/duckdb-org"
        fi
        take_close "$part" 1
        take_close "$part" 2
        if [ "$part" = org ] && has_part replay; then
            take_replay 1
            take_replay 2
        fi
    done
    if [ "$part" = org ]; then
        say "org: our costs and DuckDB's"
        duckdb compare "$data/duckdb-org" "$data/run-org/reports" || die "org: costs differ"
    fi
    take_stages "$part"
}

# take_replay JOBS: of the close that was just made.
take_replay() {
    rm -rf "$data/run-replay"
    must_take org "replay --from rate, $1 job$([ "$1" = 1 ] || echo s)" \
        "$program" replay "$data/run-org" --from rate --run-dir "$data/run-replay" --jobs "$1" --quiet
    elapsed replay "$1" "$data/run-replay"
    rm -rf "$data/run-replay"
}

bench_double() {
    local round
    dataset double 2450 --order org --times 2
    for ((round = 1; round <= runs; round++)); do
        say "double: round $round of $runs"
        must_take double "bare libcsv pass" "$tools/bare" "$data/double"/*.csv
        take_close double 1
        take_close double 2
    done
    rm -rf "$data/run-double"
}

bench_events() {
    local round memory=$events_memory_mb
    dataset events 4400 --order random --times 2 --event-ids
    for ((round = 1; round <= runs; round++)); do
        say "events: round $round of $runs"
        must_take events "bare libcsv pass" "$tools/bare" "$data/events"/*.csv
        take events "DuckDB, its own memory" \
            node "$here/duckdb_close.mjs" events "$data/events" "$data/duckdb-events" ||
            say "events: DuckDB failed: $(grep -m 1 -i error "$data/err.txt" || true)"
        PERIODCLOSE_MEMORY=${memory}M take_close events 1
        PERIODCLOSE_MEMORY=${memory}M take_close events 2
    done
    if [ -e "$data/duckdb-events/projections.csv" ]; then
        say "events: our costs and DuckDB's"
        duckdb compare "$data/duckdb-events" "$data/run-events/reports" || die "events: costs differ"
    fi
    rm -rf "$data/run-events"
    say "events: DuckDB within ${memory} MB, at most $duckdb_seconds_max s"
    DUCKDB_MEMORY=${memory}MB seconds_max=$duckdb_seconds_max take events "DuckDB, $memory MB" \
        node "$here/duckdb_close.mjs" events "$data/events" "$data/duckdb-limited" ||
        echo "DuckDB within ${memory} MB: $(grep -m 1 -i 'error' "$data/err.txt" || echo "no result in time")"
}

# facts PART: bytes and rows of the part's dataset.
facts() {
    "$tools/bare" "$data/$1"/*.csv | sed -E 's/bytes=([0-9]+) rows=([0-9]+).*/\1 \2/'
}

summarise() {
    local part
    : >"$data/facts.tsv"
    for part in org random double events; do
        if [ -d "$data/$part" ] && has_part "$part"; then
            echo "$part $(facts "$part")" >>"$data/facts.tsv"
        fi
    done
    awk -v runs="$runs" -v events_memory_mb="$events_memory_mb" -f "$here/summary.awk" \
        "$data/facts.tsv" "$stages" "$results"
}

[ -x "$program" ] || die "$program is not there: make"
for tool in node npm awk; do
    command -v "$tool" >/dev/null || die "$tool is not there: make deps"
done
trap clean_up EXIT
trap 'exit 130' INT TERM
build_tools
: >"$results"
: >"$stages"
if has_part org || has_part replay || has_part double; then
    has_part org || parts+=org,
    bench_ordered org
fi
! has_part random || bench_ordered random
! has_part double || bench_double
! has_part events || bench_events
summarise
