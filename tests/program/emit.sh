#!/usr/bin/env bash
# Sending invoice items to the simulator: once each, whatever happens on the way (emit.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

simulator=${STRIPE_SIM:-$root/build/release/stripe_sim}
PATH="$root/build/tools/bin:$PATH"
check "items are sent once each: calm, killed, refused, lost" \
    timeout 300 node "$root/tests/program/emit.mjs" "$program" "$simulator" "$scratch"
finish
