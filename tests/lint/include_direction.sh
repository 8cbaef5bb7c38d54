#!/usr/bin/env bash
# Checks which module includes which: include_direction.sh [TREE]
#
# A file of a module may include its own headers and those of the modules below it:
#     cli > stage > emit, report, source, run > rating > table > db > sys > core
# never sideways between emit, report and source, which may all use run. The Makefile links in the
# same order. A test of a module may include what the module may. Standard headers are nobody's.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}"

declare -A may=(
    [core]="core"
    [sys]="sys core"
    [db]="db sys core"
    [table]="table db sys core"
    [rating]="rating table db sys core"
    [run]="run rating table db sys core"
    [source]="source run rating table db sys core"
    [report]="report run rating table db sys core"
    [emit]="emit run rating table db sys core"
    [stage]="stage emit report source run rating table db sys core"
    [cli]="cli stage emit report source run rating table db sys core"
)
bad=0

complain() {
    echo "$1"
    bad=1
}

# Rating knows no operating system and no database: it is arithmetic.
declare -A may_not=([rating]="sys db" [table]="db")

check_file() { # FILE MODULE
    local file=$1 module=$2 line number header below
    while IFS=: read -r number line; do
        header=$(sed -E 's/.*"([^"]+)".*/\1/' <<<"$line")
        case $header in
            ../*) # a test may look inside the module it tests
                [[ $file == tests/* && $header == ../../src/$module/* ]] ||
                    complain "$file:$number: \"$header\" reaches into another folder"
                continue
                ;;
            */*) below=${header%%/*} ;;
            *) # beside the file
                [ -e "$(dirname "$file")/$header" ] ||
                    complain "$file:$number: \"$header\" is not beside the file"
                continue
                ;;
        esac
        if [ "$below" = support ] && [[ $file == tests/* ]]; then
            continue
        fi
        if [[ " ${may_not[$module]:-} " == *" $below "* ]] && [[ $file != tests/* ]]; then
            complain "$file:$number: $module is pure and may not include $header"
        elif [[ " ${may[$module]} " != *" $below "* ]]; then
            complain "$file:$number: $module may not include $header"
        elif [ ! -e "include/$header" ]; then
            complain "$file:$number: $header is not a face in include/"
        fi
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"' "$file" || true)
}

for folder in include/* src/*; do
    module=$(basename "$folder")
    if [ -z "${may[$module]:-}" ]; then
        complain "$folder: no such module in the design"
    fi
done

for module in "${!may[@]}"; do
    for file in include/"$module"/*.h src/"$module"/*.[ch] tests/"$module"/*.[ch]; do
        if [ -e "$file" ]; then
            check_file "$file" "$module"
        fi
    done
done
exit $bad
