#!/usr/bin/env bash
# Looks for functions that are too long: functions_length.sh [TREE]
#
# About 70 lines is the house's limit: longer ones are named, those above 80 fail, unless they are
# in functions_allowed.txt ("FILE FUNCTION" a line). clang-format has put every function's closing
# brace into the first column, and that is how ends are found.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "${1:-$here/../..}"

mapfile -t files < <(find src include tests -name node_modules -prune -o -name '*.[ch]' -print | sort)
awk -v advised=70 -v limit=80 -v allow_list="$here/functions_allowed.txt" '
    BEGIN {
        while ((getline line < allow_list) > 0) allowed[line] = 1
    }
    FNR == 1 { name = "" }
    name == "" && /^[a-z].*\(/ { # a head: TYPE name(..., maybe over several lines
        head = $0
        sub(/\(.*/, "", head)
        sub(/.*[ *]/, "", head)
    }
    name == "" && /\) \{$/ && head != "" && !/^    +(if|for|while|switch|else)/ {
        name = head
        start = FNR
    }
    /^}/ {
        count = FNR - start - 1
        if (name != "" && count > advised) {
            is_failed = count > limit && !((FILENAME " " name) in allowed)
            printf "%s:%d: %s has %d lines%s\n", FILENAME, start, name, count,
                is_failed ? ", above " limit : " (more than " advised ")"
            if (is_failed) status = 1
        }
        name = ""
        head = ""
    }
    END { exit status }
' "${files[@]}"
