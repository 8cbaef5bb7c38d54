#!/usr/bin/env bash
# Checks the model of sending (emit.pml) exhaustively, and that it finds what is wrong with wrong
# senders: tests/model/run.sh [BUILD]  (make model)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
model=$PWD/emit.pml
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

if build; then
    for property in never_twice sent_is_there ends; do
        if holds "$property"; then
            ok "$property holds in all $(awk '/states, stored/ { print $1 }' pan.log) states"
        else
            not_ok "$property" pan.log
        fi
    done
else
    not_ok 'the model compiles' spin.log
fi

while read -r mutant property; do
    if ! build "$mutant"; then
        not_ok "$mutant compiles" spin.log
    elif holds "$property" || ! grep -q 'errors: 1' pan.log; then
        not_ok "$mutant breaks $property" pan.log
    else
        ok "$mutant breaks $property, and is found"
    fi
done <<'END'
MUTANT_NO_SYNC never_twice
MUTANT_NEW_ATTEMPT never_twice
MUTANT_RESEND_OLD never_twice
MUTANT_TRUST_LOSS never_twice
MUTANT_NO_WAIT never_twice
MUTANT_OLD_NO_WAIT never_twice
MUTANT_CALL_SENT sent_is_there
END

echo "# run.sh: $good ok, $bad not ok"
[ "$bad" -eq 0 ] && [ "$good" -gt 0 ]
