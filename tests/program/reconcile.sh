#!/usr/bin/env bash
# Comparing with what stands at Stripe, and repairing (reconcile.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "what differs at Stripe is found, and repaired without a double" \
    timeout 1200 node "$root/tests/program/reconcile.mjs" "$build/faulty_periodclose" "$simulator" "$scratch"
finish
