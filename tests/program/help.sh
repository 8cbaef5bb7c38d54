#!/usr/bin/env bash
# Help, the man page and bash completion: what they say is what the program does.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

expect 0 help || exit 1
mapfile -t commands < <(sed -n '/^commands:/,/^$/s/^  \([a-z][a-z]*\).*/\1/p' "$scratch/out")

# On 80 columns nothing is broken in the middle of a word. Examples are one line, to be copied.
help_fits() {
    local command
    expect 0 --help || return 1
    cp "$scratch/out" "$scratch/help"
    for command in "${commands[@]}"; do
        expect 0 "$command" --help || return 1
        sed '/^example:/,$d' "$scratch/out" >>"$scratch/help"
    done
    ! LC_ALL=C.UTF-8 grep -nE '^.{80}' "$scratch/help" && [ "${#commands[@]}" -ge 20 ]
}
check 'help fits 80 columns' help_fits

# says COMMAND OPTION TEXT: what help says of that option.
option_text() {
    expect 0 help "$1" || return 1
    awk -v wanted="--$2" '
        /^options:/ { inside = 1; next }
        !inside { next }
        /^  --/ { found = $1 == wanted }
        /^$/ { exit }
        found { sub(/^ +/, ""); line = line " " $0 }
        END { print line }' "$scratch/out"
}
says() {
    local told
    told=$(option_text "$1" "$2")
    echo "$1 --$2: $told"
    case $told in *"$3"*) ;; *) return 1 ;; esac
}
does_not_say() {
    local told
    told=$(option_text "$1" "$2")
    echo "$1 --$2: $told"
    case $told in '' | *"$3"*) return 1 ;; esac
}
check 'a dry run of migrate lists' says migrate dry-run 'only list'
check 'that of void tells' says void dry-run 'only tell'
check 'that of emit prints requests' says emit dry-run 'only print the requests'
check 'that of run has a folder' says run dry-run 'RUN/dry-run'
for command in explain check recalculate; do
    check "$command takes one org" does_not_say "$command" org 'several'
done
for command in run void inspect diff; do
    check "$command takes several orgs" says "$command" org 'several times'
done
for command in void waive claims; do
    check "the reason of $command goes into no report" does_not_say "$command" reason adjustments
done
check 'a replay goes into a new directory' says replay run-dir 'new run directory'
check 'the usual rate of push is by the minute' does_not_say push rate 'default: 20'
check 'a reconciliation goes nowhere with none' does_not_say reconcile emit none
check 'every option of help has a headline' grep -qx 'options:' <(expect 0 help help && cat "$scratch/out")

one_org() {
    expect 2 check --org a --org b --action use_tokens --database 'host=/nowhere' &&
        error_says 'one org at a time'
}
check 'check answers for one org, not for the last of two' one_org

of_a_run() {
    local option
    for option in --finalize --batch=lines; do
        expect 2 reconcile --period 2026-10 --database 'host=/nowhere' "$option" &&
            error_says "${option%=*} does not go with --period" || return 1
    done
}
check 'what reconcile --period would not do is refused' of_a_run

# --- the man page -----------------------------------------------------------------------------------

expect 0 help man || exit 1
cp "$scratch/out" "$scratch/man"

# Names of variables are spelled in capitals where the sources read them.
man_lists_variables() {
    local name count=0
    sed -n '/^\.Sh ENVIRONMENT/,/^\.Sh FILES/p' "$scratch/man" >"$scratch/section"
    while read -r name; do
        case $name in TZ) continue ;; esac # set for libc for a moment, and put back
        count=$((count + 1))
        grep -qw -- "$name" "$scratch/section" || {
            echo "$name"
            return 1
        }
    done < <(grep -rhoE --include='*.c' \
        '(getenv|secret_load|environment_or|header_of)\(.*' -A 1 "$root/src" |
        grep -oE '"[A-Z][A-Z_]+"' | tr -d '"' | sort -u)
    echo "$count variables"
    [ "$count" -ge 14 ]
}
check 'the man page lists every variable that is read' man_lists_variables

man_lists_all() {
    local command option
    for command in "${commands[@]}"; do
        grep -qx "\.Ss $command" "$scratch/man" || { echo "$command"; return 1; }
        sed -n "/^\.Ss $command\$/,/^\.Ss /p; /^\.Sh COMMON/,/^\.Sh STAGES/p" "$scratch/man" >"$scratch/section"
        expect 0 help "$command" || return 1
        while read -r option; do
            grep -qE "^\.It Fl ..?$option( |\$)" "$scratch/section" || { echo "$command --$option"; return 1; }
        done < <(sed -n '/^options:/,$s/^  --\([a-z-]*\).*/\1/p' "$scratch/out")
    done
    grep -q '^\.Sh EXAMPLES' "$scratch/man" && grep -q '^\.Sh EXIT STATUS' "$scratch/man"
}
check 'it has every command with its options, examples and exit codes' man_lists_all

# --- completion ---------------------------------------------------------------------------------

run=$scratch/a-run
expect 0 run --source "$root/tests/program/datasets/tiny" --run-dir "$run" --period 2025-03 \
    --now 2025-04-05T00:00:00Z || exit 1
mkdir "$scratch/prices"
: >"$scratch/counts.csv"

completes() { # completes EXPECTED WORD...: what bash offers for the last word
    local expected=$1
    shift
    COMP_WORDS=(periodclose "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    (cd "$scratch" && _periodclose && echo "${COMPREPLY[*]}" && [ "${COMPREPLY[*]}" = "$expected" ])
}
expect 0 help completion
# shellcheck source=/dev/null
. "$scratch/out"

check 'a value that is no path is not completed with folders' completes '' run --period ''
check 'nor the number of a run' completes '' claims --release ''
check 'a stage is completed with stages' completes 'record report' run --until re
check 'a format with its words' completes 'csv json' inspect --format ''
check 'a run directory with folders' completes 'prices' replay --prices pri
check 'a file with files' completes 'counts.csv' backfill --truth cou
check 'what ingest takes, too' completes 'counts.csv' ingest cou
check 'sync with whom it asks' completes 'stripe' sync s
check 'help with commands' completes 'recalculate report replay reconcile' help re
check 'a value behind a sign' completes 'lines' run --batch = l
check 'stages of a run' completes 'a-run/rate/' inspect a-run/ra
check 'tables of a stage' completes 'a-run/rate/charges a-run/rate/lines' inspect a-run/rate/
check 'also by the name of its folder' completes 'a-run/30-rate/charges' inspect a-run/30-rate/ch

# What help shows is what is offered: options of every command, and their fixed values.
offers_all() {
    local command option values offered
    for command in "${commands[@]}"; do
        [ "$command" != help ] || continue
        expect 0 help "$command" || return 1
        while read -r option values; do
            COMP_WORDS=(periodclose "$command" "$option") COMP_CWORD=2 COMPREPLY=()
            _periodclose
            offered=" ${COMPREPLY[*]} "
            [[ $offered == *" $option "* ]] || { echo "$command $option: $offered"; return 1; }
            [[ $values =~ ^[a-z-]+(\|[a-z-]+)+$ ]] || continue
            COMP_WORDS=(periodclose "$command" "$option" '') COMP_CWORD=3 COMPREPLY=()
            _periodclose
            [ "${COMPREPLY[*]}" = "${values//|/ }" ] ||
                { echo "$command $option: ${COMPREPLY[*]}, not $values"; return 1; }
        done < <(sed -n '/^options:/,$s/^  \(--[a-z-]*\) *\([^ ]*\).*/\1 \2/p' "$scratch/out")
    done
}
check 'every option is offered, and every fixed value' offers_all

offers_commands() {
    COMP_WORDS=(periodclose '') COMP_CWORD=1 COMPREPLY=()
    _periodclose
    [ "${COMPREPLY[*]}" = "--help --version ${commands[*]}" ]
}
check 'and every command' offers_commands

finish
