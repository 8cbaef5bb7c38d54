#!/usr/bin/env bash
# Invoices of their own, against the simulator: lines, comparing, finalising (emit_invoices.mjs).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

simulator=${STRIPE_SIM:-$root/build/release/stripe_sim}
PATH="$root/build/tools/bin:$PATH"
check "invoices of their own are compared, and finalised once" \
    timeout 300 node "$root/tests/program/emit_invoices.mjs" "$program" "$simulator" "$scratch"
finish
