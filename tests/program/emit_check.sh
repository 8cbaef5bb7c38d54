#!/usr/bin/env bash
# Before the first call: limits, keys, dry runs; and where items go (emit_check.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "what is wrong stops it before the first call, and items go where they should" \
    timeout 1200 node "$root/tests/program/emit_check.mjs" "$build/faulty_periodclose" "$simulator" "$scratch"
finish
