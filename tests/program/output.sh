#!/usr/bin/env bash
# What a command prints when things go wrong: nothing is lost in silence, and the last line on
# stderr is the next command.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tiny=$root/tests/program/datasets/tiny
run=$scratch/run
expect 0 run --source "$tiny" --run-dir "$run" --period 2025-03 --now 2025-04-05T00:00:00Z ||
    exit 1

lost_to_a_full_device() { # ARGUMENT...
    status=0
    timeout -k 5 "$run_seconds_max" "$program" "$@" >/dev/full 2>"$scratch/err" || status=$?
    [ "$status" -eq 30 ] && error_says stdout
}
check 'a summary that a full disk swallows is a failure' \
    lost_to_a_full_device summary --run-dir "$run" --org alder
check 'so is a table' lost_to_a_full_device inspect "$run/meter/usage"

read_by_nobody() {
    "$program" inspect "$run/meter/usage" 2>"$scratch/err" | true
    [ "${PIPESTATUS[0]}" -eq 0 ]
}
check 'a reader that has gone is no failure' read_by_nobody

next_is() { # next_is STATUS COMMAND ARGUMENT...: a command is told, as the last line
    expect "$@" >/dev/null || return 1
    tail -n 1 "$scratch/err"
    tail -n 1 "$scratch/err" | grep -q '^next: periodclose '
}
for command in status report verify; do
    check "$command of no run directory ends with a command to type" \
        next_is 30 "$command" "$scratch/none"
done
cp -r "$run" "$scratch/flipped"
printf '\125' | dd of="$scratch/flipped/20-meter/usage.arrow" bs=1 seek=300 conv=notrunc status=none
check 'verify of a damaged one too' next_is 12 verify "$scratch/flipped"

finish
