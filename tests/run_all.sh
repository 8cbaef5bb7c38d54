#!/usr/bin/env bash
# Runs every test and ends with "N passed, N failed": tests/run_all.sh [BUILD]  (make test)
#
# Suites, two side by side (JOBS), each with a time limit and a log of its own:
#   unit       cmocka programs under AddressSanitizer and UBSan; their TAP output is counted
#   readback   our Arrow files read by npm apache-arrow and by polars; one test each
#   fuzz       every fuzz target over its seed corpus; one test each
#   sql        tests/sql/*.sql, the database's own tests, by pg_prove in a throw-away cluster
#   sim        500 closes billed through faults, kills and clock jumps (as many as three minutes hold)
#   sim-targets  60 closes and pushes sent as events in the same way (as many as ninety seconds hold)
#   encoding   what is sent, compared with what Stripe's own Node client sends
#   program    tests/program/*.sh, the release build from outside; "ok - " and "not ok - " lines
#
# Counting errs on the side of failure. Whatever a suite printed, it fails at least once more if it
# exits with an error no line accounts for, dies, runs out of time, tells fewer tests than it
# promised, tells none, or could not be built. Everything goes into BUILD/test.log too.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD
build=${1:-build}
jobs=${JOBS:-2}
case $build in /*) ;; *) build=$root/$build ;; esac
results=$build/test
rm -rf "$results"
mkdir -p "$results"
unset MAKEFLAGS MFLAGS MAKELEVEL "${!PERIODCLOSE_@}"
export LC_ALL=C TZ=UTC PERIODCLOSE=$build/periodclose PATH=$build/tools/bin:$root/build/tools/bin:$PATH
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1

exec > >(tee "$build/test.log") 2>&1
tee_pid=$!

make_all() { make "-j$jobs" "BUILD=${build#"$root"/}" "$@"; }

# A target that does not build is a failed suite, even where an older program still lies there.
is_current() { [ -z "$build_failed" ] || make_all -q "${1#"$root"/}" >/dev/null 2>&1; }

names=()
declare -A command_of kind_of limit_of
suite() { # NAME KIND SECONDS COMMAND
    names+=("$1")
    kind_of[$1]=$2
    limit_of[$1]=$3
    command_of[$1]=$4
}

# shellcheck source=tests/judge.sh
. tests/judge.sh

show_failure() { # NAME REASON
    grep -aE -A 40 '^not ok|ERROR: |runtime error: |\[  ERROR' "$results/$1.log" | head -n 60 |
        cut -c -300 | sed 's/^/    | /'
    [ -z "$2" ] || tail -n 15 "$results/$1.log" | cut -c -300 | sed 's/^/    > /'
}

total_passed=0
total_failed=0
report() { # NAME
    local passed failed reason
    judge "${kind_of[$1]}" "$results/$1.log" "$(cat "$results/$1.status" 2>/dev/null || echo lost)"
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    printf '%s  %-40s %4d passed, %d failed (%s s)%s\n' "$([ "$failed" -eq 0 ] && echo ok || echo NO)" \
        "$1" "$passed" "$failed" "$(cat "$results/$1.seconds" 2>/dev/null)" "${reason:+: $reason}"
    if [ "$failed" -gt 0 ]; then
        failed_suites+=("$1")
        show_failure "$1" "$reason" | tee "$results/$1.failure"
    fi
}

# --- running ------------------------------------------------------------------------------------

run_one() { # NAME: in the background
    local name=$1 started=$SECONDS status=0
    (
        CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "${limit_of[$name]}" \
            bash -c "${command_of[$name]}" >"$results/$name.log" 2>&1 </dev/null
    ) || status=$?
    echo $((SECONDS - started)) >"$results/$name.seconds"
    echo "$status" >"$results/$name.status.new"
    mv "$results/$name.status.new" "$results/$name.status"
}

# Starts a suite whenever one of the places is free, and reports each as soon as it is over.
run_all() {
    local waiting=("${names[@]}") running=() name still
    while [ ${#waiting[@]} -gt 0 ] || [ ${#running[@]} -gt 0 ]; do
        while [ ${#waiting[@]} -gt 0 ] && [ ${#running[@]} -lt "$jobs" ]; do
            name=${waiting[0]}
            waiting=("${waiting[@]:1}")
            if [ -e "$results/$name.status" ]; then # could not be built
                report "$name"
                continue
            fi
            run_one "$name" &
            running+=("$name:$!")
        done
        [ ${#running[@]} -eq 0 ] || wait -n || true
        still=()
        for name in "${running[@]}"; do
            if kill -0 "${name##*:}" 2>/dev/null; then
                still+=("$name")
            else
                report "${name%:*}"
            fi
        done
        running=("${still[@]}")
    done
}

# --- what there is ------------------------------------------------------------------------------

built_suite() { # PROGRAM NAME KIND SECONDS COMMAND
    local program=$1
    shift
    suite "$@"
    if [ ! -x "$program" ] || ! is_current "$program"; then
        echo "$program could not be built; see the top of this log" >"$results/$1.log"
        echo unbuilt >"$results/$1.status"
    fi
}

list_suites() {
    local file name program quoted
    for file in tests/program/*.sh; do
        if [ "$(basename "$file")" != lib.sh ] && [ -e "$file" ]; then
            built_suite "$build/periodclose" "program-$(basename "$file" .sh)" lines 1800 "bash $file"
        fi
    done
    while read -r program; do
        case $program in
            *_test)
                name=${program#*/checked/tests/}
                printf -v quoted '%q' "$root/$program"
                built_suite "$root/$program" "unit-${name/\//-}" tap 1800 "$quoted"
                ;;
        esac
    done < <(make_all -s print-test-programs)
    for file in tests/table/readback_arrow.mjs tests/table/readback_polars.mjs; do
        built_suite "$build/checked/tests/table/arrow_sample" "readback-$(basename "$file" .mjs)" \
            exit 300 "node $file $results/samples"
    done
    suite sql tap 600 "bash tests/sql/run.sh"
    suite model lines 600 "tests/model/run.sh $build"
    built_suite "$build/checked/stripe_sim" simulator lines 900 \
        "node tests/stripe_sim/selftest.mjs $build/checked/stripe_sim"
    built_suite "$build/faulty_periodclose" sim lines 900 \
        "node tests/emit/search.mjs $build --seeds 500 --seconds 180"
    built_suite "$build/faulty_periodclose" sim-targets lines 900 \
        "tests/support/with_cluster.sh node tests/emit/search_targets.mjs $build --seeds 60 --seconds 90"
    built_suite "$build/periodclose" encoding lines 900 \
        "node tests/emit/encoding.mjs $build/periodclose $build/checked/stripe_sim"
    for file in tests/fuzz/*_fuzz.c; do
        name=$(basename "$file" _fuzz.c)
        built_suite "$build/fuzz/tests/fuzz/${name}_fuzz" "fuzz-$name" exit 300 \
            "$build/fuzz/tests/fuzz/${name}_fuzz -runs=0 -timeout=10 -rss_limit_mb=1024 tests/fuzz/corpus/$name"
    done
}

echo "building (log: ${build#"$root"/}/test/build.log)"
build_failed=
if ! make_all -k test-programs fuzz-programs >"$results/build.log" 2>&1 </dev/null; then
    build_failed=1
    echo "NO  build"
    grep -E 'error|Error|undefined reference' "$results/build.log" | head -n 40 | sed 's/^/    | /'
fi
failed_suites=()
list_suites
# The longest first, or everybody waits for them in the end.
mapfile -t names < <(printf '%s\n' "${names[@]}" | awk '
    { print (/death_test$|^sim$/ ? 1 : /^program-/ ? 2 : 3), NR, $0 }' | sort -k1,1n -k2,2n | cut -d' ' -f3)
mkdir -p "$results/samples"
if [ -x "$build/checked/tests/table/arrow_sample" ]; then
    "$build/checked/tests/table/arrow_sample" "$results/samples"
fi
run_all
rm -rf "$results/samples"

if [ -n "$build_failed" ]; then
    total_failed=$((total_failed + 1))
    failed_suites+=(build)
fi
echo
if [ ${#failed_suites[@]} -gt 0 ]; then # once more: of a long output often the end alone is kept
    echo "failed suites: ${failed_suites[*]}; logs in ${build#"$root"/}/test/"
    for name in "${failed_suites[@]}"; do
        echo "$name:"
        cat "$results/$name.failure" 2>/dev/null
    done
fi
echo "${#names[@]} suites in $SECONDS s"
echo "$total_passed passed, $total_failed failed"
exec >&- 2>&-
wait "$tee_pid" 2>/dev/null
[ "$total_failed" -eq 0 ] && [ "$total_passed" -gt 0 ]
