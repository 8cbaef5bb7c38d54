#!/usr/bin/env bash
# Recording in PostgreSQL: claims, records, revisions. In a throw-away cluster of this suite.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
createdb --template template0 --encoding UTF8 records
export PGDATABASE=records

# The org with overlapping subscriptions is left out: tables refuse it.
mkdir "$scratch/dataset"
for file in "$root"/fixtures/acme/dataset/*.csv; do
    grep -v '^doubled,' "$file" >"$scratch/dataset/$(basename "$file")"
done
periodclose migrate --database ""
periodclose ingest --database "" "$scratch/dataset"
PGDATABASE=postgres createdb --template records alerts

# close_as STATUS RUN OPTION...: February 2024, as of May.
close_as() {
    local status=$1 run=$2
    shift 2
    expect "$status" run --database "" --period 2024-02 --now 2024-05-01T00:00:00Z --run-dir "$scratch/$run" "$@"
}

# What is recorded.
records() {
    sql -c "copy (select * from billing.org_periods order by period, org_id, revision) to stdout csv" \
        -c "copy (select * from billing.org_billing_usage_monthly order by period, org_id, metric, revision) to stdout csv" \
        -c "copy (select * from billing.org_billing_overages order by period, org_id, metric_type, revision) to stdout csv" \
        -c "copy (select * from billing.org_billing_terms order by period, org_id, revision) to stdout csv" \
        -c "copy (select * from billing.usage_alerts order by period, org_id, metric, threshold, is_projected) to stdout csv" \
        -c "copy (select run_id, kind, state, reason, totals from billing.close_runs where state = 'recorded' order by run_id) to stdout csv"
}

is() { # SQL EXPECTED
    local got
    got=$(sql -c "$1") || return 1
    [ "$got" = "$2" ] || { echo "$1: $got, expected $2"; return 1; }
}

# The rows of a report that begin so.
rows_of() { # RUN REPORT TEXT
    grep -F -- "$3" "$scratch/$1/reports/$2"
}

unchanged() { # COMMAND...
    records >"$scratch/before.csv" && "$@" && records >"$scratch/after.csv" && same_file "$scratch/before.csv" "$scratch/after.csv"
}

same_as_files() {
    expect 4 run --source "$scratch/dataset" --period 2024-02 --now 2024-05-01T00:00:00Z --run-dir "$scratch/files" || return 1
    diff "$scratch/files/reports/usage.csv" "$scratch/first/reports/usage.csv" &&
        diff "$scratch/files/reports/exceptions.csv" "$scratch/first/reports/exceptions.csv" &&
        diff "$scratch/files/reports/overages.csv" <(sed 's/,recorded,$/,computed,/' "$scratch/first/reports/overages.csv")
}

sums_agree() {
    is "select string_agg(sum, ' ' order by sum) from (select currency || ' ' || trim_scale(sum(billed)) as sum
        from billing.org_billing_overages group by currency) as sums" \
        "$(awk -F, '$1 == "record" && $2 == "cost - previous_cost = billed" { print $3 " " $5 }' "$scratch/first/reports/control_totals.csv" | sort | paste -sd ' ')"
}

# --- the first result ---------------------------------------------------------------------------

check "a close records what it bills" close_as 4 first
check "with the reports that files give" same_as_files
check "and the sums of the report" sums_agree
check "of both, diff finds nothing that differs but where it is recorded" all expect 0 diff "$scratch/files" "$scratch/first" -- \
    grep -qx "record   the same: 40 records, 37 computed in A and recorded in B" "$scratch/out" -- \
    grep -qx "emit     the same: 39 items, 37 not emitted in A and recorded in B" "$scratch/out" -- grep -qx "the same" "$scratch/out"
check "for every org that was rated, with its terms" is \
    "select count(*), count(distinct plan_digest) > 1, (select count(*) from billing.org_periods where recorded_by > 0) from billing.org_billing_terms" "30|t|30"
check "limits that were reached are noted, by the run" is "select string_agg(concat_ws(' ', metric, trim_scale(threshold), trim_scale(usage), trim_scale(usage_limit), run_id), ', ' order by metric, threshold) from billing.usage_alerts where org_id = 'acme' and not is_projected and period = '2024-02-01'" \
    "$(sql -c "select string_agg(concat_ws(' ', metric, trim_scale(part), trim_scale(usage), trim_scale(usage_limit), 1), ', ' order by metric, part) from billing.org_billing_usage_monthly, unnest(array[0.8, 1]) as part where org_id = 'acme' and period = '2024-02-01' and usage_limit > 0 and usage >= usage_limit * part")"
check "of all orgs, and what is expected of the next period" is "select count(*), count(*) filter (where not is_projected), min(period), max(period) from billing.usage_alerts" \
    "$(sql -c "select count(*) filter (where usage >= usage_limit * part) + count(*) filter (where projected >= usage_limit * part), count(*) filter (where usage >= usage_limit * part), '2024-02-01', '2024-03-01' from billing.org_billing_usage_monthly, unnest(array[0.8, 1]) as part where period = '2024-02-01' and usage_limit > 0")"
check "typed again it writes nothing" unchanged close_as 4 first
check "nor from another place" unchanged close_as 4 second
check "which it tells" error_says "note: these results are recorded already: the database was left as it was"
check "and says the same" same_file "$scratch/first/reports/overages.csv" "$scratch/second/reports/overages.csv"
check "nor as a dry run" unchanged close_as 4 second --dry-run
check "verify finds the run whole" expect 0 verify "$scratch/first"

# --- claims -------------------------------------------------------------------------------------

claim() { # ORGS
    sql -c "select run_id from billing.claim_period('close', '2024-03-01', jsonb_build_object('orgs', '$1'::jsonb), 'db9', '/srv/march', '1')"
}
march() { # STATUS RUN OPTION...
    local status=$1 run=$2
    shift 2
    expect "$status" run --database "" --period 2024-03 --now 2024-05-01T00:00:00Z --run-dir "$scratch/$run" "$@"
}

other=$(claim '"all"')
check "a period that another run holds is not closed, and that run is named" all \
    march 11 march -- error_says "claimed by run $other: /srv/march on db9" "--release $other --reason"
check "another period is" unchanged close_as 4 third
check "a run that is not to record asks for no claim" march 4 look --until report --dry-run
check "claims lists the run" all expect 0 claims --database "" -- grep -q "^run $other: period 2024-03, all orgs, in /srv/march on db9" "$scratch/out" -- \
    error_says "next: periodclose claims --database '' --release $other --reason TEXT"
check "a claim is not released without a reason" expect 2 claims --database "" --release "$other"
check "nor one that is not there" expect 13 claims --database "" --release 99 --reason gone
check "but with one" expect 0 claims --database "" --release "$other" --reason "host is gone"
check "then it is gone" all type_next -- grep -q "no period is claimed" "$scratch/out" -- type_next
check "who and why is kept" is "select state, reason from billing.close_runs where run_id = $other" \
    "abandoned|claim released by postgres: host is gone"
other=$(claim '["peak", "acme"]')
check "a run over other orgs goes beside it" march 0 leap --org leap
check "one over the same does not" march 11 peak --org peak --org leap
sql -c "select billing.release_claim($other, 'test')" >/dev/null

# --- what comes late ----------------------------------------------------------------------------

late() { # ORG METRIC QUANTITY TIME
    sql -c "select billing.ensure_ledger_partition('$4')" \
        -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at) values ('$1', '$2', 'delta', $3, '$4')" >/dev/null
}

late acme tokens 100000 2024-02-20T00:00:00Z
check "late usage of a recorded period changes nothing" unchanged close_as 4 late
check "but is listed" rows_of late exceptions.csv "acme,tokens,late,recorded_after_cutoff"
not_late() { unchanged close_as 4 later && ! rows_of later exceptions.csv "acme,tokens,late,"; }
damaged() { # begun anew as is told, it is what was recorded, and not what came since
    printf XX | dd of="$scratch/by-default/50-record/records.arrow" bs=1 seek=300 conv=notrunc status=none
    expect 12 run --run-dir "$scratch/by-default" --database "" && error_says "records.arrow" "is damaged" || return 1
    grep "^next: " "$scratch/err"
    ! error_says "--cutoff" && unchanged type_next && error_says "next: less $scratch/by-default/reports/exceptions.csv"
}
check "a later default cutoff takes in as little" unchanged \
    expect 4 run --database "" --period 2024-02 --now 2998-01-01T00:00:00Z --run-dir "$scratch/by-default"
check "damaged, it is begun anew to the same result" damaged
sql -c "update billing.prices set unit_price = unit_price * 2 where metric = 'tokens'"
refused() {
    unchanged close_as 13 taken --cutoff 2999-01-01T00:00:00Z && error_says "another result is recorded already for 1 org" \
        "acme, tokens: recorded usage 750000 cost 25.00 usd, now usage 850000 cost 35.00" "--force --reason"
}
check "taken in, it is another result: refused with the list, at the terms of then" refused
no_loop() { # not sent from one to the other and back: status knows that it was refused
    type_next && error_says "next: periodclose report" && grep -q "^refused .*another result is recorded" "$scratch/out" &&
        type_next && type_next && expect 0 status "$scratch/taken" --json && grep -q '"refused": "stage' "$scratch/out"
}
check "what is told next then leads to the reports" no_loop
not_refused() { ! grep -q "^refused" "$scratch/out"; }
check "--force alone is not enough" close_as 2 taken --force
check "with a reason it is the next revision" close_as 0 taken --cutoff 2999-01-01T00:00:00Z --force --reason "import was late" --until project
check "which is pinned from then on" all close_as 13 taken --force --reason "import came late" -- \
    error_says "'import was late'" "'import came late'" -- expect 4 run --run-dir "$scratch/taken" -- expect 0 status "$scratch/taken" -- not_refused
check "of which the difference is billed" is \
    "select revision, trim_scale(cost), trim_scale(previous_cost), trim_scale(billed) from billing.org_billing_overages where org_id = 'acme' and metric_type = 'tokens' order by revision" \
    "1|25|0|25
2|35|25|10"
check "and nothing else" is "select count(*), max(revision), (select count(*) from billing.org_periods where period = '2024-02-01' and recorded_by > 0) from billing.org_billing_overages where run_id = (select max(run_id) from billing.close_runs) and period = '2024-02-01'" "1|2|31"
check "which adjustments.csv shows" rows_of taken adjustments.csv "acme,tokens,1,100000,750000,850000,25.00,35.00,10.00,usd,import was late"
check "it is late no more" not_late
check "who, when and why is kept" is "select kind, state, is_forced, reason from billing.close_runs order by run_id desc limit 1" "close|recorded|t|import was late"

# --- taking back --------------------------------------------------------------------------------

waive() { # STATUS OPTION...
    local status=$1
    shift
    expect "$status" waive --period 2024-02 --database "" --org capped --metric tokens --reason "outage" "$@"
}

check "a waiver that is only tried writes nothing" unchanged waive 0 --dry-run
check "one for nothing is refused" expect 13 waive --period 2024-02 --database "" --org capped --metric nonsense --reason "outage"
check "a waiver takes back what was billed, as the trial told to type it" all waive 0 --dry-run -- type_next -- grep -q "1 record, billed -16.12 usd" "$scratch/out"
check "and tells how to see it" all type_next -- grep -q '"tokens":{"amount":"[0-9]*","unitPrice":"0.0001","cost":0}' "$scratch/out"
check "as the next revision, at zero" is "select revision, trim_scale(cost), trim_scale(billed), is_waived from billing.org_billing_overages where org_id = 'capped' and metric_type = 'tokens' order by revision" \
    "1|16.12|16.12|f
2|0|-16.12|t"
check "once" unchanged waive 0
check "which tells how to see it, too" type_next
check "and the same result leaves it so" unchanged close_as 4 after-waiver
shows_waiver() { rows_of after-waiver overages.csv "capped," | grep ",tokens," | grep ",25.00,25.00,0.00,16.12,-16.12,2,recorded,"; }
check "the reports show it as reduction" shows_waiver
check "verify agrees with that" expect 0 verify "$scratch/after-waiver"
late capped tokens 100000 2024-02-20T00:00:00Z
stays_waived() {
    close_as 4 waived-late --cutoff 2999-01-01T00:00:00Z --force --reason "late" &&
        is "select revision, trim_scale(cost), trim_scale(billed), is_waived, trim_scale(usage) from billing.org_billing_overages where org_id = 'capped' and metric_type = 'tokens' order by revision desc limit 1" "3|0|0|t|850000"
}
check "late usage does not bill it again" stays_waived
check "who, when and why is kept of it" is "select kind, scope, reason from billing.close_runs where kind = 'waive'" \
    'waive|{"orgs": ["capped"], "metric": "tokens"}|outage'
void_for_all() { unchanged expect 0 void --period 2024-02 --database "" --reason "it's all wrong" --dry-run && grep -q "'it'" "$scratch/err"; }
check "a whole period could be voided, by what is told" void_for_all
check "a whole org is voided" next_works 0 void --period 2024-02 --database "" --org models --reason "test account"
check "with all of its records" is "select trim_scale(sum(billed)), count(*) filter (where is_waived) from billing.org_billing_overages where org_id = 'models'" "0|4"

# --- one org again ------------------------------------------------------------------------------

late softly tokens 50000 2024-02-21T00:00:00Z
recalculate() { # OPTION...
    expect 0 recalculate --period 2024-02 --database "" --org softly --run-dir "$scratch/softly" --now 2999-01-01T00:00:00Z "$@" && cat "$scratch/out"
}
answer='{"success":true,"data":{"orgId":"softly","period":"2024-02","currency":"usd","rated":true,"recorded":false,"reason":"","changes":{"tokens":{"oldUsage":"750000","newUsage":"800000","oldCost":1500,"newCost":2000,"difference":500}},"difference":500}}'
answers() { # ANSWER OPTION...
    local answer=$1
    shift
    recalculate "$@" && [ "$(cat "$scratch/out")" = "$answer" ]
}
check "recalculate tells what would change" unchanged answers "$answer"
check "and records it with --force" answers "${answer/'"recorded":false'/'"recorded":true'}" --force --reason "import was late"
unchanged_answer='{"success":true,"data":{"orgId":"softly","period":"2024-02","currency":"usd","rated":true,"recorded":false,"reason":"unchanged","changes":{},"difference":0}}'
check "typed again it tells what it recorded" unchanged answers "${answer/'"recorded":false'/'"recorded":true'}" --force --reason "import was late"
check "anew it says that nothing is to be recorded" unchanged answers "$unchanged_answer" --restart --force --reason "import was late"
check "also without --force" unchanged answers "$unchanged_answer"
check "as a revision of that org alone" is "select kind, reason, totals ->> 'changed_orgs' from billing.close_runs order by run_id desc limit 1" "recalculate|import was late|1"

# --- the month after ----------------------------------------------------------------------------

# A level opens with what is recorded, and with what that run had not seen; flows that came late are listed.
late warehouse storage_bytes 1000 2024-02-27T00:00:00Z
late acme tokens 777 2024-02-22T00:00:00Z
check "the next period closes" march 4 next --cutoff 2999-01-01T00:00:00Z
check "usage that came too late for the period before is listed, until a revision takes it" rows_of next exceptions.csv \
    "acme,tokens,late,recorded_period,\"1 event of an earlier period, came after it was recorded, 2024-02-22T00:00:00Z to 2024-02-22T00:00:00Z\",777,"
check "a level's late movement is, too" rows_of next exceptions.csv "warehouse,storage_bytes,late,late_opening"
opening() {
    local closing opening
    closing=$(sql -c "select trim_scale(closing_level + 1000) from billing.org_billing_usage_monthly where org_id = 'warehouse' and metric = 'storage_bytes' and period = '2024-02-01' order by revision desc limit 1")
    "$program" inspect "$scratch/next/extract/series" --org warehouse --format csv >"$scratch/series" 2>/dev/null
    opening=$(awk -F, '$2 == "storage_bytes" { print $8 }' "$scratch/series")
    [ "$closing" = "$opening" ] || { echo "closing $closing, opening $opening"; cat "$scratch/series"; return 1; }
}
check "and moves the opening, which is the recorded closing level" opening
check "the next period typed again from elsewhere is the same" unchanged march 4 next-again

# --- where periods meet ------------------------------------------------------------------------------

# away had no subscription in April; the id of the other is no list.
sql -c "insert into billing.orgs (org_id) values ('away'), ('comma,back\\slash')" \
    -c "insert into billing.subscriptions (org_id, plan_id, starts_at, ends_at) select own.org_id, plan_id, own.starts_at, own.ends_at
        from (values ('away', null::timestamptz, '2024-04-01Z'::timestamptz), ('away', '2024-05-10Z', null), ('comma,back\\slash', null, null))
            as own (org_id, starts_at, ends_at), billing.subscriptions as other where other.org_id = 'softly'" >/dev/null
month() { # STATUS MONTH RUN OPTION...
    local status=$1 month=$2 run=$3
    shift 3
    expect "$status" run --database "" --period "$month" --now 2024-07-01T00:00:00Z --run-dir "$scratch/$run" "$@"
}
disposition() { # RUN ORG EXPECTED
    local got
    got=$("$program" inspect "$scratch/$1/extract/orgs" --org "$2" --format json 2>/dev/null |
        node -e 'let t = ""; process.stdin.on("data", (d) => { t += d; }).on("end", () => { const [row] = t.trim().split("\n").map(JSON.parse).flat(); console.log([row.disposition, row.reason, row.detail].filter(Boolean).join(": ")); });')
    [ "$got" = "$3" ] || { echo "$got, expected $3"; return 1; }
}
comes_back() {
    month 0 2024-03 before --org away && month 0 2024-04 without --org away --org softly &&
        disposition without away "listed: not_subscribed: no subscription from 2024-04-01T00:00:00Z to 2024-05-01T00:00:00Z" &&
        month 0 2024-05 back --org away && disposition back away rated &&
        is "select count(*) from billing.org_periods where org_id = 'away' and period = '2024-05-01'" 1
}
calendar_changed() { # TIMEZONE ANCHOR REASON
    sql -c "update billing.orgs set timezone = '$1', anchor_day = $2 where org_id = 'softly'" &&
        month 0 2024-05 "moved-$2" --org softly --until project && disposition "moved-$2" softly "$3" || return 1
    sql -c "update billing.orgs set timezone = 'UTC', anchor_day = 1 where org_id = 'softly'"
}
check "an org that had no subscription for a month comes back without a gap" comes_back
check "one whose anchor day was moved has a gap" calendar_changed UTC 15 \
    "set_aside: period_gap: last recorded period 2024-04 ended 2024-05-01T00:00:00Z, this one begins 2024-05-15T00:00:00Z: time zone or anchor day was changed. Change it back, or let no subscription be in force from 2024-05-01T00:00:00Z to 2024-05-15T00:00:00Z"
check "and one whose clock was moved an overlap" calendar_changed Asia/Tokyo 1 \
    "set_aside: period_overlap: last recorded period 2024-04 ended 2024-05-01T00:00:00Z, this one begins 2024-04-30T15:00:00Z: time zone or anchor day was changed. Change it back, or let no subscription be in force from 2024-05-01T00:00:00Z to 2024-05-31T15:00:00Z"
# The pause that this asks for: the next period after it is closed as any other.
pauses() { # ORG ANCHOR OF-THEN RESUMES MONTH
    sql -c "insert into billing.orgs (org_id, anchor_day) values ('$1', $2)" \
        -c "insert into billing.subscriptions (org_id, plan_id, starts_at) select '$1', plan_id, '2024-01-01Z' from billing.subscriptions where org_id = 'softly' limit 1" &&
        month 0 2024-04 "$1-old" --org "$1" || return 1
    sql -c "update billing.orgs set anchor_day = $3 where org_id = '$1'" \
        -c "update billing.subscriptions set ends_at = (select period_end from billing.org_periods where org_id = '$1') where org_id = '$1'" \
        -c "insert into billing.subscriptions (org_id, plan_id, starts_at) select '$1', plan_id, '$4' from billing.subscriptions where org_id = '$1'" &&
        month 0 "$5" "$1-new" --org "$1" && disposition "$1-new" "$1" rated
}
check "a pause leads to a later anchor day" pauses later 1 15 2024-05-15Z 2024-05
check "and to an earlier one" pauses earlier 15 1 2024-06-01Z 2024-06
check "and with the old one neither" month 0 2024-05 unmoved --org softly --until project
check "a run is gone on with for the orgs it began with" all \
    month 0 2024-05 some --org softly --org comma,back\\slash --until rate -- month 13 2024-05 some --org softly -- error_says "'comma\\,back\\\\slash,softly'" -- \
    expect 0 run --run-dir "$scratch/some" -- is "select string_agg(org_id, ' ') from billing.org_periods where period = '2024-05-01' and org_id not in ('away', 'later')" "comma,back\\slash softly"

# --- what came late stays listed -----------------------------------------------------------------

# In June nothing was closed since February for them, but what came late then is told as long as no
# revision takes it; also of an org without a plan by now, and of a level that a recorded opening holds.
sql -c "update billing.subscriptions set ends_at = '2024-04-01Z' where org_id = 'acme'" >/dev/null
told_again() { # RUN ROW...
    local run=$1 row
    shift
    for row in "$@"; do
        rows_of "$run" exceptions.csv "$row" || { cat "$scratch/$run/reports/exceptions.csv"; return 1; }
    done
}
june() { # RUN
    month "${2:-4}" 2024-06 "$1" --cutoff 2999-01-01T00:00:00Z --until report --dry-run && mv "$scratch/$1/dry-run" "$scratch/$1-dry"
}
flow='acme,tokens,late,recorded_period,"1 event of an earlier period, came after it was recorded, 2024-02-22T00:00:00Z to 2024-02-22T00:00:00Z",777,'
level='warehouse,storage_bytes,late,recorded_period,"1 event of an earlier period, came after it was recorded, 2024-02-27T00:00:00Z to 2024-02-27T00:00:00Z",1000,'
late_in_june() {
    june june && told_again june-dry "acme,,set_aside,no_plan" "$flow" "$level" &&
        [ "$(grep -c recorded_period "$scratch/june-dry/reports/exceptions.csv")" -eq 2 ]
}
# Written before the run that closed its month, and seen by it, but recorded after the cutoff.
late_by_cutoff() {
    sql -c "insert into billing.orgs (org_id) values ('tardy')" \
        -c "insert into billing.subscriptions (org_id, plan_id) select 'tardy', plan_id from billing.subscriptions where org_id = 'softly'" \
        -c "select billing.ensure_ledger_partition('2024-04-09Z')" \
        -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at, recorded_at)
            values ('tardy', 'tokens', 'delta', 31, '2024-04-09Z', '2024-06-15Z')" \
        -c "insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at, recorded_at, event_id)
            values ('tardy', 'storage_bytes', 'set', 6, '2024-04-09Z', '2024-06-15Z', 'z'), ('tardy', 'storage_bytes', 'delta', 50, '2024-04-09Z', '2024-06-15Z', 'y'),
                ('tardy', 'storage_bytes', 'set', 7, '2024-04-10Z', '2024-06-15Z', 'b'), ('tardy', 'storage_bytes', 'set', 9, '2024-04-10Z', '2024-06-15Z', 'a'),
                ('tardy', 'storage_bytes', 'delta', -2, '2024-04-11Z', '2024-06-15Z', 'c')" >/dev/null &&
        month 0 2024-04 april --org tardy --cutoff 2024-05-20T00:00:00Z && told_again april "tardy,tokens,late,recorded_after_cutoff" &&
        june july && told_again july-dry "$flow" "$level" "tardy,tokens,late,recorded_period" \
        'tardy,storage_bytes,late,recorded_period,"5 events of an earlier period, came after it was recorded, 2024-04-09T00:00:00Z to 2024-04-11T00:00:00Z",5,'
}
taken_at_last() {
    expect 0 recalculate --period 2024-02 --database "" --org warehouse --run-dir "$scratch/warehouse" --now 2999-01-01T00:00:00Z --force --reason late &&
        june august && told_again august-dry "$flow" && ! rows_of august-dry exceptions.csv "$level"
}
check "late usage is listed in every later run, whatever became of its org" late_in_june
check "also what was recorded after a cutoff, by whichever transaction" late_by_cutoff
check "until a revision takes it" taken_at_last
finds_by_index() {
    sql -c "set enable_seqscan = off" -c "explain (costs off) select from billing.usage_ledger where occurred_at >= '2024-02-01Z' and occurred_at < '2024-03-01Z'
        and ((recorded_xid::text)::bigint >= 900 or recorded_at > '2024-05-01Z')" | tee "$scratch/plan" | grep -q BitmapOr
}
check "which is found by when it was written" finds_by_index

# --- alerts that stand before -------------------------------------------------------------------

alerts() { # TABLE
    sql -c "copy (select org_id, metric, period, threshold, usage, usage_limit, is_projected from $1 order by 1, 2, 3, 4, 7) to stdout csv"
}
# What the orgs' settings and the recorded usage say, in SQL.
alerts_due="(select org_id, metric, case when is_projected then '2024-03-01' else '2024-02-01' end::date as period,
        part::numeric(38, 15) as threshold, reached as usage, usage_limit, is_projected
    from billing.org_billing_usage_monthly
    cross join lateral (values (usage, false), (projected, true)) as said (reached, is_projected)
    cross join lateral jsonb_array_elements_text(billing.settings(org_id) -> 'alert.thresholds') as parts (part)
    where period = '2024-02-01' and usage_limit > 0 and reached > 0 and reached >= usage_limit * part::numeric) as due"
alerts_close() { # DATABASE STATEMENT
    PGDATABASE=postgres createdb --template alerts "$1" || return 1
    PGDATABASE=$1 sql -c "insert into billing.org_settings values ('acme', 'alert.thresholds', '[2, 0.5]'), ('suspended', 'alert.thresholds', '[]')" \
        -c "$2" && PGDATABASE=$1 close_as 4 "$1" &&
        PGDATABASE=$1 alerts "$alerts_due" >"$scratch/due.csv" && PGDATABASE=$1 alerts billing.usage_alerts >"$scratch/told.csv" &&
        same_file "$scratch/due.csv" "$scratch/told.csv" && grep -q '^acme,tokens,2024-02-01,0.5' "$scratch/due.csv" &&
        [ "$(wc -l <"$scratch/due.csv")" -gt 20 ]
}
# Of an application: of the closed period, and of what was expected of it.
of_application="insert into billing.usage_alerts (org_id, metric, period, threshold, usage, usage_limit, is_projected)
    select org_id, metric, period, threshold, usage, usage_limit, is_projected from (values
        ('acme', 'tokens', date '2024-02-01', 0.5, 750000, 500000, false), ('acme', 'tokens', '2024-02-01', 0.5, 1, 500000, true)
    ) as told (org_id, metric, period, threshold, usage, usage_limit, is_projected)"
stand_already() {
    PGDATABASE=postgres createdb --template alerts standing || return 1
    PGDATABASE=standing sql -c "insert into billing.org_settings values ('acme', 'alert.thresholds', '[2, 0.5]')" -c "$of_application" &&
        PGDATABASE=standing close_as 4 standing || return 1
    PGDATABASE=standing is "select string_agg(concat_ws(' ', trim_scale(threshold), is_projected, coalesce(run_id::text, 'told')), ', ' order by period, threshold, is_projected)
        from billing.usage_alerts where org_id = 'acme' and metric = 'tokens' and period = '2024-02-01'" \
        "0.5 f told, 0.5 t told"
}
# Somebody else writes each of them just before the run does: a trigger plays that part.
raced="create function pg_temp_free() returns trigger language plpgsql as \$\$
    begin
        if pg_trigger_depth() = 1 then
            insert into billing.usage_alerts select new.* on conflict do nothing;
        end if;
        return new;
    end \$\$;
    create trigger races before insert on billing.usage_alerts for each row execute function pg_temp_free()"
check "alerts are those of the orgs' own thresholds, or of the common ones" alerts_close told "select 1"
check "those that stand already are left as they are" stand_already
check "an alert that somebody writes meanwhile is not in the way" alerts_close raced "$raced"

# --- a database that is not as it should be --------------------------------------------------------

april() { # RUN
    expect 20 run --database "" --period 2024-04 --now 2024-06-01T00:00:00Z --run-dir "$scratch/$1"
}
broken() { # STATEMENT TEXT...
    local statement=$1 result=0
    shift
    PGDATABASE=postgres createdb --template records broken || return 1
    PGDATABASE=broken sql -c "$statement" || return 1
    rm -rf "$scratch/broken"
    PGDATABASE=broken april broken && error_says "hint: " "$@" || result=1
    PGDATABASE=postgres dropdb broken
    return "$result"
}
only_reads() {
    PGOPTIONS="-c default_transaction_read_only=on" april reader && error_says "read-only" "name the primary"
}
no_right() {
    sql -c "create role clerk login password 'clerk' in role billing_finance" || return 1
    PGUSER=clerk PGPASSWORD=clerk april clerk && error_says "grant billing_close to the user"
}
check "a server that only reads is told before anything is computed" only_reads
check "and a login that may only look" no_right
check "a missing table is told" broken "drop table billing.org_billing_terms" "billing.org_billing_terms.anchor_day is not there" "changed by hand"
check "a column of another type, too" broken \
    "alter table billing.org_billing_overages alter column usage type text" "billing.org_billing_overages.usage is text, it should be numeric(38,15)" "changed by hand"
check "and one that is not there" broken "alter table billing.org_billing_usage_monthly drop column net" "billing.org_billing_usage_monthly.net is not there" "changed by hand"

# --- rows that today's prices cannot meter -----------------------------------------------------------

# The price of a level became one of a flow, or of distinct keys, while rows of the old kind were written:
# whoever has them in the period is set aside, the others are closed. Rows of other times are nobody's.
mismatches() {
    createdb --template template0 --encoding UTF8 kinds
    export PGDATABASE=kinds
    expect 0 migrate --database "" || return 1
    sql <<'ROWS'
insert into billing.orgs (org_id) select unnest(array['ash', 'bay', 'elm', 'fir', 'oak']);
insert into billing.plans (plan_id) values ('pro'), ('old');
insert into billing.prices (plan_id, metric, aggregation, included, unit_price) values
    ('pro', 'disk', 'sum', 5, 2), ('pro', 'guests', 'unique', 0, 3), ('pro', 'runs', 'sum', 0, 0.5), ('old', 'disk', 'last', 0, 1);
insert into billing.subscriptions (org_id, plan_id) select org_id, case when org_id = 'oak' then 'old' else 'pro' end from billing.orgs;
select billing.ensure_ledger_partition(t) from unnest(array['2024-12-10Z', '2025-01-10Z', '2025-02-10Z']::timestamptz[]) as t;
insert into billing.usage_ledger (org_id, metric, kind, quantity, occurred_at, recorded_at, unique_key, reason) values
    ('ash', 'disk', 'set', 7, '2025-01-20Z', '2025-01-20Z', null, null), ('ash', 'disk', 'set', 8, '2025-01-10Z', '2025-01-10Z', null, null),
    ('ash', 'runs', 'delta', 100, '2025-01-10Z', '2025-01-10Z', null, null),
    ('bay', 'guests', 'delta', 1, '2025-01-11Z', '2025-01-11Z', null, null), ('bay', 'guests', 'delta', 1, '2025-01-11Z', '2025-01-11Z', 'ann', null),
    ('elm', 'disk', 'set', 50, '2024-12-10Z', '2024-12-10Z', null, null), ('elm', 'disk', 'set', 60, '2025-02-10Z', '2025-02-10Z', null, null),
    ('elm', 'disk', 'set', 70, '2025-01-30Z', '2025-03-05Z', null, null), ('elm', 'disk', 'delta', 9, '2025-01-12Z', '2025-01-12Z', null, null),
    ('fir', 'disk', 'delta', 6, '2025-01-12Z', '2025-01-12Z', null, null), ('fir', 'guests', 'delta', 4, '2025-01-12Z', '2025-01-12Z', null, 'migration'),
    ('oak', 'disk', 'set', 3, '2025-01-12Z', '2025-01-12Z', null, null);
ROWS
}
closes_the_others() { # RUN OPTION...
    local run=$1
    shift
    expect 4 run --database "" --period 2025-01 --now 2025-03-10T00:00:00Z --cutoff 2025-03-01T00:00:00Z --run-dir "$scratch/$run" "$@" &&
        cat "$scratch/$run/reports/exceptions.csv" &&
        rows_of "$run" exceptions.csv "ash,,set_aside,kind_mismatch,\"disk was set at 2025-01-10T00:00:00Z, but plan pro aggregates it by sum: give it the aggregation in billing.prices that its rows were written for" &&
        rows_of "$run" exceptions.csv "bay,,set_aside,kind_mismatch,\"guests of 2025-01-11T00:00:00Z has no unique_key, but plan pro aggregates it by unique" &&
        rows_of "$run" exceptions.csv "elm,disk,late,recorded_after_cutoff" &&
        [ "$(cut -d, -f1,4,8,16 "$scratch/$run/reports/overages.csv" | tail -n +2 | paste -sd ' ')" = 'elm,disk,9,8.00 fir,disk,6,2.00 oak,disk,3,3.00' ]
}
closes_all() {
    sql -c "update billing.prices set aggregation = 'last' where plan_id = 'pro' and metric = 'disk'"
    sql -c "update billing.prices set aggregation = 'sum' where plan_id = 'pro' and metric = 'guests'"
    expect 0 run --database "" --period 2025-01 --now 2025-03-10T00:00:00Z --cutoff 2025-03-01T00:00:00Z --org ash --org bay --run-dir "$scratch/kinds-3" || return 1
    cut -d, -f1,4,8 "$scratch/kinds-3/reports/overages.csv"
    [ "$(cut -d, -f1,4,8 "$scratch/kinds-3/reports/overages.csv" | tail -n +2 | paste -sd ' ')" = 'ash,disk,7 ash,runs,100 bay,guests,2' ]
}
check "there are rows that today's prices cannot meter" mismatches
export PGDATABASE=kinds
check "orgs that have them in the period are set aside by name, the others are closed" closes_the_others kinds-1 --jobs 2
check "and when it is typed anew elsewhere" closes_the_others kinds-2
check "explain says what to do" all expect 0 explain "$scratch/kinds-2" --org ash -- grep -q "aggregated otherwise when the usage was written" "$scratch/out" -- \
    expect 0 verify "$scratch/kinds-2"
check "with the prices they were written for, those are closed, too" closes_all

finish
