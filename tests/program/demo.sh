#!/usr/bin/env bash
# Set-up and house-keeping: the demo twice, installing, and the script that schedulers start.
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

demo() {
    "$root/deploy/demo.sh" "$scratch/build" >"$scratch/out" 2>"$scratch/err" ||
        { cat "$scratch/out" "$scratch/err"; return 1; }
}

out_says() {
    local text
    for text in "$@"; do
        grep -qF -- "$text" "$scratch/out" || { echo "stdout does not say: $text"; return 1; }
    done
}

demo_left() {
    local file
    for file in {focus,acme}/{manifest.json,reports/{overages,usage,exceptions,control_totals}.csv}; do
        [ -s "$scratch/build/demo/$file" ] || { echo "no $file"; return 1; }
    done
}

install_to() { # PREFIX TARGET...
    env -u MAKEFLAGS -u MFLAGS make -s -C "$root" "BUILD=${program%/periodclose}" \
        "DESTDIR=$scratch/the stage" "PREFIX=$1" "${@:2}"
}

installed_files() {
    diff <(cd "$scratch/the stage" && find . -type f -printf '%m %P\n' | sort) <(printf '%s' "$1")
}

# A clock and a periodclose of our own, which tells how it was called.
stand_ins() { # YEAR MONTH EXIT
    mkdir -p "$scratch/bin"
    # shellcheck disable=SC2016 # for the stand-in to expand
    printf '#!/bin/sh\ncase $2 in +%%Y) echo %s ;; +%%m) echo %s ;; esac\n' "$1" "$2" >"$scratch/bin/date"
    # shellcheck disable=SC2016 # for the stand-in to expand
    printf '#!/bin/sh\necho "$*"\nexit %s\n' "$3" >"$scratch/bin/periodclose"
    chmod +x "$scratch"/bin/*
}

last_month() { # YEAR MONTH BACK PERIOD: what is closed then
    stand_ins "$1" "$2" 4
    status=0
    PERIODCLOSE_MONTHS_BACK=$3 PATH=$scratch/bin:$PATH sh "$root/deploy/close-last-month.sh" \
        /data "/runs here" --jobs 1 >"$scratch/out" || status=$?
    cat "$scratch/out"
    echo "exit $status"
    [ "$status" -eq 4 ] &&
        [ "$(cat "$scratch/out")" = "run --period $4 --source /data --run-dir /runs here/$4 --jobs 1" ]
}

mkdir "$scratch/build"
ln -s "$program" "$scratch/build/periodclose"
check "the demo closes both fixtures" all demo -- demo_left
check "it says where everything is" out_says "exit 4 is expected" "(exit 0)" "(exit 4)" \
    "$scratch/build/demo/acme/reports" "$scratch/build/demo/focus/reports" "what to type next"
check "the demo may be typed again" all demo -- demo_left

check "install puts down three files" all install_to /usr install -- installed_files \
    "644 usr/share/bash-completion/completions/periodclose
644 usr/share/man/man1/periodclose.1
755 usr/bin/periodclose
"
check "the installed program is this one" cmp "$scratch/the stage/usr/bin/periodclose" "$program"
check "the man page has its sections" grep -qE '^\.Sh EXIT STATUS' \
    "$scratch/the stage/usr/share/man/man1/periodclose.1"
check "bash takes the completion" bash -n \
    "$scratch/the stage/usr/share/bash-completion/completions/periodclose"
check "uninstall takes them away" all install_to /usr uninstall -- installed_files ""

check "in November, October is closed" last_month 2026 11 1 2026-10
check "in January, last December" last_month 2026 01 1 2025-12
check "in September, August (09 is no octal number)" last_month 2026 09 1 2026-08
check "two months back, for other anchors" last_month 2026 01 2 2025-11
check "deps say nothing where nothing is missing" test -z "$("$root/deploy/deps.sh" build test 2>&1)"
finish
