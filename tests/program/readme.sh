#!/usr/bin/env bash
# The README typed in as it stands: its commands work, and what it shows is what comes.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# block SECTION NUMBER: the n-th indented block below that heading.
block() {
    awk -v section="## $1" -v wanted="$2" '
        $0 == section { inside = 1; next }
        inside && /^## / { exit }
        !inside { next }
        /^    / {
            count += !in_block
            in_block = 1
            if (count == wanted) printf "%s%s\n", blanks, substr($0, 5)
            blanks = ""
            next
        }
        /^$/ { if (in_block) blanks = blanks "\n"; next }
        { in_block = 0; blanks = "" }' "$root/README.md"
}

mkdir "$scratch/bin" "$scratch/there"
ln -s "$(realpath "$program")" "$scratch/bin/periodclose"
export PATH=$scratch/bin:$PATH
export PERIODCLOSE_NOW=2026-11-21T12:00:00Z # when October is over
cd "$scratch/there" || exit 1

shows() { # SECTION COMMANDS-BLOCK SHOWN-BLOCK: stdout is the block shown
    block "$1" "$3" >"$scratch/shown" && [ -s "$scratch/shown" ] || return 1
    block "$1" "$2" >"$scratch/commands" && [ -s "$scratch/commands" ] || return 1
    bash -e "$scratch/commands" >"$scratch/out" 2>"$scratch/err" || { cat "$scratch/err"; return 1; }
    diff "$scratch/shown" "$scratch/out"
}
check 'a first close prints what is shown' shows 'A first close' 1 2

explains() {
    block 'A first close' 3 >"$scratch/shown" && [ -s "$scratch/shown" ] || return 1
    expect 0 explain run-2026-10 --org globex || return 1
    diff "$scratch/shown" <(tail -n "$(wc -l <"$scratch/shown")" "$scratch/out")
}
check 'explain says why in the words shown' explains

bad_row() {
    block 'The dataset folder' 1 >"$scratch/shown" && [ -s "$scratch/shown" ] || return 1
    cp -r shop bad && sed -i 's/750000/75x/' bad/usage.csv || return 1
    expect 10 run --period 2026-10 --source bad --run-dir run-bad || return 1
    diff "$scratch/shown" <(grep -v -e '^periodclose 0' -e '^next: ' "$scratch/err")
}
check 'a bad row is told as shown' bad_row

# Those of a folder; those of a database and of Stripe have tests of their own.
every_command() {
    local line count=0
    block Commands 1 >"$scratch/commands"
    while IFS= read -r line; do
        case $line in *--database* | 'periodclose emit '* | 'periodclose reconcile '*) continue ;; esac
        bash -c "$line" >"$scratch/out" 2>"$scratch/err" || {
            echo "$line"
            cat "$scratch/err"
            return 1
        }
        count=$((count + 1))
    done <"$scratch/commands"
    [ "$count" -ge 9 ]
}
check 'every command shown works' every_command

what_if() {
    mkdir new-prices && sed 's/0\.0001/0.0002/' shop/prices.csv >new-prices/prices.csv || return 1
    block Commands 2 >"$scratch/shown" && [ -s "$scratch/shown" ] || return 1
    local line found=0
    while IFS= read -r line; do
        case $line in
        'periodclose diff'*) bash -c "$line" >"$scratch/out" 2>"$scratch/err"; [ $? -eq 1 ] || return 1 ;;
        periodclose*) bash -c "$line" >/dev/null 2>"$scratch/err" || return 1 ;;
        '') ;;
        *) grep -qxF -- "$line" "$scratch/out" || { echo "not shown: $line"; cat "$scratch/out"; return 1; }
            found=$((found + 1)) ;;
        esac
    done <"$scratch/shown"
    [ "$found" -ge 2 ]
}
check 'a what-if shows the difference as it stands there' what_if

revision() {
    cp -r shop corrected && sed -i 's/750000/850000/' corrected/usage.csv || return 1
    block Commands 3 >"$scratch/commands" && grep -q -- '--previous' "$scratch/commands" || return 1
    bash -e "$scratch/commands" >"$scratch/out" 2>"$scratch/err" || { cat "$scratch/err"; return 1; }
    grep -q 'usd cost 35.00, billed 10.00; 1 record$' "$scratch/out"
}
check 'a revision bills the difference' revision

lists_columns() {
    local report
    for report in run-2026-10/reports/*.csv run-2026-10-rev2/reports/adjustments.csv; do
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

finish
