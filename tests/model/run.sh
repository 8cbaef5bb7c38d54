#!/usr/bin/env bash
# Checks the models of sending (emit.pml: one item; lines.pml: items as lines of an invoice, and its
# finalising) exhaustively, and that they find what is wrong with wrong senders:
# tests/model/run.sh [BUILD]  (make model)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
models=$PWD
model=
build=${1:-build}
case $build in /*) ;; *) build=$PWD/../../$build ;; esac
mkdir -p "$build/model" && cd "$build/model" || exit 1
good=0
bad=0

ok() {
    good=$((good + 1))
    echo "ok - $1"
}

not_ok() {
    bad=$((bad + 1))
    echo "not ok - $1"
    sed 's/^/    /' "$2" | head -n 20
}

# Makes ./pan of the model, perhaps with a mutation.
build() { # [DEFINE]
    rm -f pan pan.*
    spin -a ${1:+"-D$1"} "$model" >spin.log 2>&1 &&
        gcc -O2 -w -DMEMLIM=2048 -o pan pan.c >>spin.log 2>&1
}

# Exit 0: the property holds in every state that can be reached, and all of them were looked at.
holds() { # PROPERTY
    local fair=()
    [ "$1" != ends ] || fair=(-f)
    timeout 120 ./pan -a "${fair[@]}" -m1000000 -N "$1" >pan.log 2>&1
    grep -q 'errors: 0' pan.log && ! grep -qiE 'max search depth too small|out of memory|truncated' pan.log
}

check() { # MODEL PROPERTY...
    local name=$1 property
    shift
    model=$models/$name.pml
    if ! build; then
        not_ok "$name compiles" spin.log
        return
    fi
    for property; do
        if holds "$property"; then
            ok "$name: $property holds in all $(awk '/states, stored/ { print $1 }' pan.log) states"
        else
            not_ok "$name: $property" pan.log
        fi
    done
}

check emit never_twice sent_is_there ends
check lines never_twice sent_is_there final_is_whole not_given_up ends

while read -r name mutant property; do
    model=$models/$name.pml
    if ! build "$mutant"; then
        not_ok "$mutant compiles" spin.log
    elif holds "$property" || ! grep -q 'errors: 1' pan.log; then
        not_ok "$mutant breaks $property" pan.log
    else
        ok "$mutant breaks $property, and is found"
    fi
done <<'END'
emit MUTANT_NO_SYNC never_twice
emit MUTANT_NEW_ATTEMPT never_twice
emit MUTANT_RESEND_OLD never_twice
emit MUTANT_TRUST_LOSS never_twice
emit MUTANT_NO_WAIT never_twice
emit MUTANT_OLD_NO_WAIT never_twice
emit MUTANT_CALL_SENT sent_is_there
lines MUTANT_LINES_NO_SYNC never_twice
lines MUTANT_LINES_RESEND never_twice
lines MUTANT_LINES_NO_WAIT never_twice
lines MUTANT_LINES_ONE_KEY sent_is_there
lines MUTANT_LINES_OPEN_FINAL final_is_whole
lines MUTANT_LINES_CALL_SENT sent_is_there
lines MUTANT_LINES_TRUST_LOSS never_twice
lines MUTANT_LINES_LOSS_NO_WAIT never_twice
END

echo "# run.sh: $good ok, $bad not ok"
[ "$bad" -eq 0 ] && [ "$good" -gt 0 ]
