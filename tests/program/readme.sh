#!/usr/bin/env bash
# The README typed in as it stands: its commands work, in order, and what it shows is what comes:
# readme.mjs. And what it lists is what there is.
if [ -z "${README_SUITE:-}" ]; then
    README_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build=$(dirname "$program")
simulator=${STRIPE_SIM:-$build/release/stripe_sim}
PATH="$build/tools/bin:$PATH"
unset PGDATABASE # it is made by the page

# It tells a fact a line itself.
timeout -k 5 1200 node "$root/tests/program/readme.mjs" "$program" "$simulator" "$root/README.md" \
    "$scratch/page" >"$scratch/facts" 2>&1
page_status=$?
cat "$scratch/facts"
told_ok=$(grep -c '^ok - ' "$scratch/facts")
told_not_ok=$(grep -c '^not ok - ' "$scratch/facts")
page_is_whole() {
    tail -n 5 "$scratch/facts"
    [ "$told_ok" -ge 40 ] && { [ "$page_status" -eq 0 ] || [ "$told_not_ok" -gt 0 ]; }
}
check 'the page was typed to its end' page_is_whole
cd "$scratch/page/place" || exit 1

lists_columns() {
    local report
    for report in run-2026-10/reports/*.csv run-2026-10-rev2/reports/adjustments.csv \
        sent-2026-10/reports/*.csv; do
        grep -F "| \`$(basename "$report")\` |" "$root/README.md" | grep -qF "\`$(head -n 1 "$report")\`" || {
            echo "$report: $(head -n 1 "$report")"
            return 1
        }
    done
}
check 'the columns of every report are listed' lists_columns

lists_exit_codes() {
    local code count=0
    expect 0 --help || return 1
    sed -n '/^## Exit codes/,/^## The run/p' "$root/README.md" >"$scratch/codes"
    while read -r code; do
        grep -qE "(^\| | )$code " "$scratch/codes" || { echo "no $code"; return 1; }
        count=$((count + 1))
    done < <(sed -n '/^exit codes:/,/^$/s/^  \([0-9][0-9]*\) .*/\1/p' "$scratch/out")
    [ "$count" -ge 18 ]
}
check 'every exit code is listed' lists_exit_codes

# A link within the page leads to a headline, one to a file to a file.
links_lead_somewhere() {
    local link count=0
    sed -n 's/^##* //p' "$root/README.md" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9\n-' >"$scratch/headlines"
    while read -r link; do
        count=$((count + 1))
        case $link in
        '#'*) grep -qxF -- "${link#?}" "$scratch/headlines" || { echo "$link"; return 1; } ;;
        *) [ -e "$root/$link" ] || { echo "$link"; return 1; } ;;
        esac
    done < <(grep -oE '\]\([^) ]+\)' "$root/README.md" | sed 's/^](//; s/)$//')
    [ "$count" -ge 10 ]
}
check 'links lead somewhere' links_lead_somewhere

finish
