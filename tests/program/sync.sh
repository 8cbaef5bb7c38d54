#!/usr/bin/env bash
# sync against PostgreSQL and the simulator of Stripe and Dodo: sync.mjs.
if [ -z "${SYNC_SUITE:-}" ]; then
    SYNC_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
PGDATABASE=postgres createdb --template template0 --encoding UTF8 sync && export PGDATABASE=sync
"$program" migrate --database "" >"$scratch/migrate.txt" 2>&1 || cat "$scratch/migrate.txt"
check "subscriptions are taken over once: pages, changes, events, forgeries, repetitions, old ones" \
    timeout 1200 node "$root/tests/program/sync.mjs" "$program" "$simulator" "$scratch"
finish
