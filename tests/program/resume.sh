#!/usr/bin/env bash
# A run that is killed or stopped anywhere goes on to the bytes of a calm run; and the other ways
# to take a run in parts: --until, --restart, --dry-run, --org, report, replay, diff, --previous.
#
#   SEED=1 TRIES=8: of the moments, and how many of each kind
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

RANDOM=${SEED:-1}
tries=${TRIES:-8}
acme=$root/fixtures/acme
rows=$scratch/rows
calm=$scratch/calm
run=$scratch/run

node "$root/tests/program/make_rows.mjs" "$rows" 1000000
rows_options=(--source "$rows" --period 2025-03 --cutoff 2025-04-05T00:00:00Z
    --now 2025-04-05T00:00:00Z --jobs 2)
args_of "$acme/args"
acme_options=("${args[@]}" --source "$acme/dataset")

# --- killed and stopped at random moments ---

milliseconds() {
    echo $(($(date +%s%N) / 1000000))
}

# Sets moment: one of the calm run, in seconds; not 0, which `timeout` takes for never. In this shell
# itself, since a subshell draws other numbers than SEED says.
draw_moment() {
    local at=$((1 + RANDOM * calm_ms / 32768))
    printf -v moment '%d.%03d' $((at / 1000)) $((at % 1000))
}

# A run that was over before its moment came took less time than the calm one, which the machine may
# have slowed down: moments are drawn from that time from now on.
note_run_over() {
    local took_ms=$(($(milliseconds) - run_began))
    [ "$took_ms" -ge "$calm_ms" ] || calm_ms=$took_ms
}

ended_early=0

# What goes on with a run, or begins it: once there is a manifest, its directory is all to be named.
goes_on_with() {
    words=(run --run-dir "$run")
    [ -f "$run/manifest.json" ] || words+=("${rows_options[@]}")
}

# Kills the run up to three times, then lets it finish.
killed_goes_on() {
    rm -rf "$run"
    local moment result times words
    for times in 1 2 3; do
        draw_moment
        result=0
        goes_on_with
        run_began=$(milliseconds)
        timeout --foreground -s KILL "$moment" "$program" "${words[@]}" \
            >/dev/null 2>"$scratch/killed" || result=$?
        echo "killed $times: after $moment s, status $result"
        case $result in
        137) ended_early=$((ended_early + 1)) ;;
        0 | 124) # 124: it ended by itself just as the signal came
            [ "$times" -gt 1 ] || note_run_over
            ;;
        *)
            cat "$scratch/killed"
            return 1
            ;;
        esac
    done
    goes_on_with
    expect 0 "${words[@]}" && same_run "$calm" "$run"
}

# The run answers SIGTERM (or SIGINT) with 40 and the next command, which finishes it.
stopped_goes_on() { # SIGNAL
    rm -rf "$run"
    local moment words result=0
    draw_moment
    run_began=$(milliseconds)
    timeout --foreground --preserve-status -k 60 -s "$1" "$moment" "$program" run --run-dir "$run" \
        "${rows_options[@]}" >/dev/null 2>"$scratch/err" || result=$?
    echo "SIG$1 after $moment s, status $result"
    case $result in
    40)
        ended_early=$((ended_early + 1))
        error_says "next: periodclose run --run-dir $run" || return 1
        ;;
    0) note_run_over ;;
    143 | 130) ;; # before main had begun to listen
    *)
        cat "$scratch/err"
        return 1
        ;;
    esac
    goes_on_with
    expect 0 "${words[@]}" && same_run "$calm" "$run"
}

check 'a million rows close' expect 0 run --run-dir "$run" "${rows_options[@]}"
began=$(milliseconds)
check 'and again, now that files are in memory' expect 0 run --run-dir "$calm" \
    "${rows_options[@]}"
calm_ms=$(($(milliseconds) - began))
for ((try = 1; try <= tries; try++)); do
    check "killed at random moments, try $try: the run goes on to the same bytes" killed_goes_on
done
for ((try = 1; try <= tries; try++)); do
    check "stopped by SIGTERM, try $try: 40, the next command, the same bytes" stopped_goes_on TERM
done
check 'stopped by SIGINT: the same' stopped_goes_on INT
for ((try = 1; ended_early < tries && try <= 3 * tries; try++)); do
    check "the same once more, since hardly any was at work, try $try" killed_goes_on
done
echo "# ended early $ended_early times, of a run of $calm_ms ms"
check 'kills and stops did hit the run at work' test "$ended_early" -ge "$tries"

# Killed and stopped while it begins anew: what is told to type does not begin anew again.
restart_goes_on() { # SIGNAL STATUS
    rm -rf "$run" "$run".*
    cp -r "$calm" "$run"
    local moment words result=0
    draw_moment
    timeout --foreground --preserve-status -k 60 -s "$1" "$moment" "$program" run \
        --run-dir "$run" "${rows_options[@]}" --restart >/dev/null 2>"$scratch/err" || result=$?
    echo "SIG$1, status $result"
    if [ "$result" -eq 40 ] && [ -d "$run.1" ]; then
        ! tail -n 1 "$scratch/err" | grep -e --restart || return 1
        expect_told 0 || return 1
    elif [ "$result" -ne 0 ]; then # killed between the move and the first manifest: it was not begun
        goes_on_with
        expect 0 "${words[@]}" || return 1
    fi
    [ ! -e "$run.2" ] && same_run "$calm" "$run"
}
for ((try = 1; try <= tries; try++)); do
    check "a run that is begun anew is stopped, try $try: it goes on, and is not begun again" \
        restart_goes_on TERM
    check "the same, killed, try $try" restart_goes_on KILL
done
rm -rf "$rows" "$calm" "$run" "$run".*

# --- the small story, in parts ---

check 'acme closes' expect 4 run --run-dir "$calm" "${acme_options[@]}"
mapfile -t stages < <(stage_names "$calm")
check 'status tells seven stages' test "${stages[*]}" = \
    'extract meter rate project record emit report'

until_each_stage() {
    rm -rf "$run"
    local stage expected=0
    for stage in "${stages[@]::6}"; do
        [ "$stage" != record ] || expected=4 # from here on it is known what is set aside and held
        expect "$expected" run --run-dir "$run" "${acme_options[@]}" --until "$stage" || return 1
        ! compgen -G "$run/reports/*.csv" >/dev/null || {
            echo "there are reports after $stage"
            return 1
        }
    done
    expect 4 run --run-dir "$run" "${acme_options[@]}" && same_run "$calm" "$run"
}
check 'taken stage by stage, the run comes to the same bytes' until_each_stage

unchanged_by() { # STATUS ARGUMENT...
    local expected=$1 before
    shift
    before=$(stat_tree "$calm")
    expect "$expected" "$@" && diff <(echo "$before") <(stat_tree "$calm")
}
check 'typed again, a finished run changes no file, not even its time' \
    unchanged_by 4 run --run-dir "$calm" "${acme_options[@]}"
check 'and says the same' all cp "$scratch/out" "$scratch/first" -- \
    expect 4 run --run-dir "$calm" -- same_file "$scratch/first" "$scratch/out"
for command in status verify inspect; do
    check "$command changes no file" unchanged_by 0 "$command" "$calm"
done

restart() {
    rm -rf "$run" "$run".*
    cp -r "$calm" "$run"
    expect 4 run --run-dir "$run" "${acme_options[@]}" --restart && same_run "$calm" "$run.1" &&
        same_run "$calm" "$run" &&
        expect 4 run --run-dir "$run" "${acme_options[@]}" --restart && same_run "$calm" "$run.2"
}
check '--restart moves the old run aside, whole, and closes anew' restart

# What a run was begun with is known, wherever it is gone on with: a bad row stops it as a kill
# would, before anything is sealed.
begun_in_vain() { # RUN STATUS OPTION...: from the folder of the dataset's copy, by its name
    local directory=$1 expected=$2
    shift 2
    rm -rf "$directory" "$scratch/there"
    mkdir "$scratch/there"
    cp -r "$acme/dataset" "$scratch/there/shop"
    echo 'acme,tokens,many,2024-02-03T00:00:00Z' >"$scratch/there/shop/usage_more.csv"
    sed -i '1i org_id,metric,quantity,occurred_at' "$scratch/there/shop/usage_more.csv"
    (cd "$scratch/there" && expect "$expected" run --run-dir "$directory" "${args[@]}" \
        --source ./shop "$@") || return 1
    rm "$scratch/there/shop/usage_more.csv"
}

known_before_sealed() {
    begun_in_vain "$run" 10 && expect 0 status "$run" && expect_told 4 &&
        same_reports "$calm/reports" "$run/reports"
}
check 'a run that was stopped while it read knows period and source' known_before_sealed

until_is_kept() {
    begun_in_vain "$run" 10 --until rate && expect 0 run --run-dir "$run" &&
        error_says "stops after stage 'rate'" && [ ! -e "$run/50-record" ] && expect_told 4 &&
        same_reports "$calm/reports" "$run/reports"
}
check 'and that it was to stop after a stage' until_is_kept

# The source alone, from the environment of all starts, is no command that is typed anew.
environment_corrects_nothing() {
    begun_in_vain "$run" 10 --org acme --overage-billing false &&
        PERIODCLOSE_SOURCE=$scratch/there/shop expect 0 run --run-dir "$run" &&
        grep -q '^acme,.*,disabled,$' "$run/reports/overages.csv" &&
        ! grep -Ev '^(org_id|acme),' "$run/reports/overages.csv"
}
check 'and for whom, whatever names the source to all starts' environment_corrects_nothing

restart_alone() {
    rm -rf "$run" "$run".*
    expect 4 run --run-dir "$run" "${acme_options[@]}" --org acme --org suspended &&
        expect 4 run --run-dir "$run" --restart && error_says "moved the run that was there" &&
        same_reports "$run.1/reports" "$run/reports" &&
        expect 0 run --run-dir "$run" --restart --org acme --org sakura &&
        grep -q ^sakura, "$run/reports/usage.csv" && ! grep -q ^suspended, "$run/reports/usage.csv"
}
check '--restart alone begins anew what was there, with what is typed instead' restart_alone

restart_of_what() { # TEXT FOLDER
    expect 2 run --run-dir "$2" --restart && error_says --period --source "$1"
}
check '--restart alone of nothing is refused, and of what cannot be read' all \
    restart_of_what 'there is no run directory' "$scratch/nothing" -- test ! -e "$scratch/nothing" -- \
    mkdir "$scratch/begun" -- touch "$scratch/begun/lock" -- \
    restart_of_what 'no manifest.json' "$scratch/begun" -- \
    cp "$root/Makefile" "$scratch/begun/manifest.json" -- \
    restart_of_what manifest.json "$scratch/begun" -- \
    expect 4 run --run-dir "$scratch/begun" "${acme_options[@]}" --restart

# A kill between moving the run aside and the first manifest of the new one.
told_where_it_is() { # TEXT: what the hint says of the newest that stands beside $run
    expect 2 run --run-dir "$run" && error_says --period "$1" || return 1
    expect 2 run --run-dir "$run" --restart && error_says --period "$1"
}
moved_aside_alone() {
    rm -rf "$run" "$run".*
    expect 2 run --run-dir "$run" && ! error_says "$run.1" || return 1
    cp -r "$calm" "$run.1" && cp -r "$calm" "$run.2" || return 1
    told_where_it_is "$run.2 is a run that --restart moved aside: mv $run.2 $run, then periodclose run --run-dir $run --restart" &&
        mkdir "$run" && touch "$run/lock" &&
        told_where_it_is "$run.2 is a run that --restart moved aside: periodclose run --run-dir $run.2 goes on with it" &&
        rm -r "$run" && mv "$run.2" "$run" && expect 4 run --run-dir "$run" --restart &&
        same_reports "$calm/reports" "$run/reports"
}
check 'a restart that died after moving the run aside tells where that is' moved_aside_alone

source_is_gone() {
    rm -rf "$run"
    cp -r "$acme/dataset" "$scratch/passing"
    expect 0 run --run-dir "$run" "${args[@]}" --source "$scratch/passing" --until extract &&
        rm -r "$scratch/passing" && expect 4 run --run-dir "$run" &&
        error_says "$scratch/passing is not there any more" &&
        same_reports "$calm/reports" "$run/reports" &&
        expect 10 run --run-dir "$run" "${args[@]}" --source "$scratch/passing"
}
check 'a source that was read may go, if nobody names it' source_is_gone

dry_run() {
    rm -rf "$run" "$run".*
    local names
    expect 4 run --run-dir "$run" "${acme_options[@]}" --dry-run || return 1
    names=$(cd "$run" && echo *)
    [ "$names" = dry-run ] || {
        echo "there is $names"
        return 1
    }
    same_reports "$calm/reports" "$run/dry-run/reports" || return 1
    ! grep -qE '"name": "(record|emit)"' "$run/dry-run/manifest.json" || {
        echo 'stages that have effects are sealed'
        return 1
    }
    expect 4 run --run-dir "$run" "${acme_options[@]}" && rm -r "$run/dry-run" &&
        same_run "$calm" "$run"
}
check '--dry-run writes to RUN/dry-run alone and seals no stage with effects' dry_run

dry_run_alone() {
    rm -rf "$run"
    expect 0 run --run-dir "$run" "${acme_options[@]}" --until rate &&
        expect 4 run --run-dir "$run" --dry-run && same_reports "$calm/reports" \
        "$run/dry-run/reports" && grep -qF "\"cutoff\": \"2024-03-31" "$run/dry-run/manifest.json" &&
        expect 4 run --run-dir "$run" --dry-run --restart && [ ! -e "$run/dry-run.1" ] &&
        expect 4 run --run-dir "$run" && same_reports "$calm/reports" "$run/reports"
}
check '--dry-run alone shows what the run would come to' dry_run_alone

some_orgs() {
    rm -rf "$run"
    local reference_status=0
    expect 4 run --run-dir "$run" "${acme_options[@]}" --org acme --org suspended --org acme ||
        return 1
    node "$root/tests/reference/close.mjs" "${acme_options[@]}" --org acme --org suspended \
        --out "$scratch/expected" || reference_status=$?
    [ "$reference_status" -eq 4 ] && same_reports "$scratch/expected" "$run/reports" &&
        expect 0 verify "$run" && expect 2 run --run-dir "$scratch/nobody" "${acme_options[@]}" \
        --org nobody && error_says nobody
}
check '--org closes these orgs alone' some_orgs

report_before_recording() {
    rm -rf "$run"
    expect 0 run --run-dir "$run" "${acme_options[@]}" --until project && expect 0 report "$run" &&
        [ -s "$run/reports/overages.csv" ] && [ -s "$run/reports/usage.csv" ] &&
        same_file "$calm/reports/usage.csv" "$run/reports/usage.csv" &&
        expect 4 run --run-dir "$run" "${acme_options[@]}" && same_run "$calm" "$run"
}
check 'report before recording shows what there is, and the run goes on as if it had not been' \
    report_before_recording

# --- replay and what-if ---

# Stage folders and reports, without what tells of runs.
results_of() {
    (cd "$1" && find . -type f ! -name '*.json' ! -name lock -print0 | sort -z |
        xargs -0 sha256sum)
}

replay_from() { # STAGE
    rm -rf "$scratch/replay"
    unchanged_by 4 replay "$calm" --from "$1" --run-dir "$scratch/replay" &&
        diff <(results_of "$calm") <(results_of "$scratch/replay") &&
        expect 0 diff "$calm" "$scratch/replay" && expect 0 verify "$scratch/replay"
}
for stage in "${stages[@]:1}"; do
    check "replay from $stage gives the same bytes" replay_from "$stage"
done
check 'replay from extract is refused: it reads the source' \
    expect 2 replay "$calm" --from extract --run-dir "$scratch/other"

what_if() {
    mkdir -p "$scratch/prices"
    cp "$acme/dataset"/{plans,prices,tiers}.csv "$scratch/prices"
    sed -i 's/^starter,playbook_runs,sum,per_unit,50,,1,/starter,playbook_runs,sum,per_unit,50,,3,/' \
        "$scratch/prices/prices.csv"
    rm -rf "$scratch/replay"
    unchanged_by 4 replay "$calm" --from rate --run-dir "$scratch/replay" \
        --prices "$scratch/prices" &&
        grep -q '^acme,.*,playbook_runs,.*,75.00,' "$scratch/replay/reports/overages.csv" &&
        expect 1 diff "$calm" "$scratch/replay" && grep -q acme "$scratch/out" &&
        grep -q playbook_runs "$scratch/out" && ! grep -q sakura "$scratch/out"
}
check 'replay with other prices tells what would have been, and diff where' what_if
check 'a replay is no run to go on from' expect 13 run --run-dir "$scratch/replay" \
    "${acme_options[@]}"

# --- a revision ---

args_of "$acme/revision/args"
revision_options=("${args[@]}" --source "$acme/revision/dataset")

revision_in_parts() {
    rm -rf "$run" "$scratch/whole"
    unchanged_by 4 run --run-dir "$scratch/whole" "${revision_options[@]}" --previous "$calm" &&
        expect 0 run --run-dir "$run" "${revision_options[@]}" --previous "$calm" --until rate &&
        expect 4 run --run-dir "$run" && same_run "$scratch/whole" "$run" &&
        same_reports "$acme/revision/expected" "$run/reports"
}
check 'a revision in two parts is the revision in one, and leaves the run it revises alone' \
    revision_in_parts
base_is_moved() {
    rm -rf "$run" "$scratch/base" "$scratch/elsewhere"
    cp -r "$calm" "$scratch/base"
    expect 0 run --run-dir "$run" "${revision_options[@]}" --previous "$scratch/base" \
        --until meter && mv "$scratch/base" "$scratch/elsewhere" && expect 13 run --run-dir "$run" &&
        error_says "no longer there: '$scratch/base'" "--previous RUN" &&
        expect 13 run --run-dir "$run" "${revision_options[@]}" --previous "$scratch/base" &&
        expect 0 run --run-dir "$run" --previous "$scratch/elsewhere" --until rate &&
        expect 4 run --run-dir "$run" && same_reports "$scratch/whole/reports" "$run/reports" &&
        rm -r "$scratch/elsewhere" && expect 4 run --run-dir "$run"
}
check 'a revision whose run moved names it, goes on where it is now, and needs it no more when done' \
    base_is_moved
check 'a revision of a run that never was is bad input, and begins nothing' all \
    expect 10 run --run-dir "$scratch/vain" "${revision_options[@]}" --previous "$scratch/base" -- \
    error_says "no run directory '$scratch/base'" -- test ! -e "$scratch/vain"
check 'a revision of a run of another period is refused' all \
    expect 13 run --run-dir "$scratch/june" --source "$acme/dataset" --period 2024-06 \
    --previous "$calm" -- error_says 2024-02 2024-06
check 'a revision of a run that is not finished is refused' all \
    rm -rf "$run" -- expect 0 run --run-dir "$run" "${acme_options[@]}" --until meter -- \
    expect 13 run --run-dir "$scratch/early" "${revision_options[@]}" --previous "$run"

force_without_records() {
    rm -rf "$run"
    expect 2 run --run-dir "$run" "${revision_options[@]}" --previous "$calm" --force &&
        error_says "--force" "leave it out" && [ ! -e "$run" ] &&
        expect 0 run --run-dir "$run" "${revision_options[@]}" --previous "$calm" --until rate &&
        expect 2 run --run-dir "$run" --force && error_says "leave it out" &&
        expect 4 run --run-dir "$run" && same_reports "$scratch/whole/reports" "$run/reports"
}
check '--force is not for the revision of a run: it is refused' force_without_records

finish
