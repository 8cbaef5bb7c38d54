/* usage*.csv and seats.csv: which files there are, and their rows. */
#include <stdio.h>

#include "core/memory.h"
#include "usage_state.h"

enum { FILES_MAX = 60000 };

const struct csv_column usage_columns[USAGE_COLUMNS_COUNT] = {
    [USAGE_COLUMN_ORG_ID] = {"org_id", true},
    [USAGE_COLUMN_METRIC] = {"metric", true},
    [USAGE_COLUMN_QUANTITY] = {"quantity", true},
    [USAGE_COLUMN_OCCURRED_AT] = {"occurred_at", true},
    [USAGE_COLUMN_EVENT_ID] = {"event_id", false},
    [USAGE_COLUMN_KIND] = {"kind", false},
    [USAGE_COLUMN_UNIQUE_KEY] = {"unique_key", false},
    [USAGE_COLUMN_RECORDED_AT] = {"recorded_at", false},
};

const struct csv_column seats_columns[SEATS_COLUMNS_COUNT] = {
    [SEATS_COLUMN_ORG_ID] = {"org_id", true},
    [SEATS_COLUMN_USER_ID] = {"user_id", true},
    [SEATS_COLUMN_ROLE] = {"role", false},
    [SEATS_COLUMN_ASSIGNED_AT] = {"assigned_at", true},
    [SEATS_COLUMN_REVOKED_AT] = {"revoked_at", false},
};

/* --- which files -------------------------------------------------------------------------------
 */

/* Sizes are only for progress and for how many partitions to make: what is no file is told later.
 */
static uint64_t size_of(const struct usage *usage, const char *name) {
    struct err err = {0};
    char path[FILE_PATH_MAX];
    struct file file = FILE_CLOSED;
    enum path_kind kind;
    uint64_t size_bytes = 0;
    if (!path_format(path, &err, "%s/%s", usage->folder, name) ||
        !path_kind(usage->sys, path, &kind, &err) || kind != PATH_FILE ||
        !file_open_read(usage->sys, path, &file, &err) || !file_size(&file, &size_bytes, &err)) {
        size_bytes = 0;
    }
    file_abandon(&file);
    err_release(&err);
    return size_bytes;
}

static bool find_files(struct usage *usage, struct err *err) {
    struct directory_listing listing;
    if (!directory_list(usage->sys, usage->folder, &listing, err)) {
        return false;
    }
    usage->files = mem_alloc((listing.names_count + 1) * sizeof *usage->files);
    bool is_done = usage->files != NULL || err_memory(err, listing.names_count);
    for (size_t index = 0; is_done && index < listing.names_count; index++) {
        const char *name = listing.names[index];
        if (!dataset_is_usage_file(name)) {
            continue;
        }
        if (usage->files_count == FILES_MAX) {
            is_done = err_set(err, ERR_INPUT, "'%.700s' has more than %d usage files",
                              usage->folder, FILES_MAX);
            continue;
        }
        struct usage_file *file = &usage->files[usage->files_count++];
        (void)snprintf(file->name, sizeof file->name, "%s", name);
        usage->total_bytes += size_of(usage, name);
    }
    directory_release(&listing);
    return is_done;
}

/* So many that the distinct events of a partition fit in memory, if they are of common size. */
static void plan_partitions(struct usage *usage) {
    enum { ROW_BYTES_COMMON = 64, EVENT_BYTES = 80 };
    uint64_t events_bytes = usage->total_bytes / ROW_BYTES_COMMON * EVENT_BYTES;
    uint64_t count = events_bytes / (usage->memory_bytes / 4) + 1;
    count = count < usage->jobs * 2 ? usage->jobs * 2 : count;
    usage->partitions_count =
        count < usage->partitions_max ? (uint32_t)count : usage->partitions_max;
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* Files whose blocks were not read as the fingerprint's, as in little memory, are read again. */
static bool keep_fingerprint(struct usage *usage, const struct csv_file *csv,
                             const struct fingerprint *fingerprint, struct err *err) {
    struct dataset_file *kept = vector_add(&usage->fingerprints, err);
    if (kept == NULL) {
        return false;
    }
    if (!fingerprint_is_complete(fingerprint)) {
        return dataset_fingerprint_file(usage->sys, usage->folder, csv->name, usage->jobs, kept,
                                        err);
    }
    (void)snprintf(kept->name, sizeof kept->name, "%s", csv->name);
    kept->size_bytes = csv->size_bytes;
    kept->has_content = fingerprint_finish(fingerprint, &kept->content, err);
    return kept->has_content;
}

const struct dataset_file *usage_fingerprints(const struct usage *usage, size_t *count) {
    *count = usage->fingerprints.count;
    return usage->fingerprints.items;
}

static bool read_file(struct usage *usage, const char *name, uint32_t file_index,
                      const struct csv_column *columns, size_t columns_count, feed_function *take,
                      struct problems *problems, struct err *err) {
    struct csv_file csv;
    bool is_found;
    if (!csv_open(usage->sys, usage->folder, name, columns, columns_count, false, &csv, &is_found,
                  problems, err)) {
        return false;
    }
    if (!is_found) {
        return true;
    }
    for (size_t job = 0; job < usage->jobs; job++) {
        usage->feeds[job].file_name = name;
        usage->feeds[job].file_index = file_index;
    }
    struct fingerprint fingerprint;
    bool is_done = fingerprint_init(&fingerprint, csv.size_bytes, err) &&
                   usage_read_blocks(usage, &csv, take, &fingerprint, err) &&
                   usage_merge_problems(usage, problems, err) &&
                   keep_fingerprint(usage, &csv, &fingerprint, err);
    fingerprint_release(&fingerprint);
    csv_close(&csv);
    return is_done;
}

bool usage_read_csv(struct usage *usage, struct problems *problems, struct err *err) {
    if (!find_files(usage, err)) {
        return false;
    }
    plan_partitions(usage);
    for (uint32_t index = 0; index < usage->files_count; index++) {
        if (!read_file(usage, usage->files[index].name, index, usage_columns, USAGE_COLUMNS_COUNT,
                       feed_row, problems, err)) {
            return false;
        }
    }
    return true;
}

bool usage_read_seats_csv(struct usage *usage, struct problems *problems, struct err *err) {
    return !usage->catalog->has_seats_file ||
           read_file(usage, "seats.csv", 0, seats_columns, SEATS_COLUMNS_COUNT, feed_seat, problems,
                     err);
}

/* --- rows that disagree ------------------------------------------------------------------------
 */

struct telling {
    struct usage *usage;
    struct problems *problems;
    const struct conflict *next; /* in order of where */
    const struct conflict *end;  /* of this file's */
};

/* An event's id was not kept: the row has it. */
static bool tell_conflict(void *context, const struct csv_row *row, struct err *err) {
    struct telling *telling = context;
    for (; telling->next < telling->end && row_line(telling->next->where) <= row->line;
         telling->next++) {
        const struct conflict *conflict = telling->next;
        if (!problems_add(
                telling->problems, telling->usage->files[row_file(conflict->where)].name,
                row_line(conflict->where), "event_id", row->fields[USAGE_COLUMN_EVENT_ID], err,
                "is an event that %s:%llu has with another metric, kind, quantity, time or "
                "unique_key",
                telling->usage->files[row_file(conflict->other)].name,
                (unsigned long long)row_line(conflict->other))) {
            return false;
        }
    }
    return true;
}

static bool tell_of_file(struct telling *telling, const char *name, struct err *err) {
    struct csv_file csv;
    bool is_found;
    if (!csv_open(telling->usage->sys, telling->usage->folder, name, usage_columns,
                  USAGE_COLUMNS_COUNT, false, &csv, &is_found, telling->problems, err)) {
        return false;
    }
    if (!is_found) {
        return true;
    }
    struct csv_range range = {
        .from = csv.layout.rows_offset,
        .until = UINT64_MAX,
        .line = csv.layout.rows_line,
    };
    bool is_done = csv_read(&csv, range, tell_conflict, telling, telling->problems, NULL, err);
    csv_close(&csv);
    return is_done;
}

bool usage_tell_conflicts(struct usage *usage, struct problems *problems, struct err *err) {
    struct conflicts *conflicts = &usage->conflicts;
    conflicts_unite(conflicts);
    struct telling telling = {.usage = usage, .problems = problems, .next = conflicts->rows};
    const struct conflict *end = conflicts->rows + conflicts->count;
    while (telling.next < end) {
        uint32_t file = row_file(telling.next->where);
        telling.end = telling.next;
        while (telling.end < end && row_file(telling.end->where) == file) {
            telling.end++;
        }
        if (!tell_of_file(&telling, usage->files[file].name, err)) {
            return false;
        }
        telling.next = telling.end;
    }
    return true;
}

/* --- a seat ------------------------------------------------------------------------------------
 */

bool feed_refuse_seat(struct usage_feed *feed, const struct feed_line *row,
                      enum seats_column column, const char *reason, struct err *err) {
    return problems_add(feed->problems, feed->file_name, row->line, seats_columns[column].name,
                        row->fields[column], err, "%s", reason);
}

/* Judges the two instants; *is_bad when one is. */
static bool judge_seat_times(struct usage_feed *feed, const struct feed_line *row,
                             struct instant *assigned_at, struct instant *revoked_at, bool *is_bad,
                             struct err *err) {
    const struct text *fields = row->fields;
    const char *reason = fields[SEATS_COLUMN_ASSIGNED_AT].size_bytes == 0
                             ? "is not given"
                             : instant_parse(fields[SEATS_COLUMN_ASSIGNED_AT], assigned_at);
    if (reason != NULL) {
        *is_bad = true;
        if (!feed_refuse_seat(feed, row, SEATS_COLUMN_ASSIGNED_AT, reason, err)) {
            return false;
        }
    }
    bool is_assigned = reason == NULL;
    reason = fields[SEATS_COLUMN_REVOKED_AT].size_bytes == 0
                 ? NULL
                 : instant_parse(fields[SEATS_COLUMN_REVOKED_AT], revoked_at);
    if (reason == NULL && is_assigned && instant_compare(*revoked_at, *assigned_at) < 0) {
        reason = "is before assigned_at";
    }
    if (reason != NULL) {
        *is_bad = true;
        return feed_refuse_seat(feed, row, SEATS_COLUMN_REVOKED_AT, reason, err);
    }
    return true;
}

/* An org with a seat active in its period cannot be passed over for having no plan. */
static void mark_active_seat(const struct usage_feed *feed, const struct seat_record *seat) {
    const struct feed_org *org = &feed->org;
    int64_t end_us = org->start_us + (int64_t)org->length_us;
    if (org->org->plan == NULL && seat->assigned_at_us < seat->revoked_at_us &&
        seat->assigned_at_us < end_us && seat->revoked_at_us > org->start_us) {
        catalog_mark_active(feed->usage->catalog, org->rank);
    }
}

bool feed_judge_seat(struct usage_feed *feed, const struct feed_line *row, bool *is_bad,
                     struct err *err) {
    const char *reason = "is not given";
    *is_bad = true;
    if (row->fields[SEATS_COLUMN_ORG_ID].size_bytes > 0) {
        *is_bad = row->rank == CATALOG_NONE;
        /* Where rows of orgs were bad, it may be one of those, which are told. */
        reason = *is_bad && !feed->usage->catalog->is_incomplete ? "is not in orgs.csv" : NULL;
    }
    if (reason != NULL && !feed_refuse_seat(feed, row, SEATS_COLUMN_ORG_ID, reason, err)) {
        return false;
    }
    if (row->fields[SEATS_COLUMN_USER_ID].size_bytes == 0) {
        *is_bad = true;
        return feed_refuse_seat(feed, row, SEATS_COLUMN_USER_ID, "is not given", err);
    }
    return true;
}

bool feed_take_seat(struct usage_feed *feed, const struct feed_line *row,
                    struct instant assigned_at, struct instant revoked_at, struct err *err) {
    struct text user_id = row->fields[SEATS_COLUMN_USER_ID];
    struct text role = row->fields[SEATS_COLUMN_ROLE];
    const struct seat_record seat = {
        .assigned_at_us = assigned_at.us,
        .revoked_at_us = revoked_at.us,
        .org = row->rank,
        .user_id_bytes = (uint32_t)user_id.size_bytes,
        .role_bytes = (uint32_t)role.size_bytes,
    };
    if (row->rank == CATALOG_NOT_SELECTED) {
        return true;
    }
    if (row->rank != feed->org.rank) {
        feed_look_at_org(feed, row->rank);
    }
    mark_active_seat(feed, &seat);
    uint32_t bucket = feed->org.place.bucket;
    return feed_append(feed, STREAM_SEATS, bucket, &seat, sizeof seat, err) &&
           feed_append(feed, STREAM_SEATS, bucket, user_id.bytes, user_id.size_bytes, err) &&
           feed_append(feed, STREAM_SEATS, bucket, role.bytes, role.size_bytes, err);
}

bool feed_seat(struct usage_feed *feed, const struct feed_line *row, bool is_padded,
               struct err *err) {
    struct instant assigned_at = {0};
    struct instant revoked_at = {INT64_MAX};
    bool is_bad;
    (void)is_padded;
    if (!feed_judge_seat(feed, row, &is_bad, err) ||
        !judge_seat_times(feed, row, &assigned_at, &revoked_at, &is_bad, err)) {
        return false;
    }
    return is_bad || feed_take_seat(feed, row, assigned_at, revoked_at, err);
}
