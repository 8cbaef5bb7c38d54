#!/usr/bin/env bash
# Comparing with what stands at Stripe, and repairing (reconcile.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

simulator=${STRIPE_SIM:-$root/build/release/stripe_sim}
PATH="$root/build/tools/bin:$PATH"
check "what differs at Stripe is found, and repaired without a double" \
    timeout 200 node "$root/tests/program/reconcile.mjs" "$program" "$simulator" "$scratch"
finish
