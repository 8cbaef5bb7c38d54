#!/usr/bin/env bash
# The benchmark of the database: closes 24 million ledger rows of 200,000 orgs out of PostgreSQL, in
# a throw-away cluster, beside two yardsticks on the same tables in the same run (make bench-db):
#
#   (a) the close: read, rated, recorded, reports made; with two jobs and with one
#   (b) the close as a user would write it in SQL (db_close.sql), writing the same rows
#   (c) one connection's binary COPY of the same rows, thrown away
#
# The costs that (a) and (b) have recorded must be equal to the cent.
#
#   RUNS=5                        every number is the median of so many rounds
#   ORGS=200000                   fewer for a quick look; then the goals mean little
#   BENCH_DIR=build/bench/data    where the dataset and run directories are made
#   KEEP=1                        keep the dataset for the next time
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
dataset=$data/db-$orgs
seconds_max=3600 # of any one measurement

if [ -z "${BENCH_CLUSTER:-}" ]; then
    BENCH_CLUSTER=1 exec "$root/tests/support/with_cluster.sh" bash "$here/db.sh"
fi
mkdir -p "$tools" "$data"
results=$data/db-results.tsv # measurement, wall us, cpu us, server cpu us, anonymous KB
: >"$results"

say() { echo "bench-db: $*" >&2; }
die() {
    say "$*"
    exit 1
}
sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

clean_up() {
    rm -rf "$data"/db-run-* "$data"/db-*.txt "$data/db-small" "$data/db-measured" "$results"
    [ -n "${KEEP:-}" ] || rm -rf "$dataset"
    rmdir "$data" 2>/dev/null || true
}
trap clean_up EXIT

for name in generate measure; do
    if [ "$here/$name.c" -nt "$tools/$name" ]; then
        say "builds $name"
        "${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$tools/$name" "$here/$name.c" -lcsv
    fi
done

# --- the tables ------------------------------------------------------------------------------------

needed=$(((1300 + 9000) * orgs / 200000 + 1000))
free=$(df -Pm "$data" | awk 'NR == 2 { print $4 }')
[ "$free" -gt "$needed" ] || die "needs $needed MB in $data and in the cluster, $free MB are free"
if [ ! -e "$dataset/complete" ]; then
    say "makes $dataset"
    mkdir -p "$dataset"
    "$tools/generate" "$dataset" --orgs "$orgs" --order org
    touch "$dataset/complete"
fi

# What helps both sides alike, on the machine at hand.
memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
sql -d postgres -c "alter system set shared_buffers = '$((memory / 8))MB'" \
    -c "alter system set max_wal_size = '8GB'" -c "alter system set checkpoint_timeout = '30min'" \
    -c "alter system set synchronous_commit = on"
pg_ctlcluster "$(sql -d postgres -c "select split_part(current_setting('server_version'), '.', 1)")" regress restart
PGDATABASE=postgres createdb --template template0 --encoding UTF8 bench
export PGDATABASE=bench
"$program" migrate --database "" --quiet >/dev/null
began=$SECONDS
# All but usage by ingest. Usage by COPY, with the values that ingest would give: it has no ids, so
# there are no keys, and nothing but changes. The cache is what they add up to.
mkdir -p "$data/db-small"
for file in "$dataset"/*.csv; do
    [ "$(basename "$file")" = usage.csv ] || ln -sf "$(realpath "$file")" "$data/db-small/"
done
say "ingests orgs, plans and seats"
"$program" ingest "$data/db-small" --database "" --quiet >/dev/null
say "copies $(($(wc -l <"$dataset/usage.csv") - 1)) rows of usage"
sql -c "select billing.ensure_ledger_partition('2026-09-15Z')" >/dev/null
sed -E '1d; s/$/,delta,/' "$dataset/usage.csv" | sql -c "copy billing.usage_ledger
    (org_id, metric, quantity, occurred_at, kind, recorded_at) from stdin (format csv)"
sql -c "set work_mem = '256MB'" -c "insert into billing.usage_cache (org_id, metric, count, changed_at)
    select org_id, metric, sum(quantity), max(occurred_at)
    from billing.usage_ledger where metric <> 'seats' group by org_id, metric order by org_id, metric"
say "loaded in $((SECONDS - began)) s"
sql -c "vacuum (analyze)" -c checkpoint
rows=$(sql -c "select count(*) from billing.usage_ledger")
postmaster=$(head -n 1 "$(sql -c 'show data_directory')/postmaster.pid")

# --- measuring -------------------------------------------------------------------------------------

# CPU time of the backends that have ended, in microseconds.
server_us() {
    local stat tick
    tick=$(getconf CLK_TCK)
    stat=$(sed 's/.*) //' "/proc/$postmaster/stat")
    # shellcheck disable=SC2086 # words on purpose
    set -- $stat
    echo $(((${14} + ${15}) * 1000000 / tick))
}

# take MEASUREMENT COMMAND...: measures it once, and what the server spent on it.
take() {
    local name=$1 before
    shift
    sync "$data"
    before=$(server_us)
    timeout "$seconds_max" "$tools/measure" "$data/db-measured" "$@" >"$data/db-out.txt" 2>"$data/db-err.txt" || {
        tail -n 20 "$data/db-err.txt" >&2
        die "$name failed"
    }
    # The backend ends a moment after its client, and counts when the postmaster has taken note of it.
    for _ in $(seq 1000); do
        pgrep -P "$postmaster" -f ' bench ' >"$data/db-out.txt" || break
    done
    sed -E "s/^wall_us=([0-9]+) cpu_us=([0-9]+) anon_kb=([0-9]+) .*/$name\t\1\t\2\t$(($(server_us) - before))\t\3/" \
        "$data/db-measured" >>"$results"
}

# Nothing is recorded; the tables are as before.
forget() {
    sql -c "set session_replication_role = replica" \
        -c "truncate billing.org_billing_overages, billing.org_billing_usage_monthly, billing.org_billing_terms,
            billing.org_periods, billing.sealed_tiers, billing.sealed_prices, billing.sealed_plans,
            billing.usage_alerts, billing.close_runs" -c checkpoint
}

recorded() {
    sql -c "select org_id, metric_type, trim_scale(amount), trim_scale(exact_cost), trim_scale(uncapped_cost), trim_scale(cost), trim_scale(billed)
        from billing.org_billing_overages order by 1, 2"
}

# What the run says of its stages: record and all else.
stages() { # MEASUREMENT RUN
    # shellcheck disable=SC2016 # JavaScript
    "$program" status "$2" --json 2>/dev/null | node -e '
        const [name] = process.argv.slice(1);
        const { stages } = JSON.parse(require("fs").readFileSync(0));
        const sum = (keep) => stages.filter(keep).reduce((total, s) => total + s.elapsed_us, 0);
        console.log([`${name}: record`, sum((s) => s.stage === "record"), 0, 0, 0].join("\t"));
        console.log([`${name}: all but record`, sum((s) => s.stage !== "record"), 0, 0, 0].join("\t"));
        console.log([`${name}: extract`, sum((s) => s.stage === "extract"), 0, 0, 0].join("\t"));
        ' "$1" >>"$results"
}

close() { # MEASUREMENT JOBS
    rm -rf "$data/db-run-$2"
    take "$1" "$program" run --period 2026-09 --cutoff 2026-10-01T00:00:00Z --now 2026-10-02T00:00:00Z --database "" \
        --jobs "$2" --run-dir "$data/db-run-$2" --emit none --quiet
    stages "$1" "$data/db-run-$2"
}

copy="copy (select org_id, metric, quantity, occurred_at from billing.usage_ledger
    where occurred_at >= '2026-09-01Z' and occurred_at < '2026-10-01Z') to stdout (format binary)"
for ((round = 1; round <= runs; round++)); do
    say "round $round of $runs"
    forget
    take "(c) COPY, one connection" psql -X -q -o /dev/null -c "$copy"
    take "(b) SQL script" psql -X -q -f "$here/db_close.sql"
    recorded >"$data/db-theirs.txt"
    forget
    close "(a) close, 1 job" 1
    forget
    close "(a) close, 2 jobs" 2
    recorded >"$data/db-ours.txt"
    close "(a) again, nothing new" 2
    cmp -s "$data/db-ours.txt" "$data/db-theirs.txt" || {
        diff "$data/db-ours.txt" "$data/db-theirs.txt" | head -n 20 >&2
        die "what (a) and (b) have recorded differs"
    }
done
written=$(sql -c "select (select count(*) from billing.org_billing_overages) + (select count(*) from billing.org_billing_usage_monthly)
    + (select count(*) from billing.org_billing_terms) + (select count(*) from billing.org_periods)
    + (select count(*) from billing.usage_alerts)")

# --- the result ------------------------------------------------------------------------------------

echo
echo "$orgs orgs, $rows ledger rows, $written rows recorded, $(wc -l <"$data/db-ours.txt") overages; median of $runs"
echo "costs recorded by (a) and (b): equal to the cent"
echo
awk -F'\t' -v runs="$runs" -v written="$written" '
    function median(name, column, i, j, n, swap) {
        n = split(values[name, column], list, " ")
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && list[j - 1] + 0 > list[j] + 0; j--) {
                swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap
            }
        return list[int((n + 1) / 2)]
    }
    function ratio(what, left, right, goal) {
        printf "  %-52s %6.2f   (goal: %s)\n", what, left / right, goal
    }
    {
        if (!($1 in seen)) order[++count] = $1
        seen[$1] = 1
        for (column = 2; column <= 4; column++) values[$1, column] = values[$1, column] " " $column
        if ($5 > peak[$1]) peak[$1] = $5
    }
    END {
        printf "  %-40s %10s %12s %12s %10s\n", "", "wall s", "client cpu s", "server cpu s", "anon MB"
        for (place = 1; place <= count; place++) {
            name = order[place]
            printf "  %-40s %10.2f", name, median(name, 2) / 1e6
            if (median(name, 4) > 0) printf " %12.2f %12.2f %10.0f", median(name, 3) / 1e6, median(name, 4) / 1e6, peak[name] / 1024
            print ""
        }
        c = median("(c) COPY, one connection", 2)
        b = median("(b) SQL script", 2)
        two = "(a) close, 2 jobs"; one = "(a) close, 1 job"
        print ""
        ratio("all but record, 2 jobs : (c)", median(two ": all but record", 2), c, "at most 0.60")
        ratio("all but record, 1 job : (c)", median(one ": all but record", 2), c, "at most 1.15")
        ratio("(b) : (a) with 2 jobs", b, median(two, 2), "at least 2")
        printf "  %-52s %6.0f   (goal: 200000)\n", "rows recorded a second, first", written * 1e6 / median(two ": record", 2)
        printf "  %-52s %6.0f   (goal: 240000)\n", "rows recorded a second, nothing new", written * 1e6 / median("(a) again, nothing new: record", 2)
        printf "  %-52s %6.0f   (goal: at most 160)\n", "peak anonymous memory, MB", (peak[two] > peak[one] ? peak[two] : peak[one]) / 1024
        printf "  %-52s %5.0f %%\n", "of the CPU time of (a) with 2 jobs, the server spends", 100 * median(two, 4) / (median(two, 3) + median(two, 4))
    }' "$results"
