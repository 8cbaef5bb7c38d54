#!/usr/bin/env bash
# The counting of `make test`: whatever a suite printed, a broken one never counts as passed.
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/judge.sh
. "$root/tests/judge.sh"

judged() { # KIND STATUS PASSED FAILED REASON LINE...
    local kind=$1 exit_status=$2 wanted="$3 passed, $4 failed: $5" passed failed reason
    shift 5
    printf '%s\n' "$@" >"$scratch/log"
    judge "$kind" "$scratch/log" "$exit_status"
    echo "$passed passed, $failed failed: $reason; expected $wanted"
    [ "$passed passed, $failed failed: $reason" = "$wanted" ]
}

check "a good unit test counts" judged tap 0 2 0 "" 1..2 "ok 1 - a" "ok 2 - b"
check "a skipped one was run" judged tap 0 2 0 "" 1..2 "ok 1 - a" "ok 2 - b # SKIP"
check "two groups add up" judged tap 0 3 0 "" 1..1 "ok 1 - a" 1..2 "ok 1 - b" "ok 2 - c"
check "a failed one counts" judged tap 1 1 1 "" 1..2 "ok 1 - a" "not ok 2 - b"
check "one that dies fails with all it had left" judged tap 134 1 3 "exit 134" 1..4 "ok 1 - a" "ERROR: b"
check "one that dies after its last test fails" judged tap 1 2 1 "exit 1" 1..2 "ok 1 - a" "ok 2 - b"
check "one that stops early with 0 fails" judged tap 0 1 2 "told 1 tests of 3" 1..3 "ok 1 - a"
check "one that hides its failure fails" judged tap 0 1 2 "exit 0 with failed tests" 1..2 "ok 1 - a" "not ok 2 - b"
check "one without tests fails" judged tap 0 0 1 "told no test" "hello"
check "one that hangs fails" judged tap 124 1 1 "ran out of time" 1..2 "ok 1 - a"
check "one that was not built fails" judged tap unbuilt 0 1 "could not be built" "sorry"
check "one without a status fails" judged tap lost 0 1 "exit lost" ""
check "a good script counts" judged lines 0 2 0 "" "ok - a" "ok - b" "# x.sh: 2 ok, 0 not ok"
check "a failed script counts" judged lines 1 1 1 "" "ok - a" "not ok - b" "# x.sh: 1 ok, 1 not ok"
check "a script that never ends well fails" judged lines 0 1 1 "told 1 tests of 0" "ok - a"
check "a single program counts by its exit" judged exit 0 1 0 "" "fine"
check "a single program fails by its exit" judged exit 3 0 1 "" "not fine"
finish
