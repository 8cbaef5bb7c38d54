#!/usr/bin/env bash
# The program against PostgreSQL: in a throw-away cluster that pg_virtualenv makes for this suite.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

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

no_drift() {
    [ -z "$(sql -c "select * from billing.usage_drift()" | tee /dev/stderr)" ]
}

# The same checkpoints from meter on, whatever the source.
same_from_meter() { # A B
    local stage
    for stage in 20-meter 30-rate 40-project; do
        diff -r "$1/$stage" "$2/$stage" || return 1
    done
}

# Also the extract is the same: what comes added up lies in the same days.
added_up_on_server() {
    expect 0 run --database "" "${args[@]}" --until project --jobs 2 --aggregate server \
        --run-dir "$scratch/$fixture-summed" &&
        same_from_meter "$scratch/$fixture-csv" "$scratch/$fixture-summed" &&
        diff -r "$scratch/$fixture-2/10-extract" "$scratch/$fixture-summed/10-extract" &&
        expect 2 run --database "" "${args[@]}" --aggregate both --run-dir "$scratch/$fixture-none" &&
        error_says "--aggregate: 'both' is neither client nor server"
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
    check "$fixture is ingested" expect 0 ingest "$scratch/$fixture" --database ""
    check "$fixture leaves cache and ledger equal" no_drift
    check "$fixture closes from its files" \
        expect 0 run --source "$scratch/$fixture" "${args[@]}" --until project --run-dir "$scratch/$fixture-csv"
    for jobs in 1 2; do
        check "$fixture closes from the database with $jobs jobs" \
            expect 0 run --database "" "${args[@]}" --until project --jobs "$jobs" \
            --run-dir "$scratch/$fixture-$jobs"
        check "$fixture gives the same checkpoints from meter on with $jobs jobs" \
            same_from_meter "$scratch/$fixture-csv" "$scratch/$fixture-$jobs"
    done
    check "$fixture closes with sums from the server, with the same checkpoints" added_up_on_server
    check "$fixture is the same for diff, read from its files or from the database" \
        all expect 0 diff "$scratch/$fixture-csv" "$scratch/$fixture-2" -- grep -qx 'identical\|the same' "$scratch/out" -- \
        grep -q '^meter    identical$' "$scratch/out"
done

asides_are() { # RUN ROW...: run from the options in from
    local run=$1
    shift
    printf '%s\n' org_id,metric,kind,events,quantity,first_at,last_at "$@" >"$scratch/expected"
    # shellcheck disable=SC2086 # options
    expect 0 run $from --period 2025-03 --cutoff 2025-04-05T00:00:00Z --until project --run-dir "$scratch/$run" &&
        "$program" inspect "$scratch/$run/extract/asides" --format csv >"$scratch/asides" 2>"$scratch/err" &&
        diff "$scratch/expected" "$scratch/asides"
}

# Of late rows that set a level the last one is told, with the changes since, wherever they come from.
late_sets() {
    local dataset=$scratch/sets from number=0
    local late=2025-04-06T00:00:00Z
    local paper=alder,paper,unpriced,2,8,2025-03-12T00:00:00Z,2025-03-12T00:00:00Z
    cp -r "$root/tests/program/datasets/tiny" "$dataset"
    echo "basic,disk,last,per_unit,,,1," >>"$dataset/prices.csv"
    {
        echo "alder,disk,6,2025-03-10T00:00:00Z,z,set,,$late"
        echo "alder,disk,40,2025-03-10T12:00:00Z,,delta,,$late"
        echo "alder,disk,7,2025-03-11T00:00:00Z,b,set,,$late"
        echo "alder,disk,50,2025-03-11T00:00:00Z,a,set,,$late"
        echo "alder,disk,60,2025-03-11T00:00:00Z,,set,,$late"
        echo "alder,disk,3,2025-03-11T00:00:00Z,,delta,,$late"
        echo "alder,disk,-1,2025-03-12T00:00:00Z,y,delta,,$late"
        echo "alder,paper,8,2025-03-12T00:00:00Z,d,set,,"
        echo "alder,paper,9,2025-03-12T00:00:00Z,c,set,,"
    } >>"$dataset/usage.csv"
    node "$root/tests/program/rewrite_dataset.mjs" "$dataset" "$dataset-shuffled" 7 lf || return 1
    fresh_database sets
    all expect 0 migrate --database "" -- expect 0 ingest "$dataset" --database "" || return 1
    for from in "--source=$dataset --jobs=1" "--source=$dataset-shuffled --jobs=2" "--database= --jobs=1" "--database= --jobs=2"; do
        number=$((number + 1))
        asides_are "sets-$number" alder,disk,late,7,9,2025-03-10T00:00:00Z,2025-03-12T00:00:00Z "$paper" || return 1
    done
}
# What is administrative sets nothing, as late as it may be.
late_resets() {
    local from="--database="
    local paper=alder,paper,unpriced,2,8,2025-03-12T00:00:00Z,2025-03-12T00:00:00Z
    sql -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at, recorded_at, reason)
            values ('alder', 'tokens', 'delta', 5, '2025-03-13Z', '2025-04-06Z', null), ('alder', 'tokens', 'set', 0, '2025-03-14Z', '2025-04-06Z', 'monthly_reset'),
                ('alder', 'disk', 'set', 0, '2025-03-14Z', '2025-04-06Z', 'monthly_reset')" &&
        asides_are resets alder,disk,late,8,9,2025-03-10T00:00:00Z,2025-03-14T00:00:00Z "$paper" \
            alder,tokens,late,2,5,2025-03-13T00:00:00Z,2025-03-14T00:00:00Z
}
check "of late rows that set a level the last one is told, from files and database" late_sets
check "late resets set nothing" late_resets

# Seats are put together from their events: ended, ending by themselves, or both, in whatever role.
odd_seats() {
    fresh_database odd_seats
    all expect 0 migrate --database "" -- expect 0 ingest "$root/tests/program/datasets/tiny" --database "" || return 1
    sql -c "create temporary table made as
            select row_number() over () as seat, *
            from (values
                ('dot', E'two\nlines', '2025-03-02Z'::timestamptz, null::timestamptz, null::timestamptz),
                ('eli', E'\x01odd', '2025-03-02Z', '2025-03-20Z', null),
                ('flo', null, '2025-03-03Z', '2025-03-30Z', '2025-03-10Z'),
                ('gus', 'member', '2025-03-03Z', '2025-03-10Z', '2025-03-30Z'),
                ('flo', 'bookkeeper', '2025-03-20Z', null, '2025-03-20Z'),
                ('hal', 'member', '2025-03-02Z', '9999-12-31 23:59:59 America/New_York', null),
                ('ida', 'member', '2025-03-02Z', '12000-01-01Z', '2025-03-10Z'),
                ('jon', 'member', '2025-03-02Z', null, '10000-01-01Z'),
                ('kim', 'member', '2025-03-02Z', '2025-03-11Z', '12000-01-01Z'),
                ('lea', 'member', '2025-03-02Z', '9999-12-31 23:59:59Z', null)
            ) as seats (user_id, role, assigned_at, expires_at, revoked_at);
        insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at, role, expires_at)
        select 'alder', 1000 + seat, 'assigned', user_id, assigned_at, role, expires_at
        from made;
        insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at)
        select 'alder', 1000 + seat, 'revoked', user_id, revoked_at
        from made
        where revoked_at is not null
        order by seat desc" || return 1
    sql --csv -c "select org_id, user_id, role, to_char(assigned_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as assigned_at,
            case when revoked_at < '10000-01-01Z' then to_char(revoked_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') end as revoked_at
        from billing.seat_intervals order by user_id, assigned_at" >"$scratch/expected"
    [ "$(sql -c "select count(*) from billing.seat_intervals")" = 13 ] || return 1
    local jobs
    for jobs in 1 2; do
        expect 0 run --database "" --period 2025-03 --cutoff 2025-04-05T00:00:00Z --until project --jobs "$jobs" \
            --run-dir "$scratch/odd-seats-$jobs" &&
            "$program" inspect "$scratch/odd-seats-$jobs/extract/seats" --format csv 2>"$scratch/err" |
            sed 1d >"$scratch/seats" && diff "$scratch/expected" "$scratch/seats" || return 1
    done
}
# An end beyond year 9999 is none; a beginning there is told.
far_seat() {
    sql -c "insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at) values ('alder', 2001, 'assigned', 'max', '10000-01-01Z')" &&
        expect 10 run --database "" --period 2025-03 --cutoff 2025-04-05T00:00:00Z --until project --run-dir "$scratch/far-seat" &&
        error_says "billing.seat_intervals: assigned_at" "is out of range (years 0001 to 9999) (org_id alder, user_id max)" "close the other orgs with --org meanwhile" &&
        expect 0 run --database "" --period 2025-03 --cutoff 2025-04-05T00:00:00Z --until project --org birch --run-dir "$scratch/no-far-seat"
}
check "seats come as the seat book has them, whatever their roles and however they ended" odd_seats
check "a seat assigned beyond year 9999 is told with its org and user, and keeps no other org from closing" far_seat

other_encoding() { # ENCODING
    PGDATABASE=postgres createdb --template template0 --locale C --encoding "$1" "in_${1,,}" && export PGDATABASE="in_${1,,}"
    all expect 20 migrate --database "" -- error_says "is encoded in $1, not in UTF8" "createdb --encoding UTF8" -- \
        expect 20 ingest "$scratch/acme" --database "" -- error_says "periodclose migrate" -- \
        test "$(sql -c "select count(*) from pg_namespace where nspname = 'billing'")" = 0
}
check "a database in another encoding is refused, and nothing is made there" all \
    other_encoding LATIN1 -- other_encoding SQL_ASCII

# Who migrates needs other rights than the job.
needs_owner() {
    fresh_database owned
    sql -c "create role passer login password 'passer'" || return 1
    PGUSER=passer PGPASSWORD=passer expect 20 migrate --database "" && error_says "hint: migrate as the owner" || return 1
    sql -c "create schema billing; create table billing.schema_migrations (name text, sha256 text)" &&
        PGUSER=passer PGPASSWORD=passer expect 20 ingest "$scratch/acme" --database "" &&
        error_says "migrations are applied" "periodclose migrate"
}
check "whose rights are missing to migrate is told whose" needs_owner

# Whatever a login or a client has set of its own: how texts, dates and null are read and written.
odd_login() {
    local setting where
    sql -d postgres -c "create role odd superuser login password 'odd'" || return 1
    for setting in TimeZone=Asia/Kathmandu DateStyle=German,DMY IntervalStyle=sql_standard \
        search_path=public,billing standard_conforming_strings=off extra_float_digits=-15 \
        bytea_output=escape default_transaction_isolation=serializable client_encoding=LATIN1 \
        transform_null_equals=on array_nulls=off quote_all_identifiers=on row_security=off; do
        sql -d postgres -c "alter role odd set ${setting%%=*} = '${setting#*=}'" || return 1
    done
    args_of "$root/fixtures/acme/args"
    fresh_database odd
    PGUSER=odd PGPASSWORD=odd PGTZ=America/St_Johns PGDATESTYLE=SQL,DMY
    export PGUSER PGPASSWORD PGTZ PGDATESTYLE
    all expect 0 migrate --database "" -- expect 0 ingest "$scratch/acme" --database "" -- no_drift || return 1
    for where in client server; do
        expect 0 run --database "" "${args[@]}" --until project --aggregate "$where" --run-dir "$scratch/odd-$where" &&
            same_from_meter "$scratch/acme-csv" "$scratch/odd-$where" || return 1
    done
    expect 4 run --database "" "${args[@]}" --run-dir "$scratch/odd" && expect 0 verify "$scratch/odd" &&
        expect 0 backfill --seats --database ""
}
odd_login_apart() { (odd_login); } # its variables end with it
check "settings of a login change nothing" odd_login_apart

# --- applied by psql -----------------------------------------------------------------------------

by_psql() { # PSQL-OPTION... -- FILE...
    local options=() file
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    for file in "$@"; do
        psql -X -q ${options[@]+"${options[@]}"} -f "$file" >/dev/null 2>"$scratch/psql" || return 1
    done
}
files=("$root"/sql/migrations/*.sql)
same_as_migrated() { # DATABASE: noted as periodclose migrate notes, and ready for a run
    expect 0 migrate --database "" && grep -q '^0 applied$' "$scratch/out" &&
        diff <(sql -c "select name, sha256 from billing.schema_migrations order by name") \
            <(sql -d acme -c "select name, sha256 from billing.schema_migrations order by name")
}
psql_makes_it() { # PSQL-OPTION...
    by_psql "$@" -- "${files[@]}" && expect 0 run --database "" --period 2024-02 --until project --run-dir "$scratch/$PGDATABASE-run" &&
        same_as_migrated
}
# As if a program from before the files noted themselves had been at work.
adopts() {
    by_psql -1 -v ON_ERROR_STOP=1 -- "${files[@]:0:13}" && expect 20 run --database "" --period 2024-02 --run-dir "$scratch/by-hand" &&
        error_says "0 of ${#files[@]} migrations are applied" "periodclose migrate" &&
        expect 0 migrate --database "" --dry-run && is_told "^was there .*0013_" "^to be applied|^was there .*0014_" &&
        [ "$(sql -c "select count(*) from billing.schema_migrations")" = 0 ] &&
        expect 0 migrate --database "" && is_told "^was there .*0001_" "^was there .*0013_" && same_as_migrated
}
is_told() { # PATTERN...
    local pattern
    for pattern in "$@"; do
        grep -Eq "$pattern" "$scratch/out" || { cat "$scratch/out"; return 1; }
    done
}
migrate_hand_and_program() {
    by_psql -1 -v ON_ERROR_STOP=1 -- "${files[@]:0:13}" || return 1
    "$program" migrate --database "" >"$scratch/one" 2>&1 &
    local other=$! failed=0
    "$program" migrate --database "" >"$scratch/two" 2>&1 || failed=1
    wait "$other" || failed=1
    cat "$scratch/one" "$scratch/two"
    [ "$failed" -eq 0 ] && same_as_migrated
}
# A file that is not what it was, and one of which a statement failed while psql went on.
refuses_other_schema() {
    sed "s/greatest(seats.used - seats.total, 0)/greatest(seats.used - seats.total, 1)/" "$root/sql/migrations/0009_seat_functions.sql" >"$scratch/0009.sql"
    by_psql -1 -v ON_ERROR_STOP=1 -- "${files[@]:0:8}" "$scratch/0009.sql" "${files[@]:9:4}" || return 1
    expect 20 migrate --database "" && error_says "is not what the migrations 0001 to 0013 make" "begin with an empty database" &&
        by_psql -- "${files[@]:13}" && [ "$(sql -c "select count(*) from billing.schema_migrations")" = 0 ]
}
refuses_half_a_file() {
    sed '/^create table billing.usage_cache/,/^) with/d' "$root/sql/migrations/0003_usage.sql" >"$scratch/0003.sql"
    by_psql -- "${files[@]:0:2}" "$scratch/0003.sql" "${files[@]:3}" || return 1
    [ "$(sql -c "select count(*) from billing.schema_migrations")" = 0 ] && expect 20 run --database "" --period 2024-02 --run-dir "$scratch/half"
}
refuses_changed_by_psql() {
    sql -c "update billing.schema_migrations set sha256 = repeat('0', 64) where name = '0014_noted.sql'"
    expect 20 migrate --database "" && error_says "0014_noted.sql was applied with other content"
}
fresh_database by_psql
check "psql -f makes the same, also statement by statement, and notes it" psql_makes_it -v ON_ERROR_STOP=1
check "a file that psql applied and that has changed since is refused" refuses_changed_by_psql
fresh_database by_psql_whole
check "and in transactions" psql_makes_it -1 -v ON_ERROR_STOP=1
fresh_database by_hand
check "migrate takes over what psql made of files that did not note themselves" adopts
fresh_database by_both
check "also from two places at once" migrate_hand_and_program
fresh_database other_schema
check "but not a schema that they do not make" refuses_other_schema
fresh_database half_a_file
check "nor one of which a statement failed" refuses_half_a_file

export PGDATABASE=llm-tokens

# --- what is wrong, and what to do about it ------------------------------------------------------

# closing STATUS OPTION...: a first run of the last fixture into a folder of its own.
runs=0
closing() {
    local expected=$1
    shift
    runs=$((runs + 1))
    expect "$expected" run "${args[@]}" --until project --run-dir "$scratch/run-$runs" "$@"
}

wrong_password() {
    PGPASSWORD=s3cret closing 20 --database "" &&
        error_says "password authentication failed" "PGPASSWORD" && ! grep -q s3cret "$scratch/err"
}

password_typed() {
    closing 2 --database "password=s3cret" && error_says "holds a password" &&
        ! grep -r s3cret "$scratch/err" "$scratch"/run-*
}

both_sources() {
    closing 2 --database "" --source "$scratch/acme" && error_says "both --source and --database"
}

no_server() {
    closing 20 --database "port=1" && error_says "cannot connect to" "see whether the server runs"
}

not_migrated() {
    PGDATABASE=template1 closing 20 --database "" &&
        error_says "of $(find "$root/sql/migrations" -name '*.sql' | wc -l) migrations are applied" \
            "periodclose migrate"
}

missing_table() {
    sql -c "alter table billing.org_limits rename to limits_gone" &&
        closing 20 --database "" && error_says "column billing.org_limits.hard_limit is not there, it should be billing.amount" "changed by hand" &&
        sql -c "alter table billing.limits_gone rename to org_limits"
}

wrong_type() {
    sql -c "alter table billing.orgs drop column anchor_day, add column anchor_day text default 'first'" &&
        closing 20 --database "" &&
        error_says "column billing.orgs.anchor_day is text, it should be smallint" "change it back"
}

no_rights() {
    sql -c "create role stranger login password 'known'" &&
        PGUSER=stranger PGPASSWORD=known closing 20 --database "" &&
        error_says "permission denied" "grant billing_close"
}

rights_by_role() {
    sql -c "create role closer login password 'known' in role billing_close" &&
        PGUSER=closer PGPASSWORD=known closing 0 --database ""
}

# What an app may see must not pass for what there is.
filtered_rows() {
    sql -c "create role app login password 'known' in role billing_app" \
        -c "grant select on billing.schema_migrations, billing.plans to app" &&
        PGUSER=app PGPASSWORD=known closing 20 --database ""
}

another_database() {
    closing 0 --database "" &&
        PGDATABASE=focus expect 13 run "${args[@]}" --run-dir "$scratch/run-$runs" --until project --database "" &&
        error_says "llm-tokens of cluster" "focus of cluster"
}

goes_on_from_what_it_knows() {
    expect 0 run "${args[@]}" --run-dir "$scratch/goes-on" --until meter --database "" &&
        expect 0 run --run-dir "$scratch/goes-on" --until project
}

refused_row() {
    sql -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at)
            select 'nobody', 'tokens', 'delta', 3, min(occurred_at) from billing.usage_ledger" &&
        closing 10 --database "" && error_says "billing.usage_ledger: org_id 'nobody': is not in billing.orgs"
}

# A row that no plan of its org can have, in a ledger that keeps it: the others can be closed.
row_of_another_plan() {
    fresh_database contrary && expect 0 migrate --database "" || return 1
    sql -c "insert into billing.orgs (org_id) values ('good'), ('bad')" \
        -c "insert into billing.plans (plan_id) values ('pro')" \
        -c "insert into billing.prices (plan_id, metric, aggregation, included, unit_price) values ('pro', 'disk', 'last', 10, 1)" \
        -c "insert into billing.subscriptions (org_id, plan_id, starts_at) values ('good', 'pro', '2024-01-01Z'), ('bad', 'pro', '2024-01-01Z')" \
        -c "select billing.set_usage('bad', 'disk', 5, p_occurred_at => '2024-02-10Z'), billing.increment_usage('good', 'disk', 50, p_occurred_at => '2024-02-20Z')" \
        -c "update billing.prices set aggregation = 'sum'" >"$scratch/sql"
    all expect 4 run --database "" --period 2024-02 --run-dir "$scratch/contrary" -- \
        grep -q '^bad,,set_aside,kind_mismatch,"disk was set at 2024-02-10T00:00:00Z' "$scratch/contrary/reports/exceptions.csv" -- \
        grep -q "^good,.*,50,10,40," "$scratch/contrary/reports/overages.csv" -- \
        sql -c "update billing.prices set aggregation = 'last'" -- \
        expect 0 run --database "" --period 2024-02 --run-dir "$scratch/contrary-all" || return 1
    [ "$(sql -c "select string_agg(org_id || ' ' || recorded_by, ', ' order by org_id) from billing.org_periods")" = 'bad 2, good 1' ]
}

administrative_rows() {
    sql -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at, recorded_at, reason)
            select org_id, metric, 'set', 0, occurred_at, occurred_at, 'monthly_reset' from billing.usage_ledger
            where occurred_at between '2023-11-10' and '2023-11-20' limit 7" \
        -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at, recorded_at, reason)
            select org_id, metric, 'delta', 5, occurred_at, occurred_at, 'migration' from billing.usage_ledger
            where occurred_at between '2023-11-10' and '2023-11-20' limit 3" &&
        closing 0 --database "" &&
        "$program" inspect "$scratch/run-$runs/extract/categories" --format csv >"$scratch/categories" 2>/dev/null && cat "$scratch/categories" &&
        awk -F, '$2 == "administrative" { rows += $3 } END { exit rows != 10 }' "$scratch/categories" &&
        "$program" inspect "$scratch/llm-tokens-1/meter/usage" --format csv >"$scratch/left" 2>&1 &&
        "$program" inspect "$scratch/run-$runs/meter/usage" --format csv >"$scratch/right" 2>&1 &&
        diff <(grep -v '^next:' "$scratch/left") <(grep -v '^next:' "$scratch/right")
}

# Not a standby, but the same to a client: nothing can be written. Reading is all that extract does.
reads_from_a_reader() {
    PGOPTIONS="-c default_transaction_read_only=on" closing 0 --database "" &&
        PGOPTIONS="-c default_transaction_read_only=on" expect 20 migrate --database "" &&
        error_says "read-only" "primary"
}

check "a wrong password is told, but not said" wrong_password
check "a password on the command line is refused" password_typed
check "only one of folder and database can be the source" both_sources
check "a server that is not there is told" no_server
check "a database without the schema names the command that makes it" not_migrated
check "a missing table is told" missing_table
check "a login without rights is told which role it needs" no_rights
check "a login in the role billing_close needs no more" rights_by_role
check "a login that row security would hide rows from is refused" filtered_rows
check "a run goes on only with the database it began with" another_database
check "a run goes on without being told its database again" goes_on_from_what_it_knows
check "extract is content with a server that only reads, migrate is not" reads_from_a_reader
check "resets and migrations of flows are administrative, not usage" administrative_rows
check "usage of an unknown org is bad input" refused_row
check "a column of another type, too, before anything is read" wrong_type

check "a row that the plan cannot have stops its org alone, until the plan can" row_of_another_plan

finish
