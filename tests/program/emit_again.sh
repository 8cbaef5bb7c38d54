#!/usr/bin/env bash
# Items that are sent later: by emit again, and of revisions (emit_again.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

simulator=${STRIPE_SIM:-$root/build/release/stripe_sim}
PATH="$root/build/tools/bin:$PATH"
check "what could not be sent goes later, in its order" \
    timeout 200 node "$root/tests/program/emit_again.mjs" "$program" "$simulator" "$scratch"
finish
