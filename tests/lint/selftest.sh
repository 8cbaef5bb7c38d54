#!/usr/bin/env bash
# Shows each check of this folder a small tree with the fault it is for: a check that finds nothing
# there would pass for ever. The same tree without faults must pass.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(mktemp -d "${TMPDIR:-/tmp}/periodclose-lint.XXXXXX")
trap 'rm -rf "$tree" "$tree.log"' EXIT
bad=0

fresh_tree() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/{include,src,tests}/{core,rating,report,source} "$tree/deploy"
    echo '#include "core/text.h"' >"$tree/include/core/err.h"
    echo 'struct text;' >"$tree/include/core/text.h"
    echo 'struct report;' >"$tree/include/report/report.h"
    printf '#include <stdio.h>\n#include "core/err.h"\n/* a double */\nint a;\n' >"$tree/src/source/a.c"
    printf '{\n "lockfileVersion": 3\n}\n' >"$tree/tests/package-lock.json"
    : >"$tree/tests/.npmrc"
}

passes() { # WHAT COMMAND...
    local what=$1
    shift
    if ! "$@" >"$tree.log" 2>&1; then
        echo "a good tree fails: $what"
        cat "$tree.log"
        bad=1
    fi
    rm -f "$tree.log"
}

fails() { # WHAT TEXT COMMAND...: fails, and says TEXT
    local what=$1 text=$2
    shift 2
    if "$@" >"$tree.log" 2>&1 || ! grep -qF -- "$text" "$tree.log"; then
        echo "not found: $what"
        cat "$tree.log"
        bad=1
    fi
    rm -f "$tree.log"
}

function_of() { # LINES
    printf 'static int long_one(int a,\n                    int b) {\n'
    local line
    for ((line = 1; line < $1; line++)); do
        printf '    a += %d;\n' "$line"
    done
    printf '    return a;\n}\n'
}

rules=$here/house_rules.sh
fresh_tree
function_of 70 >"$tree/src/source/b.c"
for rule in no-floats no-notes top-level npm-lock old-systems; do
    passes "$rule" "$rules" "$rule" "$tree"
done
passes "include direction" "$here/include_direction.sh" "$tree"
passes "function length" "$here/functions_length.sh" "$tree"

function_of 81 >"$tree/src/source/b.c"
fails "a function of 81 lines" "long_one has 81 lines" "$here/functions_length.sh" "$tree"

fresh_tree
echo '#include "report/report.h"' >>"$tree/src/source/a.c"
fails "an include sideways" "source may not include report" "$here/include_direction.sh" "$tree"
fresh_tree
echo '#include "report/report.h"' >>"$tree/include/core/err.h"
fails "an include upwards" "core may not include report" "$here/include_direction.sh" "$tree"
fresh_tree
echo '#include "../core/secret.h"' >>"$tree/src/source/a.c"
fails "an include of an inside" "reaches into another" "$here/include_direction.sh" "$tree"

fresh_tree
echo 'static double price;' >>"$tree/src/source/a.c"
fails "a double" "static double price;" "$rules" no-floats "$tree"
fresh_tree
echo 'int b(const char *text) { return (int)strtod(text, 0); }' >>"$tree/src/source/a.c"
fails "a call through a double" "strtod" "$rules" no-floats "$tree"

fresh_tree
echo '/* FIX''ME: later */' >>"$tree/src/source/a.c"
fails "a line that puts work off" "later" "$rules" no-notes "$tree"
fresh_tree
: >"$tree/notes.txt"
fails "a file that does not belong" "notes.txt" "$rules" top-level "$tree"
fresh_tree
echo '"resolved": "https://registry.example/a.tgz"' >>"$tree/tests/package-lock.json"
fails "a registry's host" "registry.example" "$rules" npm-lock "$tree"

fresh_tree
echo 'int b(json_t *o) { return json_object_setn_new(o, "a", 1, 0); }' >>"$tree/src/source/a.c"
fails "a function of newer libraries" "json_object_setn_new" "$rules" old-systems "$tree"

exit $bad
