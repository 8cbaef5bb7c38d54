#!/usr/bin/env bash
# push against PostgreSQL and the simulator of Dodo: push.mjs.
if [ -z "${PUSH_SUITE:-}" ]; then
    PUSH_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
PGDATABASE=postgres createdb --template template0 --encoding UTF8 push && export PGDATABASE=push
"$program" migrate --database "" >"$scratch/migrate.txt" 2>&1 || cat "$scratch/migrate.txt"
check "usage reaches Dodo once each: killed, side by side, refused, too old, ahead of its time" \
    timeout 1200 node "$root/tests/program/push.mjs" "$program" "$build/faulty_periodclose" "$simulator"
finish
