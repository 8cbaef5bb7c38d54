#!/usr/bin/env bash
# The database's tests: tests/sql/run.sh [FILE...]  Prints TAP.
#
# Makes one throw-away cluster (4 seconds, also as root), applies sql/migrations to a database as
# superuser and to another one as an ordinary role, and runs every file with pg_prove in a fresh copy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The newest installed server that pgTAP was installed for.
find_version() {
    local folder version
    for folder in /usr/lib/postgresql/*/bin/postgres; do
        version=$(basename "$(dirname "$(dirname "$folder")")")
        if [ -e "/usr/share/postgresql/$version/extension/pgtap.control" ]; then
            echo "$version"
        fi
    done | sort -n | tail -n 1
}

if [ -z "${BILLING_TEST_CLUSTER:-}" ]; then
    version=$(find_version)
    if [ -z "$version" ]; then
        echo "run.sh: no PostgreSQL server with pgTAP; type: deploy/deps.sh test" >&2
        exit 1
    fi
    PG_VERSION=$version BILLING_TEST_CLUSTER=1 exec tests/support/with_cluster.sh \
        bash tests/sql/run.sh "$@"
fi

# As the README of sql/ says; ordinary roles have no transaction around a file here.
migrate() { # DATABASE OPTION...
    local database=$1 file
    shift
    for file in sql/migrations/*.sql; do
        psql -X -q "$@" -v ON_ERROR_STOP=1 -d "$database" -f "$file" >/dev/null
    done
}

# The table of src/core/money.c as code, decimals, increment, exponent.
list_currencies() {
    grep -oE '(CENTS|WHOLE|WHOLE_AS_CENTS|TENS_OF_MILLS|MILLS)\("[a-z]{3}"\)' src/core/money.c |
        sed -E 's/^CENTS\("(...)"\)/\1,2,0.01,2/; s/^WHOLE\("(...)"\)/\1,0,1,0/
            s/^WHOLE_AS_CENTS\("(...)"\)/\1,0,1,2/; s/^TENS_OF_MILLS\("(...)"\)/\1,3,0.01,3/
            s/^MILLS\("(...)"\)/\1,3,0.001,3/'
}

export PGOPTIONS='-c client_min_messages=warning'
createdb -E UTF8 -T template0 billing_model
migrate billing_model -1
psql -X -q -v ON_ERROR_STOP=1 -d billing_model \
    -c 'create extension pgtap' -c 'create extension dblink' \
    -c 'create table public.money_c (code text, decimals int, increment numeric, exponent int)' \
    -c 'grant select on public.money_c to public'
list_currencies | psql -X -q -v ON_ERROR_STOP=1 -d billing_model -c 'copy public.money_c from stdin csv'

psql -X -q -v ON_ERROR_STOP=1 -d billing_model -c "create role deployer login password 'deployer'"
createdb -E UTF8 -T template0 -O deployer ordinary_model
PGUSER=deployer PGPASSWORD=deployer migrate ordinary_model
psql -X -q -v ON_ERROR_STOP=1 -d ordinary_model -c 'create extension pgtap'

[ $# -gt 0 ] || set -- tests/sql/*.sql
status=0
for file in "$@"; do
    model=billing_model
    case $file in *_ordinary_*) model=ordinary_model ;; esac
    dropdb --if-exists billing_test
    createdb -T "$model" billing_test
    echo "# $file"
    timeout 120 pg_prove --verbose -d billing_test "$file" 2>&1 || status=1
done
exit "$status"
