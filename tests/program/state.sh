#!/usr/bin/env bash
# What a run finds on the disk: a run directory of other inputs, one in use, one that was damaged, a
# full disk; and input that is enormous.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tiny=$root/tests/program/datasets/tiny
options=(--period 2025-03 --cutoff 2025-04-05T00:00:00Z --now 2025-04-05T00:00:00Z)
run=$scratch/run

close_tiny() { # close_tiny STATUS RUN OPTION...: options given again win
    local expected=$1 directory=$2
    shift 2
    expect "$expected" run --source "$tiny" --run-dir "$directory" "$@"
}

# --- a run directory of other inputs: 13, both values shown ---

refused_as_other() { # TEXT TEXT -- OPTION...
    local texts=() before
    while [ "$1" != -- ]; do
        texts+=("$1")
        shift
    done
    shift
    before=$(stat_tree "$run")
    expect 13 run --run-dir "$run" "$@" && error_says "${texts[@]}" &&
        diff <(echo "$before") <(stat_tree "$run")
}

cutoff=(--cutoff 2025-04-05T00:00:00Z)
check 'a small dataset closes' close_tiny 0 "$run" "${options[@]}"
check 'another period is refused, both are shown' refused_as_other 2025-03 2025-04 -- \
    --source "$tiny" --period 2025-04 "${cutoff[@]}"
check 'another cutoff is refused, both are shown' refused_as_other \
    2025-04-05T00:00:00Z 2025-04-06T00:00:00Z -- \
    --source "$tiny" --period 2025-03 --cutoff 2025-04-06T00:00:00Z
check 'another choice of orgs is refused' refused_as_other alder -- \
    --source "$tiny" "${options[@]}" --org alder
cp -r "$tiny" "$scratch/edited"
echo 'alder,tokens,1,2025-03-06T10:00:00Z,e5,,,' >>"$scratch/edited/usage.csv"
check 'a source with another row is refused' refused_as_other usage.csv '250 bytes' '292 bytes' -- \
    --source "$scratch/edited" "${options[@]}"
cp -r "$tiny" "$scratch/more"
cp "$tiny/usage.csv" "$scratch/more/usage_more.csv"
check 'a source with another file is refused' refused_as_other usage_more.csv -- \
    --source "$scratch/more" "${options[@]}"
cp -r "$tiny" "$scratch/moved"
check 'a source that moved is the same source' expect 0 run --run-dir "$run" \
    --source "$scratch/moved" "${options[@]}"
check 'what is not given again is as it was pinned' expect 0 run --run-dir "$run"
mkdir "$scratch/home"
echo precious >"$scratch/home/letter.txt"
check 'a folder of other things is no run directory' all close_tiny 13 "$scratch/home" \
    "${options[@]}" -- test "$(ls "$scratch/home")" = letter.txt
echo precious >"$scratch/file"
check 'a file is no run directory' all close_tiny 30 "$scratch/file" "${options[@]}" -- \
    grep -qx precious "$scratch/file"

ln -s nowhere "$scratch/link"
check 'nor is a link that leads nowhere' all close_tiny 30 "$scratch/link" "${options[@]}" -- \
    error_says "'$scratch/link': it is a link to a folder that is not there" -- \
    test ! -e "$scratch/nowhere"

# --- what is refused before anything was done leaves nothing, and moves nothing ---

leaves_nothing() { # STATUS OPTION...
    local expected=$1
    shift
    expect "$expected" run --run-dir "$scratch/in/vain/run" --period 2025-03 "$@" &&
        [ ! -e "$scratch/in" ] || return 1
    expect "$expected" run --run-dir "$scratch/in/vain/run" --period 2025-03 "$@" --dry-run &&
        [ ! -e "$scratch/in" ]
}
check 'a source that is not there leaves no run directory' leaves_nothing 10 --source "$scratch/none"
check 'nor does a file as source' leaves_nothing 10 --source "$scratch/file"
check 'nor no source' leaves_nothing 2
check 'nor a database that is not there' leaves_nothing 20 --database "host=$scratch/none"
check 'nor a word that is none' leaves_nothing 2 --source "$tiny" --emit pigeon
check 'nor an option that means nothing' leaves_nothing 2 --source "$tiny" --batch lines

restart_in_vain() {
    local before
    before=$(stat_tree "$run")
    expect 10 run --run-dir "$run" --restart --period 2025-03 --source "$scratch/none" &&
        expect 2 run --run-dir "$run" --restart --emit pigeon && diff <(echo "$before") \
        <(stat_tree "$run") && [ ! -e "$run.1" ]
}
check 'a restart that is refused leaves the run where it is' restart_in_vain

died_at_once() {
    mkdir "$scratch/early"
    touch "$scratch/early/lock" "$scratch/early/manifest.json.tmp"
    expect 13 status "$scratch/early" && error_says 'no run has begun in it' &&
        expect 2 run --run-dir "$scratch/early" && error_says '--period YYYY-MM is required' &&
        close_tiny 0 "$scratch/early" "${options[@]}" --restart && [ ! -e "$scratch/early.1" ]
}
check 'a start that died before its manifest left no run, and says so' died_at_once

# --- a byte flipped in any file: 12, naming it ---

flip() { # FILE OFFSET
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    printf '%b' "\\x$(printf %02x $((byte ^ 1)))" |
        dd of="$1" bs=1 seek="$2" count=1 conv=notrunc status=none
}

finds_flip() { # COPY-OF-RUN FILE OFFSET COMMAND...
    local directory=$1 file=$2 offset=$3
    shift 3
    flip "$directory/$file" "$offset"
    expect 12 "$@" && error_says "$(basename "$file")"
    local result=$?
    flip "$directory/$file" "$offset"
    return "$result"
}

finds_every_flip() { # RUN COMMAND...: a byte near the begin, the middle and the end of each file
    local directory=$1 file size offset count=0
    shift
    while IFS= read -r -d '' file; do
        size=$(stat -c %s "$directory/$file")
        [ "$size" -gt 0 ] || continue
        for offset in $((size / 9)) $((size / 2)) $((size - 2)); do
            finds_flip "$directory" "$file" "$offset" "$@" || {
                echo "in $file, at $offset"
                return 1
            }
            count=$((count + 1))
        done
    done < <(cd "$directory" && find . -type f ! -name lock ! -name progress.json -print0 | sort -z)
    echo "# $count bytes flipped for: $1" >&3
    [ "$count" -gt 60 ]
}

exec 3>&1
check 'a byte flipped in any file is found by run, which names the file' \
    finds_every_flip "$run" run --run-dir "$run"
check 'a byte flipped in any file is found by verify, which names the file' \
    finds_every_flip "$run" verify "$run"
check 'with every byte flipped back the run is whole' expect 0 verify "$run"

# A replay reads whole what its stages read, before it begins; what they do not is found by verify.
replay_finds() { # FILE STATUS: a flipped byte of it, by replay --from rate
    local copy=$scratch/flipped offset
    rm -rf "$copy" "$copy.again"
    cp -r "$run" "$copy"
    offset=$(($(stat -c %s "$copy/$1") / 2))
    flip "$copy/$1" "$offset"
    expect "$2" replay "$copy" --from rate --run-dir "$copy.again" || return 1
    if [ "$2" -eq 12 ]; then
        error_says "$1" && [ ! -e "$copy.again" ]
    else
        expect 12 verify "$copy.again" && error_says "$1"
    fi
}
check 'a byte flipped in moments that project reads is found before a replay begins' \
    replay_finds 20-meter/moments.arrow 12
check 'a replay goes by a byte flipped in days, which only meter reads; verify finds it' \
    replay_finds 10-extract/days.arrow 0
check 'a replay goes by a byte flipped in series, which it does not read; verify finds it' \
    replay_finds 10-extract/series.arrow 0

cut_file() {
    local result=0
    cp "$1" "$scratch/whole"
    truncate -s -1 "$1"
    expect 12 run --run-dir "$run" && error_says "$(basename "$1")" || result=1
    rm "$1"
    expect 12 run --run-dir "$run" && error_says "$(basename "$1")" || result=1
    cp "$scratch/whole" "$1"
    return "$result"
}
first_table=$(find "$run"/10-* -name '*.arrow' | sort | head -n 1)
check 'a checkpoint that is cut or missing is named' cut_file "$first_table"
check 'a manifest that is cut is named' cut_file "$run/manifest.json"

# --- a run directory in use: 11, naming who ---

node "$root/tests/program/make_rows.mjs" "$scratch/rows" 300000

# Starts a close in the background and stops it (SIGSTOP) while it has the lock; its pid in $first.
stop_inside() {
    local try
    for try in {1..25}; do
        rm -rf "$scratch/used"
        "$program" run --source "$scratch/rows" --run-dir "$scratch/used" "${options[@]}" \
            >/dev/null 2>&1 &
        first=$!
        while ! [ -s "$scratch/used/manifest.json" ] && kill -0 "$first" 2>/dev/null; do :; done
        kill -STOP "$first" 2>/dev/null && ! [ -d "$scratch/used/reports" ] && return
        kill -CONT "$first" 2>/dev/null
        wait "$first"
    done
    echo "the first process was too fast, $try times"
    return 1
}

second_is_refused() {
    expect 11 run --source "$scratch/rows" --run-dir "$scratch/used" "${options[@]}" &&
        error_says "$first" && expect 0 status "$scratch/used" && grep -q 'at work' "$scratch/out"
}

first_finishes() {
    kill -CONT "$first"
    wait "$first" || return 1
    expect 0 run --run-dir "$scratch/used"
}

first=0
check 'a run is stopped while it works' stop_inside
check 'a second process on its directory is refused, and told of the first' second_is_refused
check 'a restart of a directory in use is refused too' expect 11 run --restart \
    --source "$scratch/rows" --run-dir "$scratch/used" "${options[@]}"
check 'the first one finishes when it goes on' first_finishes

# --- enormous input, in bounded memory ---

# With 120 MB of data (anonymous memory) at most.
bounded() {
    (
        ulimit -d 122880
        "$@"
    )
}

mkdir "$scratch/long"
cp "$tiny"/*.csv "$scratch/long"
{
    head -n 1 "$tiny/usage.csv"
    printf 'alder,tokens,1,2025-03-03T10:00:00Z,'
    head -c 200000000 /dev/zero | tr '\0' x
    printf ',,,\n'
} >"$scratch/long/usage_long.csv"
check 'a line of 200 MB is refused in bounded memory' all \
    bounded expect 10 run --source "$scratch/long" --run-dir "$scratch/run-long" "${options[@]}" \
    --jobs 1 --memory 32M -- error_says 'usage_long.csv:2: event_id' '1048576 bytes'
head -n 1 "$tiny/usage.csv" >"$scratch/long/usage_long.csv"
truncate -s 1G "$scratch/long/usage_long.csv"
check 'a line of 1 GB, a hole in the file, is refused in bounded memory' all \
    bounded expect 10 run --source "$scratch/long" --run-dir "$scratch/run-hole" "${options[@]}" \
    --jobs 1 --memory 32M -- error_says 'usage_long.csv:2: org_id' '1048576 bytes'
rm -r "$scratch/long"

# --- a full disk: 30; with room again the run goes on ---

# Runs on a file system of its own of SIZE kB; prints the exit status; then gives it room, runs
# again, and leaves the run directory at COPY. Needs a namespace to mount in.
on_small_disk() { # SIZE COPY
    mkdir -p "$scratch/disk"
    # shellcheck disable=SC2016 # the inner shell expands
    unshare -rm bash -c '
        size=$1 copy=$2 disk=$3 program=$4
        shift 4
        mount -t tmpfs -o "size=${size}k" tmpfs "$disk" || exit 99
        "$program" run --run-dir "$disk/run" "$@" >"$disk.out" 2>"$disk.err"
        echo $?
        mount -o remount,size=64m "$disk" || exit 99
        "$program" run --run-dir "$disk/run" "$@" >/dev/null 2>"$disk.again" || exit 98
        cp -r "$disk/run" "$copy"' bash "$1" "$2" "$scratch/disk" "$program" \
        --source "$tiny" "${options[@]}"
}

full_disks() {
    local size full=0 result
    for size in 8 16 32 48 64 80 96 112 128 160 192 224 256; do
        rm -rf "$scratch/from-disk"
        result=$(on_small_disk "$size" "$scratch/from-disk") || {
            echo "with $size kB: the second run failed"
            cat "$scratch/disk.again"
            return 1
        }
        case $result in
        30)
            full=$((full + 1))
            grep -q 'No space left' "$scratch/disk.err" || {
                echo "with $size kB: no word of the full disk"
                cat "$scratch/disk.err"
                return 1
            }
            ;;
        0) ;;
        *)
            echo "with $size kB: exit $result"
            cat "$scratch/disk.err"
            return 1
            ;;
        esac
        same_run "$run" "$scratch/from-disk" || return 1
    done
    echo "# the disk was full with $full of 13 sizes" >&3
    [ "$full" -ge 3 ]
}

# What only looks is for those, too, who may not write there.
on_readonly_disk() { # COMMAND ARGUMENT...: of the run at $scratch/disk/run
    # shellcheck disable=SC2016 # the inner shell expands
    timeout 60 unshare -rm bash -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 99
        shift
        exec "$@"' bash "$scratch/disk" "$program" "$@" >"$scratch/out" 2>"$scratch/err" || {
        echo "$*: exit $?"
        cat "$scratch/err"
        return 1
    }
}
looks_on_readonly() {
    rm -rf "$scratch/disk" && mkdir "$scratch/disk" && cp -r "$run" "$scratch/disk/run" || return 1
    on_readonly_disk status "$scratch/disk/run" && on_readonly_disk verify "$scratch/disk/run" &&
        on_readonly_disk explain "$scratch/disk/run" --org alder &&
        on_readonly_disk inspect "$scratch/disk/run/rate/charges" &&
        on_readonly_disk summary "$scratch/disk/run" --org alder &&
        on_readonly_disk diff "$scratch/disk/run" "$run"
}

if unshare -rm mount -t tmpfs tmpfs "$scratch/home" 2>/dev/null; then
    rm -rf "$run"
    check 'a small dataset closes again' close_tiny 0 "$run" "${options[@]}"
    check 'what only looks needs no right to write' looks_on_readonly
    check 'a full disk ends the run with 30; with room it goes on to the same bytes' full_disks
else
    echo '# skipped, for want of the right to mount: a full disk, a read-only one'
fi

finish
