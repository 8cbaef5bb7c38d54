#!/usr/bin/env bash
# Revisions of revisions: nothing that was billed may fall out of sight and be billed once more.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

data=$scratch/data
options=(--period 2026-10 --now 2026-11-10T00:00:00Z)

write_dataset() {
    mkdir -p "$data"
    printf 'org_id,currency\nfern,\nmoss,\n' >"$data/orgs.csv"
    printf 'plan_id,currency\nbasic,usd\neuro,eur\n' >"$data/plans.csv"
    printf 'plan_id,metric,unit_price\nbasic,runs,2\nbasic,tokens,3\neuro,runs,2\neuro,tokens,3\n' \
        >"$data/prices.csv"
    printf 'org_id,plan_id\nfern,basic\nmoss,basic\n' >"$data/subscriptions.csv"
    printf '%s\n' org_id,metric,quantity,occurred_at fern,runs,5,2026-10-02T00:00:00Z \
        fern,tokens,7,2026-10-02T00:00:00Z moss,runs,11,2026-10-03T00:00:00Z >"$data/usage.csv"
}

close_as() { # close_as STATUS NAME OPTION...
    local expected=$1 name=$2
    shift 2
    expect "$expected" run --source "$data" --run-dir "$scratch/$name" "${options[@]}" "$@"
}

billed_is() { # billed_is NAME ORG METRIC BILLED: column 18 of overages.csv
    grep -q "^$2,[^,]*,[^,]*,$3,\([^,]*,\)\{13\}$4," "$scratch/$1/reports/overages.csv"
}

write_dataset
check 'the first result bills all' all close_as 0 first -- billed_is first fern runs 10.00 -- \
    billed_is first moss runs 22.00

echo fern,runs,1,2026-10-04T00:00:00Z >>"$data/usage.csv"
check 'a revision of one org bills its difference' all \
    close_as 0 fern --previous "$scratch/first" --org fern -- billed_is fern fern runs 2.00
check 'all orgs are not revised from a revision of one, or the others would be billed again' all \
    close_as 13 all --previous "$scratch/fern" -- error_says fern "$scratch/first"
check 'the same org is revised from it, and nothing is billed twice' all \
    close_as 0 again --previous "$scratch/fern" --org fern -- billed_is again fern runs 0.00
check 'the other org is revised from the run before' all \
    close_as 0 moss --previous "$scratch/first" --org moss -- billed_is moss moss runs 0.00

check 'an org that was rated is not listed by a cutoff before its end' all \
    close_as 13 early --previous "$scratch/first" --cutoff 2026-10-20T00:00:00Z -- \
    error_says fern period_open

write_dataset
sed -i /basic,tokens/d "$data/prices.csv"
check 'today'\''s prices cannot lose a metric that was billed' all \
    close_as 13 lost --previous "$scratch/first" --reprice -- error_says fern tokens 21.00
check 'and need not, for the terms are the sealed ones without --reprice' all \
    close_as 0 sealed --previous "$scratch/first" -- billed_is sealed fern tokens 0.00

write_dataset
sed -i s/fern,basic/fern,euro/ "$data/subscriptions.csv"
sed -i s/fern,/fern,eur/ "$data/orgs.csv"
check 'no difference is made between two currencies' all \
    close_as 13 money --previous "$scratch/first" --reprice -- error_says fern usd eur

write_dataset
sed -i /^moss/d "$data/subscriptions.csv"
check 'an org that was billed is not set aside by today'\''s subscriptions' all \
    close_as 13 aside --previous "$scratch/first" --reprice -- error_says moss no_plan

# --- a date that the zone skipped: Apia had no 30 December 2011 ---

write_dataset
printf 'org_id,timezone\nfern,Pacific/Apia\n' >"$data/orgs.csv"
printf 'org_id,plan_id\nfern,basic\n' >"$data/subscriptions.csv"
printf '%s\n' org_id,metric,quantity,occurred_at fern,runs,5,2011-12-31T09:59:59Z \
    >"$data/usage.csv"
check 'a period closes in which the zone skipped a date' all \
    expect 0 run --source "$data" --run-dir "$scratch/apia" --period 2011-12 \
    --now 2026-11-10T00:00:00Z -- billed_is apia fern runs 10.00 -- \
    expect 0 verify "$scratch/apia"

finish
