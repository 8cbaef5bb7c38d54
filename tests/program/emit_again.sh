#!/usr/bin/env bash
# Items that are sent later: by emit again, and of revisions (emit_again.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "what could not be sent goes later, in its order" \
    timeout 1200 node "$root/tests/program/emit_again.mjs" "$build/faulty_periodclose" "$simulator" "$scratch"
finish
