#!/usr/bin/env bash
# Invoices of their own, against the simulator: lines, comparing, finalising (emit_invoices.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
check "invoices of their own are compared, and finalised once" \
    timeout 1200 node "$root/tests/program/emit_invoices.mjs" "$build/faulty_periodclose" "$simulator" "$scratch"
finish
