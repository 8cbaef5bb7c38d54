#!/usr/bin/env bash
# Random datasets, closed by the program and by the reference (tests/reference), which share no
# code: their reports must agree to the byte. Every third dataset is closed again, corrected.
#
#   SEEDS=60 FIRST_SEED=1: how many, from which one on. A failure prints its seed:
#   node tests/reference/generate.mjs SEED DIR makes its dataset again.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

seeds_count=${SEEDS:-60}
first_seed=${FIRST_SEED:-1}
reference=$root/tests/reference

value_of() { # value_of OPTION FILE
    grep -A 1 -x -e "--$1" "$2" | tail -n 1
}

# Where the reference finds numbers out of range (10), the program says 10 or 32.
same_status() {
    [ "$1" -eq "$2" ] || { [ "$1" -eq 10 ] && [ "$2" -eq 32 ]; }
}

# close_both DATASET NAME [OPTION FOR THE REFERENCE...] -- [OPTION FOR THE PROGRAM...]
close_both() {
    local dataset=$1 name=$2 reference_status=0
    local for_reference=()
    shift 2
    while [ "$1" != -- ]; do
        for_reference+=("$1")
        shift
    done
    shift
    args_of "$dataset/args.txt"
    node "$reference/close.mjs" "${args[@]}" --source "$dataset" --out "$scratch/$name.expected" \
        "${for_reference[@]}" || reference_status=$?
    periodclose run "${args[@]}" --source "$dataset" --run-dir "$scratch/$name.run" "$@"
    if ! same_status "$reference_status" "$status"; then
        echo "exit status $status, the reference's is $reference_status"
        cat "$scratch/err"
        return 1
    fi
    case $reference_status in
    0 | 4) same_reports "$scratch/$name.expected" "$scratch/$name.run/reports" ;;
    *) ! [ -e "$scratch/$name.run/reports" ] ;;
    esac
}

try_seed() {
    local seed=$1
    echo "seed $seed"
    rm -rf "$scratch"/first* "$scratch"/second*
    node "$reference/generate.mjs" "$seed" "$scratch/first" &&
        close_both "$scratch/first" first -- || return 1
    [ $((seed % 3)) -eq 0 ] && [ -d "$scratch/first.run/reports" ] || return 0
    node "$reference/generate.mjs" "$seed" "$scratch/second" --corrected &&
        close_both "$scratch/second" second --previous-source "$scratch/first" \
            --previous-cutoff "$(value_of cutoff "$scratch/first/args.txt")" --reason "seed $seed" \
            -- --previous "$scratch/first.run" --reason "seed $seed" && expect 0 verify "$scratch/second.run"
}

for ((seed = first_seed; seed < first_seed + seeds_count; seed++)); do
    check "seed $seed: the program and the reference agree" try_seed "$seed"
done

finish
