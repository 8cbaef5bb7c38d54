#!/bin/sh
# Closes the month before this one; for schedulers, which start commands without arguments.
#
#     close-last-month.sh DATASET RUNS [OPTION...]
#
# DATASET is the folder of CSV files, RUNS holds one run directory per month (RUNS/2026-10); options
# are handed on to `periodclose run`. Safe to start again: a finished month stays as it is, a killed
# run goes on where it stopped, and a second one beside a running one stops with exit 11.
#
#   PERIODCLOSE_MONTHS_BACK=2   the month before that: where orgs have anchor days other than 1, the
#                               period named after a month ends up to a month later
set -eu

if [ $# -lt 2 ]; then
    echo "usage: close-last-month.sh DATASET RUNS [OPTION...]" >&2
    exit 2
fi
dataset=$1
runs=$2
shift 2

back=${PERIODCLOSE_MONTHS_BACK:-1}
unset PERIODCLOSE_MONTHS_BACK
year=$(date -u +%Y)
month=$(date -u +%m)
months=$((year * 12 + ${month#0} - 1 - back))
period=$(printf '%04d-%02d' $((months / 12)) $((months % 12 + 1)))

exec periodclose run --period "$period" --source "$dataset" --run-dir "$runs/$period" "$@"
