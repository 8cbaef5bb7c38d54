#!/usr/bin/env bash
# What is asked of a database about one org: summary, check, seats.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@" >"$scratch/sql"; }

says() { # LINE: the only one on stdout
    [ "$(cat "$scratch/out")" = "$1" ] && return
    echo "expected: $1"
    cat "$scratch/out"
    return 1
}

PGDATABASE=postgres createdb --template template0 --encoding UTF8 ask
export PGDATABASE=ask
periodclose migrate --database ""
sql -f - <<'ROWS'
insert into billing.orgs (org_id, status) values
    ('acme', 'active'), ('none', 'active'), ('idle', 'suspended'), ('Ünï"code', 'active');
insert into billing.plans (plan_id) values ('pro');
insert into billing.prices (plan_id, metric, included, hard_limit, unit_price) values
    ('pro', 'tokens', 100, 120, 0.0001), ('pro', 'seats', 3, null, 7.5);
insert into billing.subscriptions (org_id, plan_id)
select org_id, 'pro' from billing.orgs where org_id <> 'none';
select billing.increment_usage('acme', 'tokens', 119);
select billing.assign_seat('acme', 'ada', 'owner');
select billing.assign_seat('acme', 'bob', 'member');
select billing.revoke_seat('acme', 'bob', 'left');
select billing.assign_seat('acme', 'cyd', 'viewer', '2999-01-01Z');
select billing.invite_seat('acme', 'dan@example.com', 'member');
insert into billing.close_runs (run_id, period, state, recorded_at) values
    (1, '2024-01-01', 'recorded', now()), (2, '2024-02-01', 'recorded', now());
insert into billing.sealed_plans (plan_digest, plan_id, currency) values
    (sha256('old'), 'pro', 'usd'), (sha256('new'), 'pro', 'jpy');
insert into billing.sealed_prices (plan_digest, metric, aggregation, model, included, unit_price) values
    (sha256('old'), 'tokens', 'sum', 'per_unit', 100, 0.0002),
    (sha256('new'), 'tokens', 'sum', 'per_unit', 100, 0.03),
    (sha256('new'), 'runs', 'sum', 'volume', 100, 3),
    (sha256('new'), 'disk', 'last', 'per_unit', 5, 11);
insert into billing.org_billing_terms
    (org_id, period, run_id, plan_digest, currency, timezone, anchor_day, period_start, period_end)
values
    ('acme', '2024-01-01', 1, sha256('old'), 'usd', 'UTC', 1, '2024-01-01Z', '2024-02-01Z'),
    ('acme', '2024-02-01', 2, sha256('new'), 'jpy', 'UTC', 1, '2024-02-01Z', '2024-03-01Z');
insert into billing.org_billing_overages (org_id, metric_type, period, revision, billing_period_start,
    billing_period_end, plan_id, currency, usage, usage_limit, amount, model, unit_price, exact_cost,
    uncapped_cost, cost, previous_cost, billed, run_id, item_status)
values
    ('acme', 'tokens', '2024-01-01', 1, '2024-01-01Z', '2024-02-01Z', 'pro', 'usd', 150, 100, 50000,
        'per_unit', 0.0002, 10, 10, 10, 0, 10, 1, 'recorded'),
    ('acme', 'tokens', '2024-02-01', 1, '2024-02-01Z', '2024-03-01Z', 'pro', 'jpy', 250, 100, 150.5,
        'per_unit', 0.03, 4.515, 5, 5, 0, 5, 2, 'recorded'),
    ('acme', 'tokens', '2024-02-01', 2, '2024-02-01Z', '2024-03-01Z', 'pro', 'jpy', 400, 100, 300,
        'per_unit', 0.03, 9, 9, 9, 5, 4, 2, 'recorded'),
    ('acme', 'runs', '2024-02-01', 1, '2024-02-01Z', '2024-03-01Z', 'pro', 'jpy', 102, 100, 2,
        'volume', null, 6, 6, 6, 0, 6, 2, 'recorded');
ROWS

latest='{"success":true,"data":{"orgId":"acme","period":{"start":"2024-02-01T00:00:00Z","end":"2024-03-01T00:00:00Z"},"overages":{"disk":{"amount":"0","unitPrice":"11","cost":0},"runs":{"amount":"2","unitPrice":null,"cost":6},"tokens":{"amount":"300","unitPrice":"0.03","cost":9}},"totalCost":15}}'
earlier='{"success":true,"data":{"orgId":"acme","period":{"start":"2024-01-01T00:00:00Z","end":"2024-02-01T00:00:00Z"},"overages":{"tokens":{"amount":"50000","unitPrice":"0.0002","cost":1000}},"totalCost":1000}}'

summaries() {
    all expect 0 summary --org acme --database "" -- says "$latest" -- \
        expect 0 summary --org acme --period 2024-01 --database "" -- says "$earlier" -- \
        expect 0 summary --org acme --period 2023-12 --database "" -- says '{"success":true,"data":null}' -- \
        expect 0 summary --org none --database "" -- says '{"success":true,"data":null}' -- \
        expect 10 summary --org acne --database "" -- error_says "org 'acne' is not in billing.orgs" -- \
        expect 2 summary --org acme --period 2024 --database "" -- error_says "--period: '2024'" -- \
        expect 2 summary --database ""
}

decides() { # ORG ACTION ALLOWED REASON
    expect 0 check --org "$1" --action "$2" --database "" &&
        says "{\"success\":true,\"data\":{\"orgId\":\"${1//\"/\\\"}\",\"action\":\"$2\",\"allowed\":$3,\"reason\":\"$4\"}}"
}

checks() {
    all decides acme use_tokens true overage -- sql -c "select billing.increment_usage('acme', 'tokens', 1)" -- \
        decides acme use_tokens false hard_limit -- decides acme fly false unknown_action -- \
        decides none use_tokens false no_plan -- decides idle use_tokens false org_suspended -- \
        decides nobody use_tokens false unknown_org -- decides 'Ünï"code' use_tokens true within_limit -- \
        expect 2 check --org acme --database "" -- error_says "--action NAME is required" -- \
        expect 2 summary "$scratch" --org acme --database "" -- error_says "both a run directory and --database"
}

counts_seats() {
    expect 0 seats --org acme --database "" &&
        sed -E 's/"assignedAt":"[^"]*"/"assignedAt":"T"/g' "$scratch/out" >"$scratch/seats" &&
        [ "$(cat "$scratch/seats")" = '{"success":true,"data":{"orgId":"acme","total":"3","used":"2","available":"0","pending":"1","overage":"0","oneMore":{"allowed":true,"requiresUpgrade":false,"overageFee":"7.5"},"users":[{"userId":"ada","role":"owner","assignedAt":"T","expiresAt":null},{"userId":"cyd","role":"viewer","assignedAt":"T","expiresAt":"2999-01-01T00:00:00Z"}]}}' ] &&
        expect 10 seats --org acne --database "" && error_says "org 'acne' is not in billing.orgs"
}

needs_schema() {
    PGDATABASE=postgres expect 20 seats --org acme --database "" && error_says "periodclose migrate"
}

# The same of every org, out of a run and out of what it recorded.
same_as_run() {
    local org orgs=()
    PGDATABASE=postgres createdb --template template0 --encoding UTF8 acme
    export PGDATABASE=acme
    args_of "$root/fixtures/acme/args"
    all expect 0 migrate --database "" -- expect 10 ingest "$root/fixtures/acme/dataset" --database "" -- \
        sql -c "select org_id from billing.orgs order by 1" || return 1
    while read -r org; do
        orgs+=(--org "$org")
    done <"$scratch/sql"
    all expect 4 run "${args[@]}" --database "" --run-dir "$scratch/acme" -- \
        expect 0 summary "$scratch/acme" "${orgs[@]}" -- cp "$scratch/out" "$scratch/of-run" -- \
        expect 0 summary "${orgs[@]}" --period 2024-02 --database "" -- same_file "$scratch/of-run" "$scratch/out" || return 1
    [ "$(grep -c totalCost "$scratch/out")" -gt 20 ]
}

check "a summary is the latest revision of the last recorded period, or of the one asked for" summaries
check "check says what an org may do, and why" checks
check "seats says how many there are, and whose" counts_seats
check "a database without the schema is told" needs_schema
check "a summary out of the database is that of the run that recorded it" same_as_run

finish
