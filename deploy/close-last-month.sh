#!/bin/sh
# Closes the month before this one; for schedulers, which start commands without arguments.
#
#     close-last-month.sh DATASET RUNS [OPTION...]
#     close-last-month.sh --database CONNINFO RUNS [OPTION...]
#
# DATASET is the folder of CSV files, CONNINFO a libpq connection string without a password ('' for
# libpq's own environment). RUNS holds one run directory per month (RUNS/2026-10); options are handed
# on to `periodclose run`, as --emit stripe. Safe to start again: a finished month stays as it is, a
# killed run goes on where it stopped, and a second one beside a running one stops with exit 11.
#
#   PERIODCLOSE_MONTHS_BACK=2   the month before that: where orgs have anchor days other than 1, the
#                               period named after a month ends up to a month later
set -eu

usage() {
    echo "usage: close-last-month.sh DATASET|--database CONNINFO RUNS [OPTION...]" >&2
    exit 2
}

option=--source
if [ "${1:-}" = --database ]; then
    option=$1
    shift
fi
[ $# -ge 2 ] || usage
source=$1
runs=$2
shift 2

back=${PERIODCLOSE_MONTHS_BACK:-1}
unset PERIODCLOSE_MONTHS_BACK
case $back in
[1-9] | [1-9][0-9]) ;;
*)
    echo "close-last-month.sh: PERIODCLOSE_MONTHS_BACK: '$back' is not a number from 1 to 99" >&2
    exit 2
    ;;
esac
today=$(date -u +%Y-%m) # asked once: a year may turn between two answers
year=${today%-*}
month=${today#*-}
months=$((year * 12 + ${month#0} - 1 - back))
period=$(printf '%04d-%02d' $((months / 12)) $((months % 12 + 1)))

exec periodclose run --period "$period" "$option" "$source" --run-dir "$runs/$period" "$@"
