#!/usr/bin/env bash
# Sending overages to the simulator of Dodo: once each, whatever happens on the way.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "overages reach Dodo once each: calm, refused, killed, lost" \
    timeout 1200 node "$root/tests/program/emit_dodo.mjs" "$program" "$simulator" "$scratch"
finish
