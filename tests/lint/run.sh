#!/usr/bin/env bash
# Runs every lint check and ends with "N passed, N failed": tests/lint/run.sh [BUILD]  (make lint)
#
# Each check prints one line, and what it found when it fails. All of them run, also after a failure.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
build=${1:-build}
jobs=${JOBS:-2}
lint=tests/lint
logs=$build/lint
passed=0
failed=0
mkdir -p "$logs"
unset MAKEFLAGS MFLAGS MAKELEVEL

check() { # NAME COMMAND...
    local name=$1
    shift
    local log=$logs/${name//[^a-z0-9-]/-}.log started=$SECONDS
    if "$@" >"$log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "ok - $name ($((SECONDS - started)) s)"
        grep -E '^(warning|note):|\(more than ' "$log" | sed 's/^/    /'
    else
        failed=$((failed + 1))
        echo "not ok - $name ($((SECONDS - started)) s)"
        # Without the commands that make echoes: they hide what was found.
        grep -vE '^(gcc|clang|clang-tidy) -|^clang-tidy --quiet|warnings? generated\.$' "$log" |
            head -n 60 | sed 's/^/    /'
    fi
}

c_files() { find src include tests -name node_modules -prune -o -name '*.[ch]' -print0; }

format_check() {
    local program=clang-format
    if command -v clang-format-14 >/dev/null; then
        program=clang-format-14
    elif ! clang-format --version | grep -q 'version 14\.'; then
        echo "note: .clang-format was judged with version 14; this is $(clang-format --version)"
    fi
    c_files | xargs -0 "$program" --dry-run -Werror
}

shell_check() {
    local files
    mapfile -t files < <(
        find .ci deploy tests -name node_modules -prune -o -type f -print | sort | while read -r file; do
            if head -c 64 "$file" | tr -d '\0' | head -n 1 | grep -qE '^#!.*\b(ba)?sh$'; then
                echo "$file"
            fi
        done
    )
    [ "${#files[@]}" -gt 0 ] && printf '%s\n' "${files[@]}" && shellcheck -x "${files[@]}"
}

program_texts() { # the man page and the completion that the program writes
    make -s "BUILD=$build" docs || return 1
    grep -q '^\.Sh EXIT STATUS' "$build/periodclose.1" || return 1
    mandoc -T lint -W warning "$build/periodclose.1" || return 1
    shellcheck -s bash "$build/periodclose.bash"
}

check "the lint checks find what they are for" $lint/selftest.sh
check "gcc warns of nothing" make -k "-j$jobs" "BUILD=$build" lint-gcc
check "clang warns of nothing" make -k "-j$jobs" "BUILD=$build" lint-clang
check "clang-tidy warns of nothing" make -k "-j$jobs" "BUILD=$build" lint-tidy
check "clang-format changes nothing" format_check
check "shellcheck warns of nothing" shell_check
check "includes point downwards only" $lint/include_direction.sh
check "no function is too long" $lint/functions_length.sh
check "no float in C code" $lint/house_rules.sh no-floats
check "no line puts work off" $lint/house_rules.sh no-notes
check "the top level is as designed" $lint/house_rules.sh top-level
check "package-lock.json names no registry" $lint/house_rules.sh npm-lock
check "no function is newer than the oldest system" $lint/house_rules.sh old-systems
check "man page and completion are well formed" program_texts

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
