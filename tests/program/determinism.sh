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

# Orgs of three shards in two currencies; twelve costs in usd are the same, over all shards.
make_many() {
    local many=$1
    mkdir -p "$many"
    printf 'plan_id,currency\nearth,usd\nmoon,eur\n' >"$many/plans.csv"
    printf 'plan_id,metric,included,unit_price\nearth,runs,10,0.5\nmoon,runs,3,0.25\n' \
        >"$many/prices.csv"
    awk -v many="$many" 'BEGIN {
        print "org_id,currency" >many "/orgs.csv"
        print "org_id,plan_id,starts_at" >many "/subscriptions.csv"
        print "org_id,metric,quantity,occurred_at" >many "/usage.csv"
        for (org = 0; org < 100100; org++) {
            is_moon = org % 7 == 3
            printf "org_%06d,%s\n", org, is_moon ? "eur" : "usd" >many "/orgs.csv"
            printf "org_%06d,%s,2025-01-01T00:00:00Z\n", org, is_moon ? "moon" : "earth" \
                >many "/subscriptions.csv"
            if (org % 8341 == 5 || org > 100095) {
                quantity = is_moon ? 20 + org % 11 : org == 100097 ? 51 : 43
                printf "org_%06d,runs,%d,2026-09-07T08:09:10Z\n", org, quantity >many "/usage.csv"
            }
        }
    }'
}

same_words_with_jobs() { # JOBS
    rm -rf "$scratch/other"
    expect 0 run --period 2026-09 --cutoff 2026-10-02T00:00:00Z --now 2026-10-02T00:00:00Z \
        --source "$scratch/many" --run-dir "$scratch/other" --jobs "$1" || return 1
    if [ "$1" -eq 1 ]; then
        cp "$scratch/out" "$scratch/words"
        [ -e "$scratch/other/20-meter/usage.2.arrow" ] &&
            grep -q '^ *org_100097 .* 20\.50 usd$' "$scratch/out"
    else
        diff "$scratch/words" "$scratch/out"
    fi
}

make_many "$scratch/many"
for jobs in 1 2 3 5; do
    check "$jobs jobs tell the same sums and largest costs of three shards" \
        same_words_with_jobs "$jobs"
done

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
