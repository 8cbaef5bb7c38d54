/*
 * Usage and seats out of PostgreSQL.
 *
 * Usage comes by physical ranges of the ledger's partitions: every connection takes one after the
 * other, all in one snapshot. The rows of a binary COPY go straight into a feed, without a detour
 * over text: what is judged of a row's content is judged by feed_judge, as for a row of a file.
 */
#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"
#include "dataset_internal.h"
#include "db/copy.h"
#include "sys/process.h"
#include "usage_database.h"
#include "usage_ranges.h"

enum {
    PACK_BLOCKS = 16, /* of sql/extract/usage.sql */
    PROGRESS_ROWS = 4096,
    RANGE_TRIES_MAX = 4,
};

/* Of all orgs: the first instants of the earliest and of the latest period, the end of the last. */
struct scope {
    struct instant start;
    struct instant start_last;
    struct instant end;
    bool is_opened;
    struct buffer levels;
};

struct reading {
    struct usage *usage;
    struct source_database *database;
    const struct scope *scope;
    const char *statement; /* that reads a range */
    size_t columns_count;  /* of its rows */
    bool has_recorded;     /* and tells what runs have not seen */
    bool is_summed;        /* and adds up on the server */
    struct text days;      /* then: where days begin */
    struct vector ranges;  /* struct usage_range */
    size_t seats_worker;   /* who reads the seats */
    _Atomic size_t next_range;
    _Atomic bool has_stopped;
};

/* --- what is read ---------------------------------------------------------------------------- */

static bool append_metric(struct buffer *list, struct text metric, struct err *err) {
    if (!buffer_append(list, text_from(list->size_bytes > 1 ? ",\"" : "\""), err)) {
        return false;
    }
    for (size_t index = 0; index < metric.size_bytes; index++) {
        char byte = metric.bytes[index];
        if (((byte == '"' || byte == '\\') && !buffer_append(list, text_from("\\"), err)) ||
            !buffer_append(list, (struct text){&byte, 1}, err)) {
            return false;
        }
    }
    return buffer_append(list, text_from("\""), err);
}

static bool is_level(const struct catalog_price *price) {
    return aggregation_table[price->price.aggregation].is_level;
}

bool database_list_levels(const struct catalog *catalog, struct buffer *list, struct err *err) {
    if (!buffer_append(list, text_from("{"), err)) {
        return false;
    }
    for (uint32_t plan = 0; plan < catalog->plans_count; plan++) {
        for (uint32_t index = 0; index < catalog->plans[plan].prices_count; index++) {
            const struct catalog_price *price = &catalog->plans[plan].prices[index];
            if (is_level(price) && !append_metric(list, price->metric, err)) {
                return false;
            }
        }
    }
    return buffer_append(list, text_from("}"), err);
}

/* Every level that is metered begins with a recorded one. */
static bool is_opened(const struct catalog *catalog) {
    for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
        const struct catalog_org *org = &catalog->orgs[rank];
        for (uint32_t index = 0; org->plan != NULL && index < org->plan->prices_count; index++) {
            const struct catalog_price *price = &org->plan->prices[index];
            if (is_level(price) && catalog_find_opening(catalog, rank, price->metric) == NULL) {
                return false;
            }
        }
    }
    return true;
}

/* False in *has_orgs: there is nobody whose usage could matter. */
static bool find_scope(const struct catalog *catalog, struct scope *scope, struct err *err) {
    scope->start = (struct instant){INT64_MAX};
    scope->start_last = (struct instant){INT64_MIN};
    scope->end = (struct instant){INT64_MIN};
    for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
        const struct calendar *calendar = &catalog->orgs[rank].calendar->calendar;
        struct instant start = calendar_start(calendar);
        struct instant end = calendar_end(calendar);
        scope->start = start.us < scope->start.us ? start : scope->start;
        scope->start_last = start.us > scope->start_last.us ? start : scope->start_last;
        scope->end = end.us > scope->end.us ? end : scope->end;
    }
    scope->is_opened = is_opened(catalog);
    return database_list_levels(catalog, &scope->levels, err);
}

static int instant_order(const void *left, const void *right) {
    const int64_t *left_us = left;
    const int64_t *right_us = right;
    return (*left_us > *right_us) - (*left_us < *right_us);
}

/* Every instant at which a day begins in a calendar of the catalog, as an array's text. */
static bool append_days(const int64_t *starts_us, size_t starts_count, struct buffer *list,
                        struct err *err) {
    bool is_done = buffer_append(list, text_from("{"), err);
    for (size_t index = 0; is_done && index < starts_count; index++) {
        char text[INSTANT_TEXT_MAX];
        if (index > 0 && starts_us[index] == starts_us[index - 1]) {
            continue;
        }
        (void)instant_format((struct instant){starts_us[index]}, text);
        is_done = buffer_append_format(list, err, "%s\"%s\"", index > 0 ? "," : "", text);
    }
    return is_done && buffer_append(list, text_from("}"), err);
}

static bool is_seen(const struct catalog *catalog, const struct vector *seen, uint32_t rank) {
    const struct catalog_calendar *const *calendars = seen->items;
    const struct catalog_calendar *calendar = catalog->orgs[rank].calendar;
    for (size_t index = seen->count; index > 0; index--) {
        if (calendars[index - 1] == calendar) {
            return true;
        }
    }
    return false;
}

static bool list_days(const struct catalog *catalog, struct buffer *list, struct err *err) {
    struct vector seen = {.item_bytes = sizeof(struct catalog_calendar *)};
    struct vector starts = {.item_bytes = sizeof(int64_t)};
    bool is_done = true;
    for (uint32_t rank = 0; is_done && rank < catalog->orgs_count; rank++) {
        if (is_seen(catalog, &seen, rank)) {
            continue;
        }
        const struct catalog_calendar **kept = vector_add(&seen, err);
        is_done = kept != NULL;
        if (is_done) {
            *kept = catalog->orgs[rank].calendar;
        }
        const struct calendar *calendar = &catalog->orgs[rank].calendar->calendar;
        for (size_t day = 0; is_done && day <= calendar->days_count; day++) {
            int64_t *start_us = vector_add(&starts, err);
            is_done = start_us != NULL;
            if (is_done) {
                *start_us = calendar->starts_us[day];
            }
        }
    }
    if (is_done) {
        qsort(starts.items, starts.count, sizeof(int64_t), instant_order);
        is_done = append_days(starts.items, starts.count, list, err);
    }
    vector_release(&seen);
    vector_release(&starts);
    return is_done;
}

/* --- one range ------------------------------------------------------------------------------- */

/*
 * How far a range was read, and what: over a new connection the same snapshot gives the same rows
 * again in the same order, so that those that were taken are passed over. Should it not, that shows
 * in the hash, and reading begins anew from the start.
 */
struct range_mark {
    uint64_t rows_count;
    uint64_t hash;
    uint64_t told_bytes; /* of progress */
};

static void mark_row(struct range_mark *mark, const struct db_copy_out *copy) {
    const unsigned char *first = copy->fields[0].bytes;
    size_t size_bytes = first != NULL ? (size_t)(copy->at - first) : 0;
    mark->rows_count++;
    mark->hash = XXH3_64bits_withSeed(first, size_bytes, mark->hash);
}

static bool fail_order(struct err *err) {
    return err_set(err, ERR_DATABASE,
                   "the server gave the rows of a range in another order than "
                   "before its connection was lost");
}

static bool feed_row_of(struct usage_feed *feed, const struct db_copy_out *copy,
                        const struct db_copy_row *row, struct err *err) {
    return copy->columns_count == PACK_COLUMNS_COUNT ? feed_database_pack(feed, row->fields, err)
                                                     : feed_database_sum(feed, row->fields, err);
}

static bool read_rows(struct usage_feed *feed, struct db_copy_out *copy, struct range_mark *taken,
                      struct err *err) {
    struct db_copy_row row;
    struct range_mark mark = {0};
    for (;;) {
        if (!db_copy_out_next(copy, &row, err)) {
            return false;
        }
        if (row.fields == NULL) {
            return db_copy_out_end(copy, err) &&
                   (mark.rows_count >= taken->rows_count || fail_order(err));
        }
        mark_row(&mark, copy);
        bool is_pack = copy->columns_count == PACK_COLUMNS_COUNT;
        if ((is_pack || mark.rows_count % PROGRESS_ROWS == 0) && !interrupt_check(err)) {
            return false;
        }
        if (mark.rows_count == taken->rows_count && mark.hash != taken->hash) {
            return fail_order(err);
        }
        if (mark.rows_count <= taken->rows_count) {
            continue;
        }
        if (!feed_row_of(feed, copy, &row, err)) {
            return false;
        }
        taken->rows_count = mark.rows_count;
        taken->hash = mark.hash;
        if (is_pack) {
            taken->told_bytes += PACK_BLOCKS * USAGE_BLOCK_BYTES;
            usage_progress(feed->usage, PACK_BLOCKS * USAGE_BLOCK_BYTES);
        }
    }
}

/* What the statements of usage have in common, see sql/extract/usage.sql. */
static void set_params(const struct reading *reading, const struct usage_range *range,
                       struct db_params *params) {
    const struct scope *scope = reading->scope;
    db_params_text(params, range->from);
    db_params_text(params, range->until);
    db_params_int64(params, range->block_from);
    db_params_int64(params, range->block_until);
    db_params_int64(params, range->block_last);
    db_params_instant(params, scope->start);
    db_params_instant(params, scope->start_last);
    db_params_instant(params, reading->usage->catalog->cutoff);
    db_params_text(params, buffer_text(&scope->levels));
    db_params_bool(params, scope->is_opened);
    db_params_bool(params, source_database_has_seats(reading->database));
    db_params_instant(params, scope->end);
    db_params_text(params, text_from(source_database_period(reading->database)));
    db_params_bool(params, source_database_keeps_cutoff(reading->database));
    db_params_text(params, reading->days);
}

static bool read_range(struct usage_feed *feed, struct db *db, const struct reading *reading,
                       const struct usage_range *range, struct range_mark *taken, struct err *err) {
    struct db_params compiled = {0};
    struct db_params params = {0};
    struct db_copy_out copy;
    db_params_bool(&compiled, range->is_long && !reading->is_summed);
    set_params(reading, range, &params);
    if (!db_run(db, "extract/compile.sql", &compiled, NULL, err) ||
        !db_copy_out_begin_with(db, reading->statement, &params, reading->columns_count, &copy,
                                err)) {
        return false;
    }
    if (!read_rows(feed, &copy, taken, err)) {
        db_copy_out_abort(&copy);
        return false;
    }
    uint64_t range_bytes =
        (uint64_t)(range->block_last + 1 - range->block_from) * USAGE_BLOCK_BYTES;
    if (range_bytes > taken->told_bytes) {
        usage_progress(feed->usage, range_bytes - taken->told_bytes);
    }
    return true;
}

bool prepare_database(struct source_database *database, size_t connection, struct err *err) {
    struct db *db = source_database_connection(database, connection);
    struct db_params recorded = {0};
    db_params_text(&recorded, text_from(source_database_period(database)));
    db_params_bool(&recorded, source_database_keeps_cutoff(database));
    return db_run(db, "extract/prepare.sql", NULL, NULL, err) &&
           (!source_database_has_recorded(database) ||
            db_run(db, "extract/recorded_scope.sql", &recorded, NULL, err));
}

/* A lost connection is replaced as long as the snapshot lives; err stays what it was otherwise. */
static bool replace_connection(const struct reading *reading, size_t worker,
                               struct usage_feed *feed, struct err *err) {
    struct err failure = {0};
    bool is_replaced =
        err->code == ERR_DATABASE &&
        db_is_lost(source_database_connection(reading->database, worker)) &&
        source_database_reconnect(reading->database, worker, &failure) &&
        prepare_database(reading->database, worker, &failure) &&
        problems_note(feed->problems, &failure, "%s; its range was read again in the same snapshot",
                      err->message);
    err_release(&failure);
    if (is_replaced) {
        err_release(err);
    }
    return is_replaced;
}

static bool read_range_through(const struct reading *reading, size_t worker, size_t index,
                               struct usage_feed *feed, struct err *err) {
    const struct usage_range *ranges = reading->ranges.items;
    struct range_mark taken = {0};
    for (int attempt = 1;; attempt++) {
        if (read_range(feed, source_database_connection(reading->database, worker), reading,
                       &ranges[index], &taken, err)) {
            return true;
        }
        if (attempt == RANGE_TRIES_MAX || !replace_connection(reading, worker, feed, err)) {
            return false;
        }
    }
}

/* The seats first: with them one connection is longer at work than the others with a range. */
static bool work_on_ranges(struct reading *reading, size_t worker, struct usage_feed *feed,
                           struct err *err) {
    if ((worker == reading->seats_worker &&
         !read_seats_database(feed, reading->database, worker, err)) ||
        !prepare_database(reading->database, worker, err)) {
        return false;
    }
    feed->file_name = database_ledger;
    while (!atomic_load(&reading->has_stopped)) {
        size_t index = atomic_fetch_add(&reading->next_range, 1);
        if (index >= reading->ranges.count) {
            break;
        }
        if (!read_range_through(reading, worker, index, feed, err)) {
            return false;
        }
    }
    return true;
}

static bool range_worker(void *context, size_t worker, struct err *err) {
    struct reading *reading = context;
    struct usage_feed *feed = &reading->usage->feeds[worker];
    bool is_done = work_on_ranges(reading, worker, feed, err);
    if (!is_done) {
        atomic_store(&reading->has_stopped, true);
    }
    return is_done;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool read_parts(struct reading *reading, size_t workers, struct db_result *parts,
                       struct err *err) {
    const struct scope *scope = reading->scope;
    struct db_params params = {0};
    uint64_t bytes;
    /* What lies before the first period matters to levels alone. */
    bool reads_earlier = scope->levels.size_bytes > strlen("{}");
    db_params_instant(&params,
                      reads_earlier ? (struct instant){INT64_C(-62135596800000000)} : scope->start);
    db_params_instant(&params, scope->end);
    if (!db_run(source_database_connection(reading->database, 0), "extract/partitions.sql", &params,
                parts, err) ||
        !usage_ranges_cut(parts, workers, &reading->ranges, &bytes, err)) {
        return false;
    }
    reading->usage->total_bytes += bytes;
    return true;
}

/* What runs have recorded is told apart row by row, which leaves nothing to be added up. */
static void choose_statement(struct reading *reading) {
    reading->has_recorded = source_database_has_recorded(reading->database);
    reading->is_summed = !reading->has_recorded && source_database_adds_up(reading->database);
    reading->statement = reading->has_recorded ? "extract/usage_recorded.sql"
                         : reading->is_summed  ? "extract/usage_summed.sql"
                                               : "extract/usage.sql";
    reading->columns_count = reading->is_summed ? COLUMNS_SUMMED_COUNT : PACK_COLUMNS_COUNT;
}

bool usage_read_database(struct usage *usage, struct source_database *database,
                         struct problems *problems, struct err *err) {
    struct scope scope = {0};
    struct buffer days = {0};
    struct db_result parts = {0};
    struct reading reading = {.usage = usage,
                              .database = database,
                              .scope = &scope,
                              .ranges = {.item_bytes = sizeof(struct usage_range)}};
    if (usage->catalog->orgs_count == 0) {
        return true;
    }
    size_t workers = source_database_connections_count(database);
    workers = workers < usage->jobs ? workers : usage->jobs;
    choose_statement(&reading);
    bool is_done =
        find_scope(usage->catalog, &scope, err) && read_parts(&reading, workers, &parts, err);
    if (is_done) {
        size_t works = reading.ranges.count + 1; /* the seats */
        workers = workers < works ? workers : works;
        is_done = !reading.is_summed || list_days(usage->catalog, &days, err);
        reading.days = buffer_text(&days);
        reading.seats_worker = workers - 1; /* whose connection was asked, if there are several */
        is_done = is_done && process_parallel(workers, workers, range_worker, &reading, err) &&
                  usage_merge_problems(usage, problems, err);
    }
    vector_release(&reading.ranges);
    db_result_release(&parts);
    buffer_release(&scope.levels);
    buffer_release(&days);
    return is_done;
}
