#!/usr/bin/env bash
# Shared by the whole-program tests: each sources this file, tells one "ok - " or "not ok - " line
# per fact, and ends with `finish`. What a failed fact saw follows its line, indented.
#
# The program is build/periodclose, or $PERIODCLOSE. Every script has a scratch folder of its own,
# removed when it ends; KEEP=1 keeps it.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=${PERIODCLOSE:-$root/build/periodclose}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/periodclose-test.XXXXXX")
seen=$scratch/seen.txt # what the fact being checked has to show when it fails
told_ok=0
told_not_ok=0
run_seconds_max=120
export LC_ALL=C
unset "${!PERIODCLOSE_@}"

clean_up() {
    if [ -n "${KEEP:-}" ]; then
        echo "# kept: $scratch"
    else
        rm -rf "$scratch"
    fi
}
trap clean_up EXIT

ok() {
    told_ok=$((told_ok + 1))
    echo "ok - $1"
}

not_ok() {
    told_not_ok=$((told_not_ok + 1))
    echo "not ok - $1"
    [ ! -s "$seen" ] || head -n 40 "$seen" | cut -c -400 | sed 's/^/    /'
}

# check SENTENCE COMMAND...: the command must succeed; its output is shown when it does not.
check() {
    local sentence=$1
    shift
    if "$@" >"$seen" 2>&1; then
        ok "$sentence"
    else
        not_ok "$sentence"
    fi
}

finish() {
    echo "# $(basename "$0"): $told_ok ok, $told_not_ok not ok"
    [ "$told_not_ok" -eq 0 ] && [ "$told_ok" -gt 0 ]
    exit
}

# Runs the program: stdout to $scratch/out, stderr to $scratch/err, exit status in $status.
periodclose() {
    status=0
    timeout -k 5 "$run_seconds_max" "$program" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
}

# expect STATUS ARGUMENT...: runs the program; false, with its output, for another exit status.
expect() {
    local expected=$1
    shift
    periodclose "$@"
    [ "$status" -eq "$expected" ] && return
    echo "periodclose $*"
    echo "exit $status, expected $expected"
    cat "$scratch/out" "$scratch/err"
    return 1
}

# expect_told STATUS: runs the command that the last one told to type next.
expect_told() {
    local told
    told=$(tail -n 1 "$scratch/err" | sed -n 's/^next: periodclose //p')
    [ -n "$told" ] || {
        echo "no next command is told"
        cat "$scratch/err"
        return 1
    }
    eval "expect $1 $told"
}

# error_says TEXT...: every text (a plain string) is on stderr.
error_says() {
    local text
    for text in "$@"; do
        if ! grep -qF -- "$text" "$scratch/err"; then
            echo "stderr does not say: $text"
            cat "$scratch/err"
            return 1
        fi
    done
}

# Types the next command that the last one told, as a shell takes it: a file to be read must be there,
# a command must succeed.
type_next() {
    local told
    told=$(tail -n 1 "$scratch/err" | sed -n 's/^next: //p')
    echo "typed: $told"
    case $told in
    'less '*) eval "test -f ${told#less }" ;;
    'periodclose '* | 'cp '*' && periodclose '*) eval "$told" && { [ "$status" -eq 0 ] || [ "$status" -eq 4 ]; } ;;
    *) false ;;
    esac || {
        cat "$scratch/err"
        return 1
    }
}

# next_works STATUS ARGUMENT...: the command that is told next can be typed.
next_works() {
    expect "$@" && type_next
}

# The options of a fixture: one word a line.
# shellcheck disable=SC2034 # args is the answer
args_of() {
    mapfile -t args <"$1"
}

# all COMMAND -- COMMAND -- ...: all of them, up to the first that fails.
all() {
    local words=()
    local word
    for word in "$@" --; do
        if [ "$word" != -- ]; then
            words+=("$word")
        elif [ ${#words[@]} -gt 0 ]; then
            "${words[@]}" || return 1
            words=()
        fi
    done
}

same_file() {
    cmp "$1" "$2" && return
    diff -a "$1" "$2" | head -n 20
    return 1
}

# exceptions.csv but for its column `detail`, which is prose.
same_exceptions() {
    local drop=$root/tests/program/drop_column.mjs
    node "$drop" detail <"$1" >"$scratch/left.csv" && node "$drop" detail <"$2" >"$scratch/right.csv" &&
        same_file "$scratch/left.csv" "$scratch/right.csv"
}

# same_reports EXPECTED REPORTS: every file of EXPECTED is in REPORTS with the same bytes.
same_reports() {
    local file
    for file in "$1"/*.csv; do
        if [ "$(basename "$file")" = exceptions.csv ]; then
            same_exceptions "$file" "$2/exceptions.csv" || return 1
        else
            same_file "$file" "$2/$(basename "$file")" || return 1
        fi
    done
}

# What a run directory holds, as "SHA-256  name" lines, without what tells of times and processes.
# manifest.json counts without elapsed times and without its own seal, which covers them.
run_bytes() {
    (
        cd "$1" || exit 1
        find . -type f ! -name progress.json ! -name lock ! -name manifest.json -print0 |
            sort -z | xargs -0 -r sha256sum
        [ ! -f manifest.json ] || grep -v -e elapsed_us -e '^  "sha256"' manifest.json | sha256sum
    )
}

# same_run A B: the same files with the same bytes.
same_run() {
    diff <(run_bytes "$1") <(run_bytes "$2")
}

# Names, sizes and times of everything below a folder, without lock and progress.
stat_tree() {
    find "$1" ! -name progress.json ! -name lock -printf '%P %s %T@ %i\n' | sort
}

# The stages, in order, as the program's own status tells them.
stage_names() {
    "$program" status "$1" --json 2>/dev/null |
        node -e 'let t = "";
            process.stdin.on("data", (d) => { t += d; }).on("end", () => {
                for (const { stage } of JSON.parse(t).stages) console.log(stage);
            });'
}

# --- a lock in the database that PG… names, at which the program is met: where it is to be killed, or
# --- another to come before it

# hold_lock STATEMENT: what it locks, until let_go.
hold_lock() {
    local answer
    coproc HOLDER { psql -X -q -At; }
    holder=$!
    echo "begin; set local statement_timeout = '60s'; $1 select 'held';" >&"${HOLDER[1]}"
    while read -r -t 90 -u "${HOLDER[0]}" answer; do
        [ "$answer" != held ] || return 0
    done
    return 1
}

let_go() {
    printf 'commit;\n\\q\n' >&"${HOLDER[1]}"
    wait "$holder"
}

# until_true SECONDS CONDITION: asked for in the server; false when it is not so by then.
until_true() {
    psql -X -q -At -v ON_ERROR_STOP=1 2>"$scratch/sql" <<WAIT
do \$\$
begin
    while clock_timestamp() < now() + interval '$1 seconds' loop
        perform pg_stat_clear_snapshot();
        if $2 then
            return;
        end if;
        perform pg_sleep(0.005);
    end loop;
    raise exception 'not so within $1 seconds';
end
\$\$;
WAIT
}

# until_waiting COUNT: so many runs wait for a lock.
until_waiting() {
    until_true 60 "$1 = (select count(distinct pid) from pg_stat_activity
        where application_name = 'periodclose' and wait_event_type = 'Lock')"
}

# until_gone: the server has seen the end of every run.
until_gone() {
    until_true 60 "not exists (select from pg_stat_activity where application_name = 'periodclose')"
}
