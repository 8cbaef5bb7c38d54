/*
 * extract: copies the whole input, so that nothing later reads live data: the small files as they
 * are (resolved for the period), usage and seats condensed to sparse day partials.
 *
 * Everything is read and judged before the first table is written, so bad rows are told all at once
 * and leave nothing behind.
 */
#include "extract_sealed.h"
#include "source/dataset.h"
#include "source/recorded.h"
#include "source/usage.h"
#include "stage/session.h"
#include "stage/stages.h"
#include "sys/process.h"

static const struct stage_output extract_outputs[] = {
    {.schema = &checkpoint_orgs, .is_sharded = true},
    {.schema = &checkpoint_plans, .is_sharded = false},
    {.schema = &checkpoint_prices, .is_sharded = false},
    {.schema = &checkpoint_tiers, .is_sharded = false},
    {.schema = &checkpoint_subscriptions, .is_sharded = true},
    {.schema = &checkpoint_limits, .is_sharded = true},
    {.schema = &checkpoint_history, .is_sharded = true},
    {.schema = &checkpoint_seats, .is_sharded = true},
    {.schema = &checkpoint_invitations, .is_sharded = true},
    {.schema = &checkpoint_series, .is_sharded = true},
    {.schema = &checkpoint_days, .is_sharded = true},
    {.schema = &checkpoint_keys, .is_sharded = true},
    {.schema = &checkpoint_levels, .is_sharded = true},
    {.schema = &checkpoint_asides, .is_sharded = true},
    {.schema = &checkpoint_categories, .is_sharded = false},
};

enum { EXTRACT_OUTPUTS_COUNT = sizeof extract_outputs / sizeof extract_outputs[0] };

/* --- reading ------------------------------------------------------------------------------------
 */

struct extraction {
    struct run *run;
    const struct stage_session *session;
    struct problems *problems;
    struct sealed_tables sealed; /* open as long as the dataset, which points into them */
    struct dataset *dataset;
    struct usage *usage;
    struct source_database *database; /* NULL: a folder */
};

static void extract_progress(void *context, uint64_t done, uint64_t total) {
    run_progress(context, done, total, "bytes");
}

/*
 * What was recorded before: in the run that is revised, or in the database. What is there now is
 * marked, so that the record stage notices when somebody has recorded since.
 */
static bool extract_open_sealed(struct extraction *extraction, bool *is_sealed, struct err *err) {
    const struct stage_session *session = extraction->session;
    struct sealed_tables *sealed = &extraction->sealed;
    if (extraction->database == NULL) {
        *is_sealed = session->previous != NULL && !session->is_repriced;
        return !*is_sealed || sealed_open(sealed, session->previous, err);
    }
    struct db *db = source_database_connection(extraction->database, 0);
    const struct recorded_scope scope = {
        .day = source_database_period(extraction->database),
        .selected_orgs = session->selected_orgs,
        .selected_orgs_count = session->selected_orgs_count,
    };
    struct buffer mark = {0};
    bool is_done = recorded_settings(db, &scope, err) && recorded_mark(db, &mark, err) &&
                   run_pin(extraction->run, PIN_VERSION, pin_recorded, mark.bytes, false, err);
    buffer_release(&mark);
    if (!is_done || !sealed_read(sealed, extraction->run, db, err)) {
        return false;
    }
    *is_sealed = table_rows_count(sealed->orgs[0]) > 0 && !session->is_repriced;
    return true;
}

static bool extract_load(struct extraction *extraction, struct err *err) {
    const struct stage_session *session = extraction->session;
    struct sealed_tables *sealed = &extraction->sealed;
    bool is_sealed = false;
    if (!extract_open_sealed(extraction, &is_sealed, err)) {
        return false;
    }
    struct dataset_options options = {
        .folder = session->source_folder,
        .database = extraction->database,
        .scratch_folder = run_scratch_path(extraction->run),
        .month = session->month,
        .has_cutoff = true,
        .cutoff = session->cutoff,
        .selected_orgs = session->selected_orgs,
        .selected_orgs_count = session->selected_orgs_count,
        .sealed = is_sealed ? &sealed->terms : NULL,
        .is_overage_off = session->is_overage_off,
        .jobs = run_current_options(extraction->run)->jobs,
    };
    return dataset_load(run_sys(extraction->run), &options, &extraction->dataset,
                        extraction->problems, err);
}

static bool extract_open_database(struct extraction *extraction, struct err *err) {
    const struct stage_session *session = extraction->session;
    if (session->conninfo == NULL) {
        return true;
    }
    const struct source_database_options options = {
        .conninfo = session->conninfo,
        .jobs = run_current_options(extraction->run)->jobs,
        .month = session->month,
        .keeps_cutoff = session->keeps_cutoff,
        .adds_up = session->adds_up_on_server,
    };
    return source_database_open(run_sys(extraction->run), &options, &extraction->database, err) &&
           source_database_ask_seats(extraction->database, err);
}

static bool extract_read_usage(struct extraction *extraction, struct err *err) {
    struct source_database *database = extraction->database;
    struct problems *problems = extraction->problems;
    if (database != NULL) {
        return usage_read_database(extraction->usage, database, problems, err) &&
               usage_read_late_database(extraction->usage, database, problems, err);
    }
    return usage_read_csv(extraction->usage, problems, err) &&
           usage_read_seats_csv(extraction->usage, problems, err);
}

/* The content of the large files is what was read, and pinned with what was made of it. */
static bool extract_pin_files(const struct extraction *extraction, struct err *err) {
    size_t files_count;
    const struct dataset_file *files = usage_fingerprints(extraction->usage, &files_count);
    for (size_t index = 0; index < files_count; index++) {
        char text[DATASET_FILE_TEXT_MAX];
        dataset_file_format(&files[index], text);
        if (!run_pin(extraction->run, PIN_INPUT, files[index].name, text, true, err)) {
            return false;
        }
    }
    return true;
}

/* Rows of a file are corrected; the ledger keeps its own. */
static bool extract_check_problems(const struct extraction *extraction, struct err *err) {
    if (problems_check(extraction->problems, err)) {
        return true;
    }
    if (extraction->session->conninfo != NULL && err->code == ERR_INPUT) {
        (void)err_hint(err,
                       "nothing was recorded. The ledger keeps its rows: correct what they are "
                       "judged by (an org that is missing), or close the other orgs with --org "
                       "meanwhile");
    }
    return false;
}

static bool extract_read_anew(struct extraction *extraction, const struct usage_options *options,
                              struct err *err) {
    usage_destroy(extraction->usage);
    extraction->usage = NULL;
    return usage_create(run_sys(extraction->run), dataset_catalog(extraction->dataset), options,
                        &extraction->usage, err) &&
           extract_read_usage(extraction, err);
}

/* Of orgs that turn out to be set aside nothing may be kept: what they use is read again as theirs.
 */
static bool extract_read_all(struct extraction *extraction, const struct usage_options *options,
                             struct err *err) {
    if (!extract_read_anew(extraction, options, err)) {
        return false;
    }
    struct catalog_misfit *misfits = usage_take_misfits(extraction->usage);
    if (misfits == NULL) {
        return true;
    }
    dataset_set_aside(extraction->dataset, misfits);
    return extract_check_problems(extraction, err) && extract_read_anew(extraction, options, err);
}

static bool extract_read(struct extraction *extraction, struct err *err) {
    const struct run_options *run_options = run_current_options(extraction->run);
    const struct usage_options options = {
        .folder = extraction->session->source_folder,
        .scratch_folder = run_scratch_path(extraction->run),
        .jobs = run_options->jobs,
        .memory_bytes = run_options->memory_bytes,
        .progress = extract_progress,
        .progress_context = extraction->run,
    };
    if (!extract_open_database(extraction, err) || !extract_load(extraction, err)) {
        return false;
    }
    struct catalog *catalog = dataset_catalog(extraction->dataset);
    if (!extract_read_all(extraction, &options, err) ||
        !usage_settle_events(extraction->usage, extraction->problems, err) ||
        !extract_check_problems(extraction, err)) {
        return false;
    }
    catalog_settle(catalog);
    return extract_pin_files(extraction, err);
}

static void extract_tell_notes(const struct extraction *extraction) {
    const struct stage_session *session = extraction->session;
    const char *note;
    for (size_t index = 0;
         session->note != NULL && (note = problems_note_text(extraction->problems, index)) != NULL;
         index++) {
        session->note(session->note_context, note);
    }
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* The writers of one shard, by output; those of whole tables only in shard 0. */
static bool extract_create_writers(struct run *run, size_t shard_index,
                                   struct table_writer *writers[EXTRACT_OUTPUTS_COUNT],
                                   struct err *err) {
    for (size_t index = 0; index < EXTRACT_OUTPUTS_COUNT; index++) {
        const struct stage_output *output = &extract_outputs[index];
        bool is_wanted =
            output->schema != &checkpoint_categories && (output->is_sharded || shard_index == 0);
        if (is_wanted &&
            !run_output_create(run, output->schema, shard_index, &writers[index], err)) {
            return false;
        }
    }
    return true;
}

static struct table_writer *writer_of(struct table_writer *const *writers,
                                      const struct table_schema *schema) {
    size_t index = 0;
    while (extract_outputs[index].schema != schema) {
        index++;
    }
    return writers[index];
}

static bool extract_fill_shard(struct extraction *extraction, size_t shard_index,
                               struct table_writer *const *writers, struct err *err) {
    const struct dataset_writers of_dataset = {
        .orgs = writer_of(writers, &checkpoint_orgs),
        .plans = writer_of(writers, &checkpoint_plans),
        .prices = writer_of(writers, &checkpoint_prices),
        .tiers = writer_of(writers, &checkpoint_tiers),
        .subscriptions = writer_of(writers, &checkpoint_subscriptions),
        .limits = writer_of(writers, &checkpoint_limits),
        .history = writer_of(writers, &checkpoint_history),
        .invitations = writer_of(writers, &checkpoint_invitations),
    };
    const struct usage_writers of_usage = {
        .series = writer_of(writers, &checkpoint_series),
        .days = writer_of(writers, &checkpoint_days),
        .keys = writer_of(writers, &checkpoint_keys),
        .levels = writer_of(writers, &checkpoint_levels),
        .asides = writer_of(writers, &checkpoint_asides),
        .seats = writer_of(writers, &checkpoint_seats),
    };
    return dataset_write(extraction->dataset, shard_index, &of_dataset, err) &&
           usage_condense(extraction->usage, shard_index, &of_usage, err);
}

static bool extract_write_shard(void *context, size_t shard_index, struct err *err) {
    struct extraction *extraction = context;
    struct table_writer *writers[EXTRACT_OUTPUTS_COUNT] = {0};
    bool is_fine = extract_create_writers(extraction->run, shard_index, writers, err) &&
                   extract_fill_shard(extraction, shard_index, writers, err);
    for (size_t index = 0; index < EXTRACT_OUTPUTS_COUNT; index++) {
        if (writers[index] == NULL) {
            continue;
        }
        if (is_fine) {
            is_fine = run_output_commit(extraction->run, extract_outputs[index].schema, shard_index,
                                        writers[index], err);
        } else {
            table_writer_destroy(writers[index]);
        }
    }
    return is_fine;
}

/* --- control totals -----------------------------------------------------------------------------
 */

static bool extract_add_metric(struct totals *totals, const struct usage_metric_totals *metric,
                               struct err *err) {
    static const char events_row[] = "events read = events by category";
    static const char units_row[] = "units read = units by category";
    struct text events_unit = text_from("events");
    struct decimal count;
    (void)decimal_from_int64((int64_t)metric->events_read, &count);
    if (!totals_add_left(totals, events_row, events_unit, count, err) ||
        !totals_add_left(totals, units_row, metric->metric, metric->units_read, err)) {
        return false;
    }
    for (size_t category = 0; category < USAGE_CATEGORIES_COUNT; category++) {
        (void)decimal_from_int64((int64_t)metric->events[category], &count);
        if (!totals_add_right(totals, events_row, events_unit, count, err) ||
            !totals_add_right(totals, units_row, metric->metric, metric->units[category], err)) {
            return false;
        }
    }
    (void)decimal_from_int64((int64_t)metric->events[USAGE_METERED], &count);
    return totals_add_left(totals, "events metered = events of series", events_unit, count, err);
}

static bool extract_put_categories(struct table_writer *out,
                                   const struct usage_metric_totals *metric, struct err *err) {
    /* Sorted by name: the order of the enum is the order of judging. */
    bool is_done[USAGE_CATEGORIES_COUNT] = {false};
    for (size_t step = 0; step < USAGE_CATEGORIES_COUNT; step++) {
        size_t next = USAGE_CATEGORIES_COUNT;
        for (size_t index = 0; index < USAGE_CATEGORIES_COUNT; index++) {
            if (!is_done[index] &&
                (next == USAGE_CATEGORIES_COUNT ||
                 strcmp(usage_category_names[index], usage_category_names[next]) < 0)) {
                next = index;
            }
        }
        is_done[next] = true;
        if (metric->events[next] == 0) {
            continue;
        }
        table_put_text(out, CATEGORIES_METRIC, metric->metric);
        table_put_text(out, CATEGORIES_CATEGORY, text_from(usage_category_names[next]));
        table_put_int64(out, CATEGORIES_EVENTS, (int64_t)metric->events[next]);
        table_put_decimal(out, CATEGORIES_UNITS, metric->units[next]);
        if (!table_end_row(out, err)) {
            return false;
        }
    }
    return true;
}

/* The other side of the metered events: what the sealed series say. */
static bool extract_add_series(struct run *run, struct err *err) {
    struct text unit = text_from("events");
    for (size_t shard = 0; shard < run_shards_count(run); shard++) {
        struct table *series;
        if (!run_input_open(run, &checkpoint_series, shard, &series, err)) {
            return false;
        }
        int64_t events = 0;
        struct table_cursor cursor = table_cursor_start(series);
        while (table_cursor_next(&cursor)) {
            events += table_get_int64(&cursor, SERIES_EVENTS);
        }
        table_close(series);
        struct decimal count;
        (void)decimal_from_int64(events, &count);
        if (!totals_add_right(run_totals(run), "events metered = events of series", unit, count,
                              err)) {
            return false;
        }
    }
    return true;
}

static bool extract_total(struct extraction *extraction, struct err *err) {
    const struct usage_metric_totals *metrics;
    size_t metrics_count;
    struct table_writer *out = NULL;
    struct totals *totals = run_totals(extraction->run);
    if (!usage_totals(extraction->usage, &metrics, &metrics_count, err) ||
        !run_output_create(extraction->run, &checkpoint_categories, 0, &out, err)) {
        return false;
    }
    for (size_t index = 0; index < metrics_count; index++) {
        if (!extract_add_metric(totals, &metrics[index], err) ||
            !extract_put_categories(out, &metrics[index], err)) {
            table_writer_destroy(out);
            return false;
        }
    }
    return run_output_commit(extraction->run, &checkpoint_categories, 0, out, err) &&
           extract_add_series(extraction->run, err);
}

/* *is_lost: a connection broke, and another try may do better. */
static bool extract_once(struct run *run, struct stage_session *session, bool *is_lost,
                         struct err *err) {
    struct extraction extraction = {.run = run, .session = session};
    extraction.problems = problems_create(err);
    bool is_fine = extraction.problems != NULL && extract_read(&extraction, err);
    if (is_fine && extraction.database != NULL) {
        is_fine = run_pin(run, PIN_VERSION, pin_snapshot,
                          source_database_snapshot(extraction.database), false, err);
    }
    if (extraction.problems != NULL) {
        extract_tell_notes(&extraction);
    }
    *is_lost = !is_fine && err->code == ERR_DATABASE && extraction.database != NULL &&
               source_database_is_lost(extraction.database);
    /* The snapshot is not needed any more, and holds back the server's clean-up. */
    source_database_close(extraction.database);
    extraction.database = NULL;
    if (is_fine) {
        size_t shards_count = dataset_shards_count(extraction.dataset);
        run_set_shards_count(run, shards_count);
        is_fine = process_parallel(run_current_options(run)->jobs, shards_count,
                                   extract_write_shard, &extraction, err) &&
                  extract_total(&extraction, err);
    }
    usage_destroy(extraction.usage);
    dataset_destroy(extraction.dataset);
    sealed_close(&extraction.sealed);
    problems_destroy(extraction.problems);
    return is_fine;
}

/* Reading leaves nothing behind but scratch files, so a lost connection only costs time. */
static bool extract_perform(struct run *run, const struct stage *stage,
                            struct stage_session *session, struct err *err) {
    enum { TRIES_MAX = 3 };
    (void)stage;
    for (int attempt = 1;; attempt++) {
        bool is_lost = false;
        if (extract_once(run, session, &is_lost, err)) {
            return true;
        }
        if (!is_lost || attempt == TRIES_MAX) {
            return false;
        }
        if (session->note != NULL) {
            session->note(session->note_context, err->message);
            session->note(session->note_context, "reading the database again from the start");
        }
        err_release(err);
    }
}

const struct stage stage_extract = {
    .name = "extract",
    .number = 10,
    .version = 3,
    .effect = EFFECT_SOURCE,
    .summary = "copy the source: orgs, plans, prices, and usage condensed to day partials",
    .outputs = extract_outputs,
    .outputs_count = EXTRACT_OUTPUTS_COUNT,
    .perform = extract_perform,
};
