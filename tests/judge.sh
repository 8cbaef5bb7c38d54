# shellcheck shell=bash
# Counts the tests of one suite from its log and exit status. Sourced by run_all.sh, and shown broken
# suites by tests/program/counting.sh.

lines_count() { grep -acE "$1" "$2" || true; }

# TAP of cmocka: every group says how many tests it has before it runs them.
count_tap() { # LOG
    promised=$(sed -n 's/^1\.\.\([0-9][0-9]*\)$/\1/p' "$1" | awk '{ sum += $1 } END { print sum + 0 }')
    passed=$(lines_count '^ok [0-9]' "$1")
    failed=$(lines_count '^not ok [0-9]' "$1")
}

# Lines of lib.sh, and its closing line, without which a script did not come to its end.
count_lines() { # LOG
    passed=$(lines_count '^ok - ' "$1")
    failed=$(lines_count '^not ok - ' "$1")
    promised=$(sed -n 's/^# .*: \([0-9]*\) ok, \([0-9]*\) not ok$/\1 \2/p' "$1" |
        awk '{ sum += $1 + $2 } END { print sum + 0 }')
}

# judge KIND LOG STATUS: sets passed, failed and, where lines and status do not fit, reason.
# STATUS is the exit status, "unbuilt", or "lost" where there is none.
judge() {
    local kind=$1 log=$2 status=$3 promised=0 told untold
    passed=0
    failed=0
    reason=
    case $kind in
        tap) count_tap "$log" ;;
        lines) count_lines "$log" ;;
        exit)
            [ "$status" = 0 ] && passed=1 || failed=1
            promised=1
            ;;
    esac
    told=$((passed + failed))
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        reason="ran out of time"
    elif [ "$status" = unbuilt ]; then
        reason="could not be built"
    elif [ "$status" = lost ] || { [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; }; then
        reason="exit $status"
    elif [ "$told" -eq 0 ]; then
        reason="told no test"
    elif [ "$told" -ne "$promised" ]; then
        reason="told $told tests of $promised"
    elif [ "$status" -eq 0 ] && [ "$failed" -gt 0 ]; then
        reason="exit 0 with failed tests"
    fi
    # The tests that a dead suite never told are failed ones.
    untold=$((promised - told))
    if [ -n "$reason" ]; then
        failed=$((failed + (untold > 0 ? untold : 1)))
    fi
}
