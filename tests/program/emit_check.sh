#!/usr/bin/env bash
# Before the first call: limits, keys, dry runs; and where items go (emit_check.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

simulator=${STRIPE_SIM:-$root/build/release/stripe_sim}
PATH="$root/build/tools/bin:$PATH"
check "what is wrong stops it before the first call, and items go where they should" \
    timeout 200 node "$root/tests/program/emit_check.mjs" "$program" "$simulator" "$scratch"
finish
