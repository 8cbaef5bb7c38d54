#!/usr/bin/env bash
# Every kind of bad input is refused with file, line, column, value and reason, exit status 10;
# nothing outside the run directory is touched, and no checkpoint is left.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

world=$scratch/world # dataset, and the folder that run directories are made in
dataset=$world/dataset
options=(--period 2025-03 --cutoff 2025-04-05T00:00:00Z --now 2025-04-05T00:00:00Z)

# Begins with the dataset as it should be.
begin() {
    rm -rf "$world"
    mkdir -p "$world/beside"
    echo kept >"$world/beside/note"
    cp -r "$root/tests/program/datasets/tiny" "$dataset"
}

# put FILE LINE...: adds lines at the end, as printf %b understands them.
put() {
    local file=$1 line
    shift
    for line in "$@"; do
        printf '%b\n' "$line" >>"$dataset/$file"
    done
}

# edit FILE SED-SCRIPT
edit() {
    sed -i "$2" "$dataset/$1"
}

no_checkpoint() {
    local found
    found=$(find "$1" -name '*.arrow' -o -path '*/reports/*' -o -path '*/scratch/*' -type f)
    [ -z "$found" ] && return
    echo "left behind: $found"
    return 1
}

# Whatever lies beside the run directory; of folders only the names.
surroundings() {
    find "$world" -path "$world/run" -prune -o -type d -printf '%P/\n' \
        -o -printf '%P %y %s %T@ %i\n' | sort
}

# refused STATUS TEXT...: the run ends with STATUS and says every text.
refused() {
    local expected=$1 before after
    shift
    before=$(surroundings)
    expect "$expected" run "${options[@]}" --source "$dataset" --run-dir "$world/run" || return 1
    after=$(surroundings)
    error_says "$@" || return 1
    [ "$before" = "$after" ] || {
        echo "touched outside the run directory:"
        diff <(echo "$before") <(echo "$after")
        return 1
    }
    [ ! -d "$world/run" ] || no_checkpoint "$world/run"
}

bad() { # bad SENTENCE TEXT...: bad input, and what must be said
    local sentence=$1
    shift
    check "$sentence" refused 10 "$@"
}

begin
check 'the dataset closes as it is' \
    expect 0 run "${options[@]}" --source "$dataset" --run-dir "$world/run"

# --- files and columns ---

for file in orgs plans prices subscriptions; do
    begin
    rm "$dataset/$file.csv"
    bad "$file.csv is missing" "$file.csv"
done
begin
edit prices.csv '1s/metric/meter/'
bad 'a column is missing' 'prices.csv:1: metric'
begin
edit usage.csv '1s/quantity/metric/'
bad 'a column stands twice' 'usage.csv:1: metric' 'quantity'
begin
rm "$dataset/usage.csv"
mkdir "$dataset/usage.csv"
bad 'a file is a folder' 'usage.csv'
for file in orgs usage seats limits; do
    begin
    ln -sf nowhere.csv "$dataset/$file.csv"
    bad "$file.csv is a link to nothing" "$file.csv" 'not there'
done
for file in orgs usage seats limits tiers; do
    begin
    ln -sf "$file.csv" "$dataset/$file.csv"
    bad "$file.csv is a link to itself" "$dataset/$file.csv" 'in a circle'
done
begin
: >"$dataset/orgs.csv"
bad 'a file is empty' 'orgs.csv'
begin
edit usage.csv 's/,/;/g'
bad 'a file has semicolons between its columns' 'usage.csv:1' 'semicolons' 'commas'
begin
mkfifo "$dataset/usage_pipe.csv"
bad 'a file is a pipe, and nobody waits for its writer' 'usage_pipe.csv'
begin
rm -r "$dataset"
echo 'org_id' >"$dataset"
check 'the dataset folder is a file' refused 10 "$dataset"
begin
rm -r "$dataset"
check 'the dataset folder is missing' refused 10 "$dataset"
begin
rm -r "$dataset"
ln -s "$(basename "$dataset")" "$dataset"
check 'the dataset folder is a link to itself' refused 10 "$dataset" 'in a circle'

# --- keys ---

begin
put orgs.csv 'alder,Alder again,usd,UTC,1'
bad 'an org stands twice' "orgs.csv:4: org_id 'alder'" 'line 2'
begin
put plans.csv 'basic,Basic again,usd'
bad 'a plan stands twice' "plans.csv:4: plan_id 'basic'" 'line 2'
begin
put prices.csv 'basic,tokens,sum,per_unit,1,,1,'
bad 'a price stands twice' "prices.csv:6: metric 'tokens'" 'line 2'
begin
put limits.csv 'alder,tokens,3,'
bad 'a limit stands twice' "limits.csv:3: metric 'tokens'" 'line 2'
begin
put subscriptions.csv 'alder,basic,,2025-03-05T00:00:00Z'
bad 'a subscription stands twice' 'subscriptions.csv:4:' 'line 2'
begin
put usage_history.csv 'alder,tokens,2025-02,31,'
bad 'a recorded quantity stands twice' 'usage_history.csv:3:' 'line 2'
begin
put plans.csv 'basic,Basic in euro,eur'
bad 'a plan has two currencies' "plans.csv:4: plan_id 'basic'" 'eur' 'usd' 'line 2'
begin
put subscriptions.csv 'alder,gold,,'
bad 'a subscription is of an unknown plan' "subscriptions.csv:4: plan_id 'gold'" 'plans.csv'
begin
put prices.csv 'gold,tokens,sum,per_unit,1,,1,'
bad 'a price is of an unknown plan' "prices.csv:6: plan_id 'gold'" 'plans.csv'
begin
put usage.csv 'cedar,tokens,1,2025-03-03T10:00:00Z,e9,,,'
bad 'usage is of an unknown org' "usage.csv:6: org_id 'cedar'" 'orgs.csv'
begin
put seats.csv 'cedar,ann,admin,2025-01-01T00:00:00Z,'
bad 'a seat is of an unknown org' "seats.csv:5: org_id 'cedar'" 'orgs.csv'

# --- numbers ---

usage_quantity() { # SENTENCE VALUE REASON...
    local sentence=$1 value=$2
    shift 2
    begin
    put usage.csv "alder,tokens,$value,2025-03-03T10:00:00Z,e9,,,"
    bad "$sentence" "usage.csv:6: quantity '${value:0:30}" "$@"
}
usage_quantity 'a quantity is a word' twelve 'number'
usage_quantity 'a quantity has an exponent' 1e3 'number'
usage_quantity 'a quantity is hexadecimal' 0x10 'number'
usage_quantity 'a quantity is not a number' NaN 'number'
usage_quantity 'a quantity has two points' 1.2.3 'number'
usage_quantity 'a quantity has 16 decimals' 0.1234567890123456 'decimals'
usage_quantity 'a quantity does not fit 38 digits' 100000000000000000000000 'range'
begin
put usage.csv 'alder,tokens,99999999999999999999999.999999999999999,2025-03-03T10:00:00Z,e8,,,' \
    'alder,tokens,99999999999999999999999.999999999999999,2025-03-03T10:00:00Z,e9,,,'
check 'quantities that fit, but whose sum does not: out of range' refused 32 'alder' 'tokens'
begin
edit prices.csv '2s/0.25/-0.25/'
bad 'a price is negative' "prices.csv:2: unit_price '-0.25'" 'negative'
begin
edit prices.csv '2s/0.25//'
bad 'a price is not given' 'prices.csv:2: unit_price'
begin
put prices.csv 'tiered,exports,sum,package,1,,1,0'
bad 'a package holds nothing' "prices.csv:6: package_size '0'"
begin
edit orgs.csv '1s/$/,overage_cap/; 2s/$/,3.005/; 3s/$/,/'
bad 'a cap is not a multiple of the billing increment' "orgs.csv:2: overage_cap '3.005'" '0.01'
begin
edit orgs.csv '2s/1$/32/'
bad 'an anchor day is 32' "orgs.csv:2: anchor_day '32'"
begin
edit prices.csv '2s/per_unit/per_dozen/'
bad 'a model is unknown' "prices.csv:2: model 'per_dozen'" 'graduated'
begin
edit orgs.csv '2s/usd/xyz/'
bad 'a currency is unknown' "orgs.csv:2: currency 'xyz'"

# --- time ---

for value in 2025-02-29T00:00:00Z 2025-03-03 2025-03-03T24:00:00Z 2025-03-03T10:00:00+25:00 yesterday; do
    begin
    put usage.csv "alder,tokens,1,$value,e9,,,"
    bad "$value is no time stamp" "usage.csv:6: occurred_at '$value'"
done
for value in Europe/Atlantis ../../etc/passwd /etc/localtime europe; do
    begin
    edit orgs.csv "3s|Europe/Berlin|$value|"
    bad "$value is no time zone" "orgs.csv:3: timezone '$value'"
done
begin
put subscriptions.csv 'birch,basic,2025-03-05T00:00:00Z,2025-03-04T00:00:00Z'
bad 'a subscription ends before it begins' 'subscriptions.csv:4:' '2025-03-0'
begin
put usage_history.csv 'birch,tokens,2025-13,1,'
bad 'a recorded month is the thirteenth' "usage_history.csv:3: period '2025-13'"

# --- bytes ---

begin
put usage.csv 'alder,tok\xffens,1,2025-03-03T10:00:00Z,e9,,,'
bad 'a field is not UTF-8' "usage.csv:6: metric 'tok\\xffens'" 'UTF-8'
begin
put orgs.csv 'cedar,\xed\xa0\x80,usd,UTC,1'
bad 'a surrogate is not UTF-8' 'orgs.csv:4: name' 'UTF-8'
begin
put usage.csv 'alder,tok\x00ens,1,2025-03-03T10:00:00Z,e9,,,'
bad 'a NUL byte' 'usage.csv:6:' 'NUL'
begin
put usage.csv 'alder,"tokens,1,2025-03-03T10:00:00Z,e9,,,'
bad 'a quote is not closed' 'usage.csv:6:' 'quote'
begin
put usage.csv 'alder,"tok"ens,1,2025-03-03T10:00:00Z,e9,,,'
bad 'text after a closing quote' 'usage.csv:6:' 'quote'
begin
put usage.csv 'alder,tokens,1'
bad 'a row is short of fields' 'usage.csv:6:' '3' '8'
begin
put usage.csv 'alder,tokens,1,2025-03-03T10:00:00Z,e9,,,,surplus'
bad 'a row has a field too many' 'usage.csv:6:' '9' '8'
begin
put orgs.csv "cedar,$(head -c 1100000 /dev/zero | tr '\0' n),usd,UTC,1"
bad 'a field is longer than 1 MB' 'orgs.csv:4: name'
begin
put usage.csv 'alder,,1,2025-03-03T10:00:00Z,e9,,,'
bad 'a required field is not given' 'usage.csv:6: metric'
begin
put usage.csv "alder,$(printf 'm%.0s' {1..129}),1,2025-03-03T10:00:00Z,e9,,,"
bad 'a metric has a name of 129 bytes' 'usage.csv:6: metric'
begin
put usage.csv 'alder,"to\nkens",1,2025-03-03T10:00:00Z,e9,,,' \
    'alder,tokens,nine,2025-03-03T10:00:00Z,e9,,,'
bad 'lines are counted through quoted fields' 'usage.csv:6: metric' "usage.csv:8: quantity 'nine'"

# --- rows that contradict each other or the plan ---

begin
edit tiers.csv '3s/,,0.3/,5,0.3/'
bad 'tiers overlap and do not end open' 'tiers.csv:3: up_to' 'line 2' 'open'
begin
put tiers.csv 'tiered,tokens,,0.2,'
bad 'two tiers are open' 'tiers.csv:4: up_to' 'line 3'
begin
edit tiers.csv '3d'
bad 'tiers do not end open' "tiers.csv:2: up_to '5'" "'tokens', which must be open"
begin
edit tiers.csv '2s/,5,/,5.0,/;3s/,,0.3/,"5.000",0.3/'
bad 'wrong tiers are shown as they are written' "tiers.csv:3: up_to '5.000': overlaps the tier on line 2" \
    "tiers.csv:3: up_to '5.000': ends the last tier of metric 'tokens'"
begin
rm "$dataset/tiers.csv"
bad 'a tiered price has no tiers' 'prices.csv:5:' 'tiers'
begin
put tiers.csv 'basic,tokens,,0.2,'
bad 'a price per unit has tiers' "tiers.csv:4: metric 'tokens'" 'per_unit'
begin
put usage.csv 'alder,tokens,21,2025-03-03T10:00:00Z,e1,,,'
bad 'two rows of one event disagree' "usage.csv:6: event_id 'e1'" 'usage.csv:2'
begin
put usage.csv 'alder,seats,1,2025-03-03T10:00:00Z,e9,,,'
bad 'usage of seats beside a seats.csv' "usage.csv:6: metric 'seats'" 'seats.csv'
begin
put usage.csv 'alder,tokens,1,2025-03-03T10:00:00Z,e9,set,,'
bad 'a flow is set' "usage.csv:6: kind 'set'"
begin
put usage.csv 'alder,visitors,1,2025-03-03T10:00:00Z,e9,,,'
bad 'a unique metric without a key' 'usage.csv:6: unique_key'
begin
edit prices.csv '3s/last/sum/'
bad 'seats of a seats.csv are summed up' "prices.csv:3: aggregation 'sum'"

# --- several at once ---

begin
edit orgs.csv '2s/usd/xyz/; 3s/1$/99/'
edit plans.csv '2s/usd/zzz/'
put usage.csv 'alder,tokens,a,2025-03-03T10:00:00Z,e8,,,' 'alder,tokens,1,never,e9,,,' \
    'alder,tokens,b,then,e10,,,'
bad 'bad rows of several files are told at once' "orgs.csv:2: currency 'xyz'" \
    "orgs.csv:3: anchor_day '99'" "plans.csv:2: currency 'zzz'"
begin
put usage.csv 'alder,tokens,a,2025-03-03T10:00:00Z,e8,,,' 'alder,tokens,1,never,e9,,,' \
    'alder,tokens,b,then,e10,,,'
bad 'all bad rows of usage are told at once' "usage.csv:6: quantity 'a'" \
    "usage.csv:7: occurred_at 'never'" "usage.csv:8: quantity 'b'"
begin
for ((row = 0; row < 5000; row++)); do
    echo "alder,tokens,x$row,2025-03-03T10:00:00Z,,,,"
done >>"$dataset/usage.csv"
bad 'of five thousand bad rows the first are told, and how many more' "usage.csv:6: quantity 'x0'" \
    '5000 bad rows' 'more'
bad_alone() { # what follows from a bad row of orgs.csv is not told as well
    refused 10 'orgs.csv' && ! grep -e '^usage.csv' -e '^seats.csv' -e '^subscriptions.csv' \
        "$scratch/err"
}
begin
edit orgs.csv '1s/org_id/id/'
check 'usage and seats of orgs that could not be read are no news' bad_alone
begin
edit orgs.csv '2s/usd/xyz/'
check 'nor are those of an org whose row is bad' bad_alone
begin
put orgs.csv 'cedar,Cedar,usd,Mars/Olympus,1'
check 'a correction is all it takes' all refused 10 "timezone 'Mars/Olympus'" -- \
    edit orgs.csv 4d -- expect 0 run "${options[@]}" --source "$dataset" --run-dir "$world/run"

# --- what is no error, but may be a slip of the pen ---

begin
printf 'org_id,metric,soft_limit\nalder,tokenz,5\nalder,tokens,5\nbirch,tokenz,5\n' >"$dataset/limits.csv"
check 'limits of metrics without a price are told' all \
    expect 0 run "${options[@]}" --source "$dataset" --run-dir "$world/run" -- \
    error_says 'limits.csv' 'no effect: 2' 'alder, tokenz'

finish
