#!/usr/bin/env bash
# Whom the program sends to: TLS is verified always, proxies and authorities are the usual ones.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "nothing is sent to whom no authority vouches for, and the usual environment names authorities and proxies" \
    timeout 1200 node "$root/tests/program/trust.mjs" "$build/faulty_periodclose" "$simulator" "$scratch"
finish
