#!/usr/bin/env bash
# Fuzzes: tests/fuzz/run.sh BUILD SECONDS NAME...  (make fuzz)
#
# Each target runs for SECONDS, two side by side (JOBS), from the seeds in tests/fuzz/corpus/NAME and
# what earlier runs found (BUILD/fuzz/found/NAME). A crash, a sanitizer's report, a leak, ten seconds
# without an answer or more than 1 GB fail; the input is then kept in BUILD/fuzz/crashes/.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
build=$1
seconds=$2
shift 2
logs=$build/fuzz/logs
crashes=$build/fuzz/crashes
rm -rf "$logs"
mkdir -p "$logs" "$crashes"
export build seconds logs crashes

fuzz_one() {
    local name=$1 found=$build/fuzz/found/$1 seeds=tests/fuzz/corpus/$1 runs status=0
    mkdir -p "$found"
    if [ ! -d "$seeds" ]; then
        echo "not ok - $name: no seeds in $seeds" >"$logs/$name.verdict"
        return
    fi
    timeout -k 10 $((seconds + 120)) "$build/fuzz/tests/fuzz/${name}_fuzz" "$found" "$seeds" \
        "-max_total_time=$seconds" -timeout=10 -rss_limit_mb=1024 -detect_leaks=1 \
        -print_final_stats=1 -artifact_prefix="$crashes/$name-" >"$logs/$name.log" 2>&1 </dev/null ||
        status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$name.log")
    if [ "$status" -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok - $name: $runs inputs in $seconds s, no crash, leak or hang" >"$logs/$name.verdict"
    else
        echo "not ok - $name: exit $status; see $logs/$name.log and $crashes/" >"$logs/$name.verdict"
    fi
}
export -f fuzz_one

# shellcheck disable=SC2016 # for the inner bash to expand
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-2}" bash -c 'fuzz_one "$1"; cat "$logs/$1.verdict"' fuzz

passed=0
for name in "$@"; do
    if grep -q '^ok - ' "$logs/$name.verdict" 2>/dev/null; then
        passed=$((passed + 1))
    else
        grep -E 'ERROR|SUMMARY|runtime error' "$logs/$name.log" 2>/dev/null | head -n 5 | sed 's/^/    /'
    fi
done
echo "$passed passed, $(($# - passed)) failed"
[ "$passed" -eq $# ] && [ $# -gt 0 ]
