#!/usr/bin/env bash
# The program against PostgreSQL: in a throw-away cluster that pg_virtualenv makes for this suite.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
here=$root/tests/program

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

# A database of its own, which later commands of this script speak with.
fresh_database() { # NAME
    PGDATABASE=postgres createdb --template template0 --encoding UTF8 "$1" && export PGDATABASE=$1
}

# The dataset of a fixture without the org whose subscriptions overlap: tables refuse it.
dataset_of() { # FIXTURE FOLDER
    local file
    mkdir -p "$2"
    for file in "$root/fixtures/$1/dataset"/*.csv; do
        grep -v '^doubled,' "$file" >"$2/$(basename "$file")"
    done
}

load() { # FOLDER
    node "$here/load_dataset.mjs" "$1" | sql >"$scratch/load.txt"
}

# The same checkpoints from meter on, whatever the source.
same_from_meter() { # A B
    local stage
    for stage in 20-meter 30-rate 40-project; do
        diff -r "$1/$stage" "$2/$stage" || return 1
    done
}

migrate_twice() {
    expect 0 migrate --database "" && grep -q '^applied .* 0001_foundation.sql$' "$scratch/out" &&
        expect 0 migrate --database "" && grep -q '^0 applied$' "$scratch/out"
}

migrate_side_by_side() {
    "$program" migrate --database "" >"$scratch/one" 2>&1 &
    local other=$! failed=0
    "$program" migrate --database "" >"$scratch/two" 2>&1 || failed=1
    wait "$other" || failed=1
    cat "$scratch/one" "$scratch/two"
    [ "$failed" -eq 0 ] && [ "$(cat "$scratch/one" "$scratch/two" | grep -c '^applied ')" -eq \
        "$(find "$root/sql/migrations" -name '*.sql' | wc -l)" ]
}

refuses_changed_migration() {
    sql -c "update billing.schema_migrations set sha256 = repeat('0', 64) where name = '0002_tenants_and_plans.sql'"
    expect 20 migrate --database "" && error_says "0002_tenants_and_plans.sql was applied with other content"
}

refuses_database_ahead() {
    sql -c "insert into billing.schema_migrations (name, sha256) values ('9999_later.sql', repeat('0', 64))"
    expect 20 migrate --database "" && error_says "9999_later.sql" "ahead of this program" &&
        expect 20 run --database "" --period 2024-02 --run-dir "$scratch/ahead" &&
        error_says "ahead of this program"
}

# cmocka's own lines go to a file: this suite is counted by lib.sh's.
check "the database module speaks with a server as its header says" \
    timeout 120 "$(dirname "$program")/checked/tests/db/server_check"

fresh_database twice
check "migrate applies what is missing, and nothing when typed again" migrate_twice
check "migrate refuses a database that is ahead of it, and so does run" refuses_database_ahead
fresh_database beside
check "migrate from two places at once applies each migration once" migrate_side_by_side
check "migrate refuses a migration that has changed since it was applied" refuses_changed_migration

for fixture in acme focus llm-tokens; do
    args_of "$root/fixtures/$fixture/args"
    dataset_of "$fixture" "$scratch/$fixture"
    fresh_database "$fixture"
    periodclose migrate --database ""
    check "$fixture loads into the tables" load "$scratch/$fixture"
    check "$fixture closes from its files" \
        expect 0 run --source "$scratch/$fixture" "${args[@]}" --until project --run-dir "$scratch/$fixture-csv"
    for jobs in 1 2; do
        check "$fixture closes from the database with $jobs jobs" \
            expect 0 run --database "" "${args[@]}" --until project --jobs "$jobs" \
            --run-dir "$scratch/$fixture-$jobs"
        check "$fixture gives the same checkpoints from meter on with $jobs jobs" \
            same_from_meter "$scratch/$fixture-csv" "$scratch/$fixture-$jobs"
    done
done

finish
