# Prints what the benchmark measured, and what of it reaches the goals.
#
#     awk -v runs=N -v events_memory_mb=N -f summary.awk FACTS STAGES RESULTS
#
# FACTS: part, bytes, rows. STAGES: part, jobs, stage, elapsed us, rows, bytes (tabs).
# RESULTS: part, measurement, wall us, cpu us, anonymous KB (tabs).

function median(list, values, count, i, j, swap) {
    count = split(list, values, " ")
    for (i = 2; i <= count; i++)
        for (j = i; j > 1 && values[j] + 0 < values[j - 1] + 0; j--) {
            swap = values[j]
            values[j] = values[j - 1]
            values[j - 1] = swap
        }
    return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}

function wall(key) { return median(walls[key]) / 1e6 }
function cpu(key) { return median(cpus[key]) / 1e6 }
function has(key) { return key in walls }

function goal(text, value, limit, unit) {
    printf "  %-66s %8.2f%s  goal %6.2f%s  %s\n", text, value, unit, limit, unit,
        value <= limit ? "reached" : sprintf("missed: %.2f times the goal", value / limit)
}

function ratio(text, key, yardstick, limit) {
    if (has(key) && has(yardstick)) goal(text, wall(key) / wall(yardstick), limit, " x")
}

function cpu_ratio(text, key, yardstick, limit) {
    if (has(key) && has(yardstick)) goal(text, cpu(key) / cpu(yardstick), limit, " x")
}

function memory(text, key, limit) {
    if (has(key)) goal(text, anon[key] / 1024, limit, " MB")
}

function print_table(i, key, part, yard) {
    printf "\nMedians of %d, wall seconds; memory is anonymous, the highest seen.\n\n", runs
    printf "  %-8s %-28s %9s %8s %12s %8s %9s %8s\n", "files", "what", "seconds", "MB/s", "rows/s",
        "CPU s", "memory MB", "x bare"
    for (i = 1; i <= keys_count; i++) {
        key = keys[i]
        part = part_of[key]
        if (name_of[key] ~ /^stage /) continue
        yard = part SUBSEP "bare libcsv pass"
        printf "  %-8s %-28s %9.2f %8.0f %12.0f %8.2f %9.1f %8.2f\n", part, name_of[key], wall(key),
            bytes[part] / 1e6 / wall(key), rows[part] / wall(key), cpu(key), anon[key] / 1024,
            wall(key) / wall(yard)
    }
}

# Rows and bytes are those that extract read, and those that every other stage left.
function print_stages(i, key, fields, seconds, peak) {
    printf "\nPer stage: extract by what it read, the others by what they left. Seconds are medians of the\ncloses above; memory is from one close stage by stage.\n\n"
    printf "  %-8s %4s  %-8s %9s %10s %9s %12s %9s\n", "files", "jobs", "stage", "seconds", "rows",
        "MB/s", "rows/s", "memory MB"
    for (i = 1; i <= stages_count; i++) {
        key = stage_keys[i]
        split(key, fields, SUBSEP)
        if (fields[1] == "replay" && fields[3] ~ /^(extract|meter)$/) continue # taken as they are
        if (fields[3] == "extract") {
            stage_rows[key] = rows[fields[1]]
            stage_bytes[key] = bytes[fields[1]]
        }
        seconds = median(stage_us[key]) / 1e6
        peak = fields[1] SUBSEP "stage " fields[3]
        printf "  %-8s %4s  %-8s %9.2f %10d %9.0f %12.0f %9s\n", fields[1], fields[2], fields[3],
            seconds, stage_rows[key], seconds ? stage_bytes[key] / 1e6 / seconds : 0,
            seconds ? stage_rows[key] / seconds : 0,
            fields[2] == 1 && has(peak) ? sprintf("%.1f", anon[peak] / 1024) : ""
    }
}

function print_goals(bare, one, two) {
    printf "\nGoals\n\n"
    bare = "org" SUBSEP "bare libcsv pass"
    one = "org" SUBSEP "close, 1 job"
    two = "org" SUBSEP "close, 2 jobs"
    ratio("org order, 1 job, of the bare pass", one, bare, 0.8)
    ratio("org order, 2 jobs, of the bare pass", two, bare, 0.5)
    ratio("random order, 1 job, of the bare pass", "random" SUBSEP "close, 1 job",
        "random" SUBSEP "bare libcsv pass", 1.4)
    ratio("random order, 2 jobs, of the bare pass", "random" SUBSEP "close, 2 jobs",
        "random" SUBSEP "bare libcsv pass", 0.85)
    ratio("org order, 2 jobs, of DuckDB's time with 2 threads", two, "org" SUBSEP "DuckDB, 2 threads",
        1 / 3)
    cpu_ratio("org order, 1 job, of DuckDB's CPU", one, "org" SUBSEP "DuckDB, 2 threads", 1 / 3)
    cpu_ratio("org order, 2 jobs, of DuckDB's CPU", two, "org" SUBSEP "DuckDB, 2 threads", 1 / 3)
    memory("org order, 1 job, memory", one, 160)
    memory("org order, 2 jobs, memory", two, 160)
    memory("random order, 1 job, memory", "random" SUBSEP "close, 1 job", 160)
    memory("random order, 2 jobs, memory", "random" SUBSEP "close, 2 jobs", 160)
    # "The same" and "twice" with a tenth for noise.
    ratio("twice the events, 1 job, of the time of once", "double" SUBSEP "close, 1 job", one, 2.2)
    ratio("twice the events, 2 jobs, of the time of once", "double" SUBSEP "close, 2 jobs", two, 2.2)
    if (has("double" SUBSEP "close, 1 job"))
        goal("twice the events, 1 job, of the memory of once",
            anon["double" SUBSEP "close, 1 job"] / anon[one], 1.1, " x")
    if (has("double" SUBSEP "close, 2 jobs"))
        goal("twice the events, 2 jobs, of the memory of once",
            anon["double" SUBSEP "close, 2 jobs"] / anon[two], 1.1, " x")
    ratio("replay --from rate, 1 job, of the bare pass", "org" SUBSEP "replay --from rate, 1 job",
        bare, 0.15)
    ratio("replay --from rate, 2 jobs, of the bare pass", "org" SUBSEP "replay --from rate, 2 jobs",
        bare, 0.15)
    memory("event ids, 1 job, memory within --memory", "events" SUBSEP "close, 1 job",
        events_memory_mb)
    memory("event ids, 2 jobs, memory within --memory", "events" SUBSEP "close, 2 jobs",
        events_memory_mb)
    ratio("event ids, 1 job, of DuckDB's time with 2 threads", "events" SUBSEP "close, 1 job",
        "events" SUBSEP "DuckDB, its own memory", 1)
    ratio("event ids, 2 jobs, of DuckDB's time with 2 threads", "events" SUBSEP "close, 2 jobs",
        "events" SUBSEP "DuckDB, its own memory", 1)
}

FILENAME == ARGV[1] {
    split($0, fact, " ")
    bytes[fact[1]] = fact[2]
    rows[fact[1]] = fact[3]
    next
}

FILENAME == ARGV[2] {
    split($0, part, "\t")
    key = part[1] SUBSEP part[2] SUBSEP part[3]
    if (!(key in stage_us)) stage_keys[++stages_count] = key
    stage_us[key] = stage_us[key] " " part[4]
    stage_rows[key] = part[5]
    stage_bytes[key] = part[6]
    next
}

{
    split($0, part, "\t")
    key = part[1] SUBSEP part[2]
    if (!(key in walls)) {
        keys[++keys_count] = key
        part_of[key] = part[1]
        name_of[key] = part[2]
    }
    walls[key] = walls[key] " " part[3]
    cpus[key] = cpus[key] " " part[4]
    if (part[5] + 0 > anon[key] + 0) anon[key] = part[5]
}

END {
    print_table()
    print_stages()
    print_goals()
}
