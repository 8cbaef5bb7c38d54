#!/usr/bin/env bash
# What became of invoice items, on their records in PostgreSQL: emit_database.mjs.
if [ -z "${EMIT_DATABASE_SUITE:-}" ]; then
    EMIT_DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "records say what became of their items: sent, held, refused, sent later, killed on the way" \
    timeout 1200 node "$root/tests/program/emit_database.mjs" "$program" "$build/faulty_periodclose" \
    "$simulator" "$scratch"
finish
