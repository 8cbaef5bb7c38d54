#!/usr/bin/env bash
# Comparing a recorded period with Stripe and Dodo out of the database alone: reconcile_period.mjs.
if [ -z "${RECONCILE_PERIOD_SUITE:-}" ]; then
    RECONCILE_PERIOD_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "a recorded period is compared and repaired without its run directory, and nothing is sent twice" \
    timeout 1200 node "$root/tests/program/reconcile_period.mjs" "$program" "$build/faulty_periodclose" \
    "$simulator" "$scratch"
finish
