#!/usr/bin/env bash
# Sending overages to the simulator as events of Stripe's meters: once each.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "overages become meter events once each: calm, faulty, unknown for 23 hours" \
    timeout 1200 node "$root/tests/program/emit_meters.mjs" "$program" "$build/faulty_periodclose" \
    "$simulator" "$scratch"
finish
