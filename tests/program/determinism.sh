#!/usr/bin/env bash
# The same data gives the same bytes, whatever the order of rows and columns, the line ends, the
# number of jobs and the memory: checkpoints from meter on, and reports.
#
#   SEED=1: of the shuffles
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

seed=${SEED:-1}
datasets=(acme llm-tokens random-6 random-17 random-24)

place_of() {
    case $1 in
    random-*) echo "$scratch/$1" ;;
    *) echo "$root/fixtures/$1/dataset" ;;
    esac
}

options_of() {
    case $1 in
    random-*) args_of "$scratch/$1/args.txt" ;;
    *) args_of "$root/fixtures/$1/args" ;;
    esac
}

# Stage folders from meter on, and reports.
what_counts() {
    (cd "$1" && find . -type f \( -path './[2-9]*' -o -path './reports/*' \) -print0 |
        sort -z | xargs -0 -r sha256sum)
}

same_result() {
    what_counts "$1" >"$scratch/left"
    what_counts "$2" >"$scratch/right"
    [ "$(wc -l <"$scratch/left")" -gt 10 ] || {
        echo "too few files to compare"
        return 1
    }
    diff "$scratch/left" "$scratch/right"
}

close_as() { # close_as NAME SOURCE RUN OPTION...
    local name=$1 source=$2 run=$3
    shift 3
    options_of "$name"
    rm -rf "$run"
    periodclose run "${args[@]}" --source "$source" --run-dir "$run" "$@"
    [ "$status" -eq 0 ] || [ "$status" -eq 4 ] || {
        echo "exit $status"
        cat "$scratch/err"
        return 1
    }
}

same_when_run_with() { # NAME OPTION...
    local name=$1
    shift
    close_as "$name" "$(place_of "$name")" "$scratch/other" "$@" &&
        same_result "$scratch/calm-$name" "$scratch/other"
}

same_when_rewritten() { # NAME lf|crlf SEED OPTION...
    local name=$1 ending=$2 shuffle=$3
    shift 3
    rm -rf "$scratch/rewritten"
    node "$root/tests/program/rewrite_dataset.mjs" "$(place_of "$name")" "$scratch/rewritten" \
        "$shuffle" "$ending" &&
        close_as "$name" "$scratch/rewritten" "$scratch/other" "$@" &&
        same_result "$scratch/calm-$name" "$scratch/other"
}

for name in "${datasets[@]}"; do
    case $name in
    random-*) node "$root/tests/reference/generate.mjs" "${name#random-}" "$scratch/$name" ;;
    esac
    check "$name closes" \
        close_as "$name" "$(place_of "$name")" "$scratch/calm-$name" --jobs 1
    for jobs in 1 2 4; do
        check "$name: $jobs jobs give the same bytes" same_when_run_with "$name" --jobs "$jobs"
    done
    for memory in 32M 1G; do
        check "$name: --memory $memory gives the same bytes" \
            same_when_run_with "$name" --jobs 2 --memory "$memory"
    done
    for ending in lf crlf; do
        for shuffle in $((seed * 10)) $((seed * 10 + 1)); do
            check "$name: shuffled by $shuffle, $ending, gives the same bytes" \
                same_when_rewritten "$name" "$ending" "$shuffle" --jobs 2
        done
    done
done

finish
