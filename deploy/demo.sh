#!/usr/bin/env bash
# Closes two fixtures from scratch and says where everything is: deploy/demo.sh BUILD  (make demo)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
unset "${!PERIODCLOSE_@}"

close() { # FIXTURE EXIT STORY
    local name=$1 expected=$2 run=$build/demo/$1 args status=0
    mapfile -t args <"fixtures/$name/args"
    rm -rf "$run"
    echo
    echo "== fixtures/$name: $3"
    echo "\$ periodclose run ${args[*]} --source fixtures/$name/dataset --run-dir $run"
    "$build/periodclose" run "${args[@]}" --source "fixtures/$name/dataset" --run-dir "$run" ||
        status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "demo: exit $status, expected $expected" >&2
        exit 1
    fi
    echo "(exit $status)"
}

mkdir -p "$build/demo"
close focus 0 "a real cloud bill: every line must come out as the bill itself says"
close acme 4 "a story by hand; exit 4 is expected: some orgs are set aside or held"

cat <<END

== where everything is
  program          $build/periodclose     (try: $build/periodclose --help)
  datasets         fixtures/focus/dataset  fixtures/acme/dataset
  reports          $build/demo/focus/reports  $build/demo/acme/reports
  checkpoints      $build/demo/focus  $build/demo/acme     (Arrow files, one folder a stage)
  the story        fixtures/acme/README.md
what to type next
  $build/periodclose status $build/demo/acme
  $build/periodclose verify $build/demo/acme
  less $build/demo/acme/reports/exceptions.csv
END
