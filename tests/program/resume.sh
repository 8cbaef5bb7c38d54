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

# A moment of the calm run, in seconds.
random_moment() {
    local at=$((RANDOM * calm_ms / 32768))
    printf '%d.%03d' $((at / 1000)) $((at % 1000))
}

ended_early=0

# Kills the run up to three times, then lets it finish.
killed_goes_on() {
    rm -rf "$run"
    local moment result times
    for times in 1 2 3; do
        moment=$(random_moment)
        result=0
        timeout --foreground -s KILL "$moment" "$program" run --run-dir "$run" "${rows_options[@]}" \
            >/dev/null 2>"$scratch/killed" || result=$?
        echo "killed $times: after $moment s, status $result"
        case $result in
        137) ended_early=$((ended_early + 1)) ;;
        0 | 124) ;; # 124: it ended by itself just as the signal came
        *)
            cat "$scratch/killed"
            return 1
            ;;
        esac
    done
    expect 0 run --run-dir "$run" "${rows_options[@]}" && same_run "$calm" "$run"
}

# The run answers SIGTERM (or SIGINT) with 40 and the next command, which finishes it.
stopped_goes_on() { # SIGNAL
    rm -rf "$run"
    local moment result=0
    moment=$(random_moment)
    timeout --foreground --preserve-status -k 20 -s "$1" "$moment" "$program" run --run-dir "$run" \
        "${rows_options[@]}" >/dev/null 2>"$scratch/err" || result=$?
    echo "SIG$1 after $moment s, status $result"
    case $result in
    40)
        ended_early=$((ended_early + 1))
        error_says "next: periodclose run --run-dir $run" || return 1
        ;;
    0) ;;
    143 | 130) ;; # before main had begun to listen
    *)
        cat "$scratch/err"
        return 1
        ;;
    esac
    expect 0 run --run-dir "$run" "${rows_options[@]}" && same_run "$calm" "$run"
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
echo "# ended early $ended_early times, of a run of $calm_ms ms"
check 'kills and stops did hit the run at work' test "$ended_early" -ge "$tries"
rm -rf "$rows" "$calm"

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
check 'a revision of a run of another period is refused' all \
    expect 13 run --run-dir "$scratch/june" --source "$acme/dataset" --period 2024-06 \
    --previous "$calm" -- error_says 2024-02 2024-06
check 'a revision of a run that is not finished is refused' all \
    rm -rf "$run" -- expect 0 run --run-dir "$run" "${acme_options[@]}" --until meter -- \
    expect 13 run --run-dir "$scratch/early" "${revision_options[@]}" --previous "$run"

finish
