#!/usr/bin/env bash
# What a command prints when things go wrong: nothing is lost in silence, and the last line on
# stderr is the next command.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tiny=$root/tests/program/datasets/tiny
run=$scratch/run
expect 0 run --source "$tiny" --run-dir "$run" --period 2025-03 --now 2025-04-05T00:00:00Z ||
    exit 1

lost_to_a_full_device() { # ARGUMENT...
    status=0
    timeout -k 5 "$run_seconds_max" "$program" "$@" >/dev/full 2>"$scratch/err" || status=$?
    [ "$status" -eq 30 ] && error_says stdout
}
check 'a summary that a full disk swallows is a failure' \
    lost_to_a_full_device summary --run-dir "$run" --org alder
check 'so is a table' lost_to_a_full_device inspect "$run/meter/usage"

read_by_nobody() {
    "$program" inspect "$run/meter/usage" 2>"$scratch/err" | true
    [ "${PIPESTATUS[0]}" -eq 0 ]
}
check 'a reader that has gone is no failure' read_by_nobody

next_is() { # next_is STATUS COMMAND ARGUMENT...: a command is told, as the last line
    expect "$@" >/dev/null || return 1
    tail -n 1 "$scratch/err"
    tail -n 1 "$scratch/err" | grep -q '^next: periodclose '
}
for command in status report verify; do
    check "$command of no run directory ends with a command to type" \
        next_is 30 "$command" "$scratch/none"
done
cp -r "$run" "$scratch/flipped"
printf '\125' | dd of="$scratch/flipped/20-meter/usage.arrow" bs=1 seek=300 conv=notrunc status=none
mkdir "$scratch/empty"
cp -r "$run" "$scratch/blank"
: >"$scratch/blank/manifest.json"
# What cannot be typed with success is no next command: status would fail like everything else.
no_dead_end() { # no_dead_end STATUS COMMAND ARGUMENT...
    local told
    next_is "$@" || return 1
    told=$(tail -n 1 "$scratch/err" | sed -n 's/^next: periodclose //p')
    eval "expect 0 $told"
}
for path in none empty blank; do
    case $path in none) expected=30 ;; empty) expected=13 ;; *) expected=12 ;; esac
    for command in status report verify inspect emit reconcile 'explain --org alder' 'summary --org alder' \
        'replay --from rate --run-dir '"$scratch/new"; do
        # shellcheck disable=SC2086 # words
        check "${command%% *} of $path tells a command that does not fail, too" \
            no_dead_end $expected $command "$scratch/$path"
    done
done
check 'so does run, of one without its manifest' no_dead_end 12 run --run-dir "$scratch/blank" \
    --source "$tiny" --period 2025-03
says_which() {
    expect 13 "$@" && error_says 'name a folder that' '--run-dir' && ! grep -q restart "$scratch/err"
}
check 'who reads a folder that is no run is told what to name' says_which status "$scratch/empty"
check 'replay is not told to --restart, which it has not' says_which replay "$scratch/empty" \
    --from rate --run-dir "$scratch/new"
check 'verify of a damaged one too' next_is 12 verify "$scratch/flipped"
shows_repair() { # shows_repair STATUS COMMAND ARGUMENT...
    next_is "$@" && tail -n 1 "$scratch/err" | grep -qx "next: periodclose replay $scratch/flipped \
--from meter --run-dir $scratch/flipped.meter; cp $scratch/flipped.meter/20-meter/usage.arrow \
$scratch/flipped/20-meter/usage.arrow"
}
check 'of a damaged one it is what repairs it' shows_repair 12 explain "$scratch/flipped" --org alder
check 'of a table of it, too' shows_repair 12 inspect "$scratch/flipped/meter/usage"
check 'of two runs, that of the damaged one' shows_repair 12 diff "$run" "$scratch/flipped"

acme=(--source "$root/fixtures/acme/dataset" --period 2024-02 --cutoff 2024-03-31T02:00:00Z
    --now 2024-05-01T00:00:00Z)
expect 4 run "${acme[@]}" --run-dir "$scratch/acme"
expect 4 replay "$scratch/acme" --from rate --run-dir "$scratch/acme-replay"
expect 4 run "${acme[@]}" --run-dir "$scratch/acme-dry" --dry-run
dry_in_place() {
    tail -n 1 "$scratch/err" | grep -qx "next: less $scratch/acme-dry/dry-run/reports/exceptions.csv"
}
check 'a dry run that set orgs aside shows its own exceptions' dry_in_place
expect 0 run "${acme[@]}" --run-dir "$scratch/acme-until" --until rate
for until in extract meter rate; do
    check "a dry run until $until names what is there, or what writes it" next_works 0 run \
        "${acme[@]}" --run-dir "$scratch/acme-dry-$until" --dry-run --until $until
    check "so does a report of it" next_works 0 report "$scratch/acme-dry-$until/dry-run"
done
for path in acme-replay acme-dry acme-dry/dry-run acme-dry-rate/dry-run acme-until; do
    for command in emit reconcile; do
        check "$command of $path tells a command that does not fail, too" \
            next_works 13 "$command" "$scratch/$path"
    done
done
check 'emit of a run that sends nothing, too' next_works 2 emit "$scratch/acme"
check 'reconcile, too' next_works 2 reconcile "$scratch/acme"
for command in status verify report; do
    check "$command of a folder with a dry run alone shows the way to it" next_works 13 \
        "$command" "$scratch/acme-dry"
    check "$command of the dry run names a report that is there" next_works 0 \
        "$command" "$scratch/acme-dry/dry-run"
done

# No loop: what is told repairs the run.
repaired() { # repaired RUN FILE
    cp -r "$scratch/$1" "$scratch/damaged"
    printf '\125' | dd of="$scratch/damaged/$2" bs=1 seek=300 conv=notrunc status=none
    next_works 12 verify "$scratch/damaged" && expect 0 verify "$scratch/damaged" &&
        next_works 0 status "$scratch/damaged"
}
for file in 10-extract/orgs.arrow 20-meter/usage.arrow 30-rate/charges.arrow \
    40-project/estimates.arrow 50-record/records.arrow 60-emit/items.arrow reports/usage.csv; do
    check "what is told of a damaged $file brings the run back" repaired acme "$file"
    rm -rf "$scratch"/damaged*
done
check 'of a run that is half done, too' repaired acme-until 20-meter/usage.arrow
rm -rf "$scratch"/damaged*

# What a replay took over is brought back by the run it came from, where that has it; it may be the
# same file under two names, or a copy.
takes_over() { # takes_over copied|linked
    rm -rf "$scratch"/origin* "$scratch/taken"
    cp -r "$scratch/acme" "$scratch/origin"
    expect 4 replay "$scratch/origin" --from rate --run-dir "$scratch/taken" || return 1
    file=$scratch/taken/10-extract/seats.arrow
    [ "$1" = linked ] || { cp "$file" "$scratch/copy" && mv "$scratch/copy" "$file"; } || return 1
    printf '\125' | dd of="$file" bs=1 seek=300 conv=notrunc status=none
}
taken_from_origin() {
    takes_over copied && next_works 12 verify "$scratch/taken" && expect 0 verify "$scratch/taken" &&
        takes_over copied && next_works 12 replay "$scratch/origin" --from rate \
        --run-dir "$scratch/taken" && expect 0 verify "$scratch/taken"
}
taken_after_origin() { # both are damaged: the origin is brought back first
    takes_over linked && expect 12 verify "$scratch/taken" && error_says 'bring that one back' &&
        expect_told 12 && expect_told 4 && [ -d "$scratch/origin.1" ] &&
        next_works 12 verify "$scratch/taken" && expect 0 verify "$scratch/taken"
}
taken_from_nobody() {
    takes_over copied && rm -r "$scratch/origin" && next_works 12 verify "$scratch/taken" &&
        expect 12 verify "$scratch/taken" && error_says 'not there any more' 'from a backup'
}
check 'a damaged file that a replay took over is taken from its run again' taken_from_origin
check 'where that is damaged, too, it is brought back first' taken_after_origin
check 'where it is gone, that is told' taken_from_nobody
rm -rf "$scratch"/origin* "$scratch/taken"

# What begins anew goes no further than the run did, and sends as it was to be sent.
begun_with() {
    sed -n '/^  "options"/,/^  }/p; /^  "versions"/,/^  }/p' "$scratch/damaged/manifest.json" | grep -v '"now"'
}
anew_the_same() {
    local before
    STRIPE_API_KEY=sk_test_x expect 0 run "${acme[@]}" --run-dir "$scratch/damaged" --until rate \
        --emit stripe --batch lines --finalize --rate 5 --discountable || return 1
    before=$(begun_with)
    printf '\125' | dd of="$scratch/damaged/10-extract/orgs.arrow" bs=1 seek=300 conv=notrunc \
        status=none
    expect 12 verify "$scratch/damaged" && STRIPE_API_KEY=sk_test_x expect_told 0 &&
        [ -d "$scratch/damaged.1" ] && [ ! -e "$scratch/damaged/50-record" ] || return 1
    grep -q '"until": "rate"' <<<"$before" && diff <(echo "$before") <(begun_with)
}
check 'what begins a damaged run anew is as it was begun: --until, how items go' anew_the_same
rm -rf "$scratch"/damaged*

# A what-if is corrected by what was sealed.
wrong_prices() {
    mkdir "$scratch/wrong-prices"
    grep -v ^basic,visitors "$tiny/prices.csv" >"$scratch/wrong-prices/prices.csv"
    [ ! -e "$tiny/tiers.csv" ] || cp "$tiny/tiers.csv" "$scratch/wrong-prices"
    next_works 13 replay "$run" --from rate --prices "$scratch/wrong-prices" \
        --run-dir "$scratch/wrong-what-if"
}
check 'prices that do not fit show the way to those that were sealed' wrong_prices

stopped_replay() { # as one that was killed before its first stage
    cp -r "$scratch/acme-replay" "$scratch/half"
    expect 13 replay "$scratch/acme-until" --from report --run-dir "$scratch/half-2" || return 1
    type_next && expect 0 status "$scratch/acme-replay" && grep -q "in $scratch/acme$" "$scratch/out"
}
check 'a replay of a run that is not so far shows how that stands; status says where it was' \
    stopped_replay

# Typed with a name from here, and asked for from elsewhere.
replay_of_a_name_from_here() {
    (cd "$scratch" && expect 4 replay acme --from rate --run-dir from-here &&
        expect 0 status from-here && grep -q ' in acme$' "$scratch/out") || return 1
    (cd / && expect 0 status "$scratch/from-here" && grep -q " in $scratch/acme$" "$scratch/out") ||
        return 1
    chmod u+w "$scratch/from-here/10-extract/orgs.arrow"
    cp --remove-destination "$scratch/acme/10-extract/plans.arrow" \
        "$scratch/from-here/10-extract/orgs.arrow"
    (cd / && next_works 12 verify "$scratch/from-here")
}
check 'a replay knows its origin by a name that holds from anywhere, and shows a short one' \
    replay_of_a_name_from_here

tells_asides() {
    expect 0 status "$scratch/acme" && grep -qx 'to check  5 orgs set aside, 1 record held' \
        "$scratch/out" && expect 0 status "$scratch/acme" --json &&
        grep -q '"to_check": "5 orgs set aside, 1 record held"' "$scratch/out"
}
check 'status tells what a close left to look at' tells_asides

# What would mean nothing is refused; from the environment, which is for all commands, it may come.
means_nothing() { # EMIT OPTION...
    local emit=$1
    shift
    expect 2 run --source "$tiny" --period 2025-03 --run-dir "$scratch/moot" --emit "$emit" "$@" &&
        error_says "$1 goes with --emit stripe" "--emit $emit" && [ ! -e "$scratch/moot" ]
}
for words in '--attach draft' '--batch lines' --finalize '--max-wait 30' --no-standalone \
    --discountable --never-sent --test-key '--rate 5' '--in-flight 2' '--timeout 100' \
    '--retry-delay 10' '--deadline 9'; do
    # shellcheck disable=SC2086 # words
    check "${words%% *} without --emit is refused" means_nothing none $words
done
check 'so are options of items where events go' all means_nothing dodo --batch lines -- \
    means_nothing stripe-meters --attach draft -- means_nothing stripe --never-sent
check '--no-standalone means nothing with --attach invoice' all \
    expect 2 run --source "$tiny" --period 2025-03 --run-dir "$scratch/moot" --emit stripe \
    --attach invoice --no-standalone -- error_says --no-standalone '--attach invoice'
check '--aggregate means nothing for a folder' all expect 2 run --source "$tiny" --period 2025-03 \
    --run-dir "$scratch/moot" --aggregate server -- error_says '--aggregate goes with --database'
moot_from_environment() {
    PERIODCLOSE_BATCH=lines PERIODCLOSE_RATE=5 PERIODCLOSE_AGGREGATE=client expect 0 run \
        --source "$tiny" --period 2025-03 --now 2025-04-05T00:00:00Z --run-dir "$scratch/moot"
}
check 'from the environment they may come' moot_from_environment
check 'a run that sends nothing is told so when it is gone on with' all \
    expect 2 run --run-dir "$scratch/moot" --batch lines -- error_says '--batch goes with'

# Every command that succeeds says what to type next, too; help alone ends there.
succeeds() {
    next_is 0 "$@"
}
check 'explain says what to type next' succeeds explain "$run" --org alder
check 'inspect of a run too' succeeds inspect "$run"
check 'of a stage' succeeds inspect "$run/rate"
check 'of a table' succeeds inspect "$run/rate/charges"
check 'summary too' succeeds summary "$run" --org alder
after_verify() {
    expect 0 verify "$run" && tail -n 1 "$scratch/err" | grep -qx "next: less $run/reports/overages.csv"
}
check 'verify shows the way to the reports' after_verify
check 'replay too' succeeds replay "$run" --from rate --run-dir "$scratch/again"
check 'diff of the same too' succeeds diff "$run" "$scratch/again"

# A table that the other version of the stage did not have is told, and all others are compared.
diff_of_older() {
    local older=$scratch/older words='sums of days'
    cp -r "$run" "$older" && node "$root/tests/program/older.mjs" "$older" meter moments daily || return 1
    expect 0 diff "$older" "$run" && cat "$scratch/out" &&
        grep -q "^meter  *not compared: $words, only B has them (A is of version" "$scratch/out" &&
        grep -q '^rate ' "$scratch/out" && grep -q '^record ' "$scratch/out" &&
        [ "$(tail -n 1 "$scratch/out")" = 'the same' ] || return 1
    expect 0 diff "$run" "$older" --format csv && [ "$(wc -l <"$scratch/out")" -eq 1 ] &&
        error_says "meter: $words not compared, only A has them: B is of version" || return 1
    expect 0 diff "$older" "$older" && grep -q '^meter  *identical' "$scratch/out" || return 1
    # what the manifest names and is not there stays damage
    rm "$older"/20-meter/usage*.arrow && expect 12 diff "$older" "$run"
}
check 'diff goes on over a table that only one version has' diff_of_older

# What is told can be typed as it is, whatever the folder is called.
odd="$scratch/it's an odd; name"
typed_as_told() {
    local told
    expect 0 run --source "$tiny" --run-dir "$odd" --period 2025-03 --now 2025-04-05T00:00:00Z \
        --until meter || return 1
    told=$(tail -n 1 "$scratch/err" | sed -n 's/^next: periodclose //p')
    echo "$told"
    eval "expect 0 $told" || return 1
    told=$(tail -n 1 "$scratch/err" | sed -n 's/^next: periodclose //p')
    echo "$told"
    eval "expect 0 $told" || return 1
    told=$(tail -n 1 "$scratch/err" | sed -n 's/^next: less //p')
    echo "$told"
    eval "test -f $told"
}
check 'a run directory with quotes and spaces is told so that a shell takes it' typed_as_told

several_orgs() {
    local orgs
    expect 0 summary "$run" --org birch --org alder || return 1
    orgs=$(sed 's/.*"orgId":"\([a-z]*\)".*/\1/' "$scratch/out" | tr '\n' ' ')
    [ "$orgs" = 'birch alder ' ] && expect 2 summary "$run" --org alder --org nobody &&
        [ ! -s "$scratch/out" ] && error_says nobody
}
check 'summary prints a line for every org, or nothing' several_orgs

what_if_prices() {
    mkdir "$scratch/prices"
    sed 's/,0\.25,/,0.75,/' "$tiny/prices.csv" >"$scratch/prices/prices.csv"
    [ ! -e "$tiny/tiers.csv" ] || cp "$tiny/tiers.csv" "$scratch/prices"
    expect 0 replay "$run" --from rate --prices "$scratch/prices" --run-dir "$scratch/what-if" &&
        expect 0 verify "$scratch/what-if" && expect 1 diff "$run" "$scratch/what-if" &&
        grep -q 'charges differ' "$scratch/out"
}
check 'a what-if needs no plans.csv' what_if_prices

older_differs() {
    local older=$scratch/older-2
    cp -r "$run" "$older" && node "$root/tests/program/older.mjs" "$older" meter moments daily &&
        expect 1 diff "$older" "$scratch/what-if" && cat "$scratch/out" &&
        grep -q '^meter  *not compared: .* only B has them' "$scratch/out" &&
        grep -q 'charges differ' "$scratch/out"
}
check 'what differs in money is told beside a table that one version only has' older_differs

unknown_org() {
    expect 2 run --source "$tiny" --run-dir "$scratch/nobody" --period 2025-03 \
        --now 2025-04-05T00:00:00Z --org aldr && error_says "--org: 'aldr' is not in orgs.csv"
}
check 'an org that is not there is a mistake on the command line' unknown_org

# Of one thing nothing is told as of several.
says_one() {
    local only=$scratch/only what
    mkdir "$only" "$scratch/dearer" || return 1
    printf 'org_id\nsolo\n' >"$only/orgs.csv"
    printf 'plan_id\npro\n' >"$only/plans.csv"
    printf 'plan_id,metric,included,unit_price\npro,tokens,5,0.25\n' >"$only/prices.csv"
    printf 'org_id,plan_id\nsolo,pro\n' >"$only/subscriptions.csv"
    printf 'org_id,metric,quantity,occurred_at\nsolo,tokens,7,2025-03-06T10:00:00Z\n' >"$only/usage.csv"
    sed 's/,0\.25/,0.75/' "$only/prices.csv" >"$scratch/dearer/prices.csv"
    expect 0 run --source "$only" --run-dir "$scratch/solo" --period 2025-03 \
        --now 2025-04-05T00:00:00Z && cat "$scratch"/{out,err} >"$scratch/told" || return 1
    expect 0 replay "$scratch/solo" --from rate --prices "$scratch/dearer" --run-dir "$scratch/solo-2" ||
        return 1
    for what in "verify $scratch/solo" "status $scratch/solo" "inspect $scratch/solo/rate" \
        "explain $scratch/solo --org solo" "report $scratch/solo"; do
        # shellcheck disable=SC2086 # words
        expect 0 $what && cat "$scratch"/{out,err} >>"$scratch/told" || return 1
    done
    expect 1 diff "$scratch/solo" "$scratch/solo-2" && cat "$scratch"/{out,err} >>"$scratch/told" &&
        grep -q '1 of 1 charge differs' "$scratch/told" && grep -q '1 metric over its limit' "$scratch/told" &&
        grep -q '1 row read again' "$scratch/told" &&
        ! grep -nE '(^|[^0-9,.:-])1 (orgs|metrics|rows|files|items|records|events|charges|lines|reports|currencies|values)\b' \
            "$scratch/told"
}
check 'of one thing nothing is told as of several' says_one

# What is sealed was computed from the number that does not fit: the same command would meet 13.
too_large() {
    rm -rf "$scratch/large"
    cp -r "$tiny" "$scratch/large"
    echo 'alder,tokens,99999999999999999999999,2025-03-06T10:00:00Z,e5,,,' >>"$scratch/large/usage.csv"
    sed -i 's/,0\.25,/,75,/' "$scratch/large/prices.csv"
    expect 32 run --source "$scratch/large" --run-dir "$scratch/large-run" --period 2025-03 \
        --now 2025-04-05T00:00:00Z || return 1
    cat "$scratch/err"
    error_says 'hint: correct the quantity' || return 1
    sed -i '$d' "$scratch/large/usage.csv"
    eval "expect 0 $(tail -n 1 "$scratch/err" | sed 's/^next: periodclose //')"
}
check 'what is told after a number out of range works once it is corrected' too_large

# What a name holds is told so that a terminal does not act on it, and no JSON line is lost for it.
odd_names() {
    expect 10 run --period 2025-03 --source $'no\xff\x1b[31m\nthere' --run-dir "$scratch/odd" \
        --log-format json || return 1
    node -e 'const lines = require("fs").readFileSync(process.argv[1], "utf8").trim().split("\n")
        .map((line) => JSON.parse(line));
        if (lines.length !== 3 || !lines[0].message.includes("no\\xff\\x1b[31m\\x0athere")) {
            console.log(lines); process.exit(1); }' "$scratch/err" || return 1
    expect 10 run --period 2025-03 --source $'no\x1b[31mthere' --run-dir "$scratch/odd" &&
        error_says 'no\x1b[31mthere' && ! grep -q $'\x1b' "$scratch/err"
}
check 'what a terminal would act on is told as bytes, in JSON too' odd_names

bar_fits() { # bar_fits COLUMNS: no line that is drawn over is longer
    rm -rf "$scratch/bar"
    TERM=xterm script -qc "stty cols $1; '$program' run --source '$tiny' --run-dir '$scratch/bar' \
        --period 2025-03 --now 2025-04-05T00:00:00Z" /dev/null </dev/null >"$scratch/drawn" || return 1
    tr '\r' '\n' <"$scratch/drawn" | grep -a $'\x1b\\[K$' | sed $'s/\x1b.*//' >"$scratch/bars"
    cat "$scratch/bars"
    grep -q '^extract .*%' "$scratch/bars" && ! grep -qE "^.{$1}" "$scratch/bars"
}
check 'the progress bar fits a terminal of 80 columns' bar_fits 80
check 'and one of 30' bar_fits 30

unset_variable() {
    expect 2 run --period 2025-03 --source "$tiny" --run-dir '' && error_says '--run-dir: is empty' &&
        expect 2 run --run-dir= && expect 2 status '' && error_says 'word 1 is empty'
}
check 'an empty word, as of a variable that is not set, is told as such' unset_variable

nothing_to_revise() { # OPTION WORD...
    expect 2 run --period 2025-03 --run-dir "$scratch/nothing" "$@" &&
        error_says "$1 is for revising what is recorded, and neither --database nor --previous is given" \
            "--previous RUN --reason TEXT, without --force"
}
check 'what revises without anything to revise is told what that would be' all \
    nothing_to_revise --force -- nothing_to_revise --force --source "$tiny" --reason late -- \
    nothing_to_revise --reason late --source "$tiny" -- nothing_to_revise --reprice --source "$tiny"

# A month that is not over: nothing is closed, and that is said.
open_month() {
    expect 0 run --source "$tiny" --run-dir "$scratch/open" --period 2025-03 \
        --now 2025-03-20T00:00:00Z || return 1
    cat "$scratch/err"
    error_says 'not over at the cutoff 2025-03-20T00:00:00Z' '2025-04-01T00:00:00Z at the latest' &&
        tail -n 1 "$scratch/err" | grep -q "^next: periodclose run --run-dir $scratch/open --restart$" &&
        eval "expect 0 $(tail -n 1 "$scratch/err" | sed 's/^next: periodclose //')" &&
        grep -q '2 closed, 0 set aside, 0 listed' "$scratch/out"
}
check 'a month that is not over is told, with the command for when it is' open_month

# Events of orgs that are only listed are told beside "0 set aside".
words_of_open() {
    expect 0 run --source "$tiny" --run-dir "$scratch/open-2" --period 2025-03 \
        --now 2025-03-20T00:00:00Z || return 1
    cat "$scratch/out"
    grep -q '0 set aside, 2 listed' "$scratch/out" && grep -q 'read: [0-9]* of orgs not closed$' \
        "$scratch/out"
}
check 'what listed orgs used is not told as set aside' words_of_open

# A run that stopped at bad rows has begun, and knows nothing yet.
begun_only() {
    cp -r "$tiny" "$scratch/bad"
    echo 'alder,tokens,75x,2025-03-06T10:00:00Z,e9,,,' >>"$scratch/bad/usage.csv"
    expect 10 run --source "$scratch/bad" --run-dir "$scratch/begun" --period 2025-03 \
        --now 2025-04-05T00:00:00Z || return 1
    next_works 13 summary "$scratch/begun" --org alder && next_works 13 explain "$scratch/begun" \
        --org alder && expect 0 verify "$scratch/begun" && grep -q 'no stage of the run is done' \
        "$scratch/out" && ! grep -q '0 of 0' "$scratch/out" || return 1
    expect 13 summary "$scratch/begun" --org alder && error_says "nothing to sum up yet: stage 'extract'" \
        "next: periodclose status $scratch/begun"
}
check 'of a run that has only begun, nothing false is told' begun_only

foreign_file() {
    cp -r "$run" "$scratch/guest"
    echo dear >"$scratch/guest/20-meter/letter.txt"
    echo kept >"$scratch/guest/reports/notes.csv"
    expect 0 verify "$scratch/guest" && error_says "20-meter/letter.txt is not of this run" &&
        ! grep -q notes.csv "$scratch/err"
}
check 'verify names a file in the folder of a stage that is not ours' foreign_file
check 'two run directories are one too many' all expect 2 verify "$run" --run-dir "$scratch/acme" -- \
    error_says "$run" "$scratch/acme"

# A level goes on while nobody is subscribed.
level_outside() {
    mkdir "$scratch/level"
    printf 'org_id\nlate\nalways\n' >"$scratch/level/orgs.csv"
    printf 'plan_id\npro\n' >"$scratch/level/plans.csv"
    printf 'plan_id,metric,aggregation,unit_price\npro,disk,last,2\n' >"$scratch/level/prices.csv"
    printf 'org_id,plan_id,starts_at,ends_at\nlate,pro,2025-03-10T00:00:00Z,\nalways,pro,,2025-03-05T00:00:00Z\nalways,pro,2025-03-05T00:00:00Z,\n' \
        >"$scratch/level/subscriptions.csv"
    {
        echo org_id,metric,quantity,occurred_at
        printf '%s,disk,3,2025-03-06T10:00:00Z\n' late always
        printf '%s,disk,5,2025-03-16T10:00:00Z\n' late always
    } >"$scratch/level/usage.csv"
    expect 0 run --source "$scratch/level" --run-dir "$scratch/level-run" --period 2025-03 \
        --now 2025-05-05T00:00:00Z && expect 0 explain "$scratch/level-run" --org late &&
        grep -q 'rows outside its subscribed time' "$scratch/out" && grep -q 'by 1 event$' \
        "$scratch/out" && expect 0 explain "$scratch/level-run" --org always &&
        grep -q 'by 2 events$' "$scratch/out" && ! grep -q 'subscribed time move' "$scratch/out"
}
check 'explain says of a level that rows outside subscribed time move it' level_outside

# Names are told whole, however long.
long_names() {
    local org metric
    org=$(printf 'customer-of-the-north-%0100d' 7)
    metric=$(printf 'requests.of.the.second.kind.%090d' 9)
    mkdir "$scratch/names"
    printf 'org_id,overage_cap\n%s,5\n' "$org" >"$scratch/names/orgs.csv"
    printf 'plan_id\npro\n' >"$scratch/names/plans.csv"
    printf 'plan_id,metric,unit_price\npro,%s,2\n' "$metric" >"$scratch/names/prices.csv"
    printf 'org_id,plan_id\n%s,pro\n' "$org" >"$scratch/names/subscriptions.csv"
    printf 'org_id,metric,quantity,occurred_at\n%s,%s,7,2025-03-06T10:00:00Z\n%s,%s,9,2025-04-06T10:00:00Z\n' \
        "$org" "$metric" "$org" "$metric" >"$scratch/names/usage.csv"
    expect 0 run --source "$scratch/names" --run-dir "$scratch/names-3" --period 2025-03 \
        --now 2025-05-05T00:00:00Z && expect 0 run --source "$scratch/names" --run-dir \
        "$scratch/names-4" --period 2025-04 --now 2025-05-05T00:00:00Z || return 1
    expect 1 diff "$scratch/names-3" "$scratch/names-4" && grep -q "$org.*$metric.*quantity 7 -> 9" \
        "$scratch/out" && error_says 'the periods differ: A is 2025-03, B is 2025-04' || return 1
    expect 0 explain "$scratch/names-3" --org "$org" && cat "$scratch/out" &&
        [ "$(grep -c "$metric" "$scratch/out")" -eq 2 ]
}
check 'diff and explain cut no name, and diff says that the periods differ' long_names


# birch lives in Berlin, where March 2025 has an hour less than April.
own_clock() {
    expect 0 explain "$run" --org birch || return 1
    cat "$scratch/out"
    grep -q '2025-03-01 00:00:00 +01:00 up to, but not at, 2025-04-01 00:00:00 +02:00' \
        "$scratch/out" &&
        grep -q 'in UTC: 2025-02-28T23:00:00Z up to, but not at, 2025-03-31T22:00:00Z' "$scratch/out"
}
check "explain tells an org's period by its own clock, and in UTC" own_clock

finish
