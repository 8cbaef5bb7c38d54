#!/usr/bin/env bash
# Closes fixtures/acme out of a throw-away PostgreSQL: deploy/demo-db.sh BUILD  (make demo-db)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1

if [ -z "${DEMO_CLUSTER:-}" ]; then
    DEMO_CLUSTER=1 exec tests/support/with_cluster.sh bash deploy/demo-db.sh "$build"
fi
unset "${!PERIODCLOSE_@}"
run=$build/demo-db/acme
mapfile -t args <fixtures/acme/args

step() { # EXIT WORD...: shows the command, and runs it
    local expected=$1 status=0 shown
    shift
    printf -v shown '%q ' "$@"
    echo
    echo "\$ periodclose $shown"
    "$build/periodclose" "$@" || status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "demo-db: exit $status, expected $expected" >&2
        exit 1
    fi
    echo "(exit $status)"
}

rm -rf "$run"
mkdir -p "$build/demo-db"
createdb --template template0 --encoding UTF8 billing
export PGDATABASE=billing
echo "== a throw-away cluster: $(psql -X -At -c 'select version()' | cut -d, -f1)"
step 0 migrate --database ''
echo
echo "== exit 10 is expected: one org of the fixture has two subscriptions at once, which tables refuse"
step 10 ingest fixtures/acme/dataset --database ''
echo
echo "== exit 4 is expected: some orgs are set aside or held"
step 4 run "${args[@]}" --database '' --run-dir "$run"
step 0 summary --org acme --database ''
step 0 check --org acme --action use_tokens --database ''
step 0 seats --org acme --database ''

cat <<END

== the cluster is gone now, the run stays
  reports          $run/reports
  checkpoints      $run
what to type next
  $build/periodclose status $run
  $build/periodclose verify $run
  less $run/reports/overages.csv
END
