#!/usr/bin/env bash
# The fixtures: each closes as its expected reports say, byte for byte.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

fixtures=$root/fixtures

# close_fixture STATUS NAME [OPTION...]: closes fixtures/NAME into $scratch/run/NAME.
close_fixture() {
    local expected_status=$1 name=$2
    shift 2
    args_of "$fixtures/$name/args"
    mkdir -p "$scratch/run"
    expect "$expected_status" run "${args[@]}" --source "$fixtures/$name/dataset" \
        --run-dir "$scratch/run/${name//\//-}" "$@"
}

sums_verify() {
    local listed
    listed=$(cd "$1" && wc -l <SHA256SUMS) || return 1
    if [ "$listed" -ne "$(find "$1" -name '*.csv' | wc -l)" ]; then
        echo "SHA256SUMS lists $listed files:"
        ls "$1"
        return 1
    fi
    (cd "$1" && sha256sum --strict -c SHA256SUMS)
}

# Every equation holds, and is one: left - right = 0.
totals_hold() {
    node "$root/tests/program/control_totals.mjs" <"$1/control_totals.csv"
}

fixture() {
    local expected_status=$1 name=$2
    local run=$scratch/run/${name//\//-}
    shift 2
    check "$name closes with exit status $expected_status" close_fixture "$expected_status" "$name" "$@"
    local file
    for file in "$fixtures/$name/expected"/*.csv; do
        file=$(basename "$file")
        check "$name: $file is as expected to the byte" \
            same_file "$fixtures/$name/expected/$file" "$run/reports/$file"
    done
    check "$name: SHA256SUMS lists every report and verifies" sums_verify "$run/reports"
    check "$name: every control total holds" totals_hold "$run/reports"
    check "$name: verify agrees" expect 0 verify "$run"
}

summary_is() {
    expect 0 summary "$1" --org "$2" || return 1
    echo "$3" >"$scratch/wanted"
    same_file "$scratch/wanted" "$scratch/out"
}

stdout_says() {
    local text
    for text in "$@"; do
        grep -qF -- "$text" "$scratch/out" || {
            echo "stdout does not say: $text"
            cat "$scratch/out"
            return 1
        }
    done
}

# Goes on from the last command: what it printed for a person.
acme_tells() {
    close_fixture 4 acme &&
        stdout_says '2024-02' 'usd' 'jpy' 'kwd' 'isk' 'set aside' "$scratch/run/acme/reports" &&
        error_says 'next: '
}

fixture 4 acme
fixture 4 acme/revision --previous "$scratch/run/acme"
fixture 0 focus
fixture 0 llm-tokens

check 'the run tells a person orgs, costs per currency and where the reports are' acme_tells
check 'focus: exact costs are the list prices of the bill' \
    node "$root/tests/program/focus_bill.mjs" "$fixtures/focus" "$scratch/run/focus/reports"

start=2024-02-01T00:00:00Z
end=2024-03-01T00:00:00Z
data="\"period\":{\"start\":\"$start\",\"end\":\"$end\"}"
one='{"success":true,"data":{"orgId":'
check 'summary of acme: 2500 and 2500 cents' summary_is "$scratch/run/acme" acme \
    "$one\"acme\",$data,\"overages\":{\"playbook_runs\":{\"amount\":\"25\",\"unitPrice\":\"1\",\"cost\":2500},\"seats\":{\"amount\":\"0\",\"unitPrice\":\"12\",\"cost\":0},\"tokens\":{\"amount\":\"250000\",\"unitPrice\":\"0.0001\",\"cost\":2500}},\"totalCost\":5000}}"
check 'summary of an org without a plan is null' summary_is "$scratch/run/acme" noplan \
    '{"success":true,"data":null}'
check 'summary of an org that does not exist is a usage error' \
    expect 2 summary "$scratch/run/acme" --org nobody

finish
