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
stand_ins() { # YEAR-MONTH EXIT
    mkdir -p "$scratch/bin"
    # shellcheck disable=SC2016 # for the stand-in to expand
    printf '#!/bin/sh\n[ "$*" = "-u +%%Y-%%m" ] || exit 1\necho %s\n' "$1" >"$scratch/bin/date"
    # shellcheck disable=SC2016 # for the stand-in to expand
    printf '#!/bin/sh\nprintf "[%%s]" "$@"\nexit %s\n' "$2" >"$scratch/bin/periodclose"
    chmod +x "$scratch"/bin/*
}

closes() { # YEAR-MONTH BACK EXPECTED WORD...: how periodclose is called then
    stand_ins "$1" 4
    status=0
    PERIODCLOSE_MONTHS_BACK=$2 PATH=$scratch/bin:$PATH sh "$root/deploy/close-last-month.sh" \
        "${@:4}" >"$scratch/out" 2>&1 || status=$?
    cat "$scratch/out"
    echo "exit $status"
    [ "$status" -eq 4 ] && [ "$(cat "$scratch/out")" = "$3" ]
}

last_month() { # YEAR-MONTH BACK PERIOD: what is closed then
    closes "$1" "$2" \
        "[run][--period][$3][--source][/data][--run-dir][/runs here/$3][--jobs][1]" \
        /data "/runs here" --jobs 1
}

# It knows what it was not given.
refused() { # BACK TEXT WORD...
    stand_ins 2026-11 0
    status=0
    PERIODCLOSE_MONTHS_BACK=$1 PATH=$scratch/bin:$PATH sh "$root/deploy/close-last-month.sh" \
        "${@:3}" >"$scratch/out" 2>&1 || status=$?
    cat "$scratch/out"
    [ "$status" -eq 2 ] && grep -qF -- "$2" "$scratch/out"
}

# The image has every library that the program is linked with, and what TLS needs.
image_has_libraries() {
    local library package count=0
    while read -r library; do
        case $library in libc.so.*) continue ;; esac
        # Since 64-bit times some names end in t64.
        package=$(dpkg -S "*/$library" | sed -n '1s/:.*//; s/t64$//; 1p')
        count=$((count + 1))
        grep -qw -- "$package" "$root/deploy/Dockerfile" || { echo "$library: $package"; return 1; }
    done < <(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    [ "$count" -ge 5 ] && grep -qw ca-certificates "$root/deploy/Dockerfile"
}

# What a unit names, and how it may be started again, is what it says of itself.
units_are_sound() {
    local unit
    command -v systemd-analyze >/dev/null || return 0
    mkdir -p "$scratch/units"
    for unit in "$root"/deploy/systemd/*; do
        sed 's#^ExecStart=[^ ]*#ExecStart=/bin/true#; s/^User=.*/User=root/; s/^Group=.*/Group=root/' \
            "$unit" >"$scratch/units/$(basename "$unit")"
    done
    systemd-analyze verify --man=no "$scratch"/units/* 2>"$scratch/err" && ! grep -F "$scratch" "$scratch/err"
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

check "in November, October is closed" last_month 2026-11 1 2026-10
check "in January, last December" last_month 2026-01 1 2025-12
check "in September, August (09 is no octal number)" last_month 2026-09 1 2026-08
check "two months back, for other anchors" last_month 2026-01 2 2025-11
check "out of a database, whatever its name holds, and sent" closes 2027-01 1 \
    "[run][--period][2026-12][--database][host=db1 dbname=billing][--run-dir][/runs/2026-12][--emit][stripe]" \
    --database "host=db1 dbname=billing" /runs --emit stripe
check "also out of libpq's own environment" closes 2026-11 1 \
    "[run][--period][2026-10][--database][][--run-dir][/runs/2026-10]" --database "" /runs
check "without folders it says what it wants" refused 1 usage: /data
check "without run directories, too" refused 1 usage: --database "host=db1"
check "a month back that is none is refused" refused 0 "'0' is not a number" /data /runs
check "the image has the libraries of the program" image_has_libraries
check "systemd finds nothing wrong with the units" units_are_sound
check "deps say nothing where nothing is missing" test -z "$("$root/deploy/deps.sh" build test 2>&1)"
finish
