#!/usr/bin/env bash
# Sending invoice items to the simulator: once each, whatever happens on the way (emit.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "items are sent once each: calm, killed, refused, lost" \
    timeout 1200 node "$root/tests/program/emit.mjs" "$program" "$build/faulty_periodclose" "$simulator" "$scratch"
finish
