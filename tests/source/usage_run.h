/*
 * A whole reading of a folder, told as text: every row of every table, and the totals. Two readings
 * that should be the same can then be compared, and one with what it should say.
 *
 *     S org metric: events units first last; levels: opening closing metered
 *     D org metric: day sum count               K org metric: day keys
 *     L org metric: day closing highest share+remainder
 *     A org metric kind: events quantity first last
 *     E org user: role assigned revoked
 *     T metric: read events units, and each category with events
 */
#ifndef TESTS_SOURCE_USAGE_RUN_H
#define TESTS_SOURCE_USAGE_RUN_H

#include "core/memory.h"
#include "source/dataset.h"
#include "source/usage.h"
#include "support/test_folder.h"
#include "sys/process.h"

struct usage_run {
    const char *folder;
    size_t jobs;                /* 0: 1 */
    uint64_t memory_bytes;      /* 0: plenty */
    const char *cutoff;         /* NULL: none */
    const char *org;            /* --org; NULL: all */
    const struct sys *sys;      /* for the reading of usage; NULL: the real one */
    bool (*memory_fault)(void); /* during it: see mem_set_fault */
    /* Usage from elsewhere, behind that of the folder; NULL: none. */
    bool (*feed_more)(void *context, struct usage *usage, struct problems *problems,
                      struct err *err);
    void *context;
};

enum { USAGE_RUN_TABLES = 6 };

static const struct table_schema *const usage_run_schemas[USAGE_RUN_TABLES] = {
    &checkpoint_series, &checkpoint_days,   &checkpoint_keys,
    &checkpoint_levels, &checkpoint_asides, &checkpoint_seats,
};

struct usage_run_shards {
    struct usage *usage;
    const char *folder;
};

static inline void usage_run_path(char path[FILE_PATH_MAX], const char *folder, size_t table,
                                  size_t shard) {
    (void)snprintf(path, FILE_PATH_MAX, "%s/out/%s.%zu", folder, usage_run_schemas[table]->name,
                   shard);
}

static inline bool usage_run_shard(void *context, size_t shard, struct err *err) {
    struct usage_run_shards *shards = context;
    struct table_writer *writers[USAGE_RUN_TABLES] = {0};
    char path[FILE_PATH_MAX];
    bool is_done = true;
    for (size_t table = 0; is_done && table < USAGE_RUN_TABLES; table++) {
        usage_run_path(path, shards->folder, table, shard);
        is_done = table_writer_create(sys_real(), path, usage_run_schemas[table], NULL, 0,
                                      &writers[table], err);
    }
    struct usage_writers given = {
        .series = writers[0],
        .days = writers[1],
        .keys = writers[2],
        .levels = writers[3],
        .asides = writers[4],
        .seats = writers[5],
    };
    is_done = is_done && usage_condense(shards->usage, shard, &given, err);
    for (size_t table = 0; table < USAGE_RUN_TABLES; table++) {
        struct table_seal seal;
        if (is_done) {
            is_done = table_writer_commit(writers[table], &seal, err);
        } else {
            table_writer_destroy(writers[table]);
        }
    }
    return is_done;
}

static inline void usage_run_put(struct buffer *out, const char *text) {
    struct err err = {0};
    assert_true(buffer_append(out, text_from(text), &err));
}

static inline void usage_run_put_value(struct buffer *out, const struct table_cursor *cursor,
                                       const struct table_column *column, size_t index) {
    char text[64];
    struct err err = {0};
    usage_run_put(out, " ");
    if (table_is_null(cursor, index)) {
        usage_run_put(out, "-");
        return;
    }
    switch (column->type) {
    case TABLE_UTF8:
        assert_true(buffer_append(out, table_get_text(cursor, index), &err));
        return;
    case TABLE_DECIMAL:
        (void)decimal_format(table_get_decimal(cursor, index), text);
        break;
    case TABLE_INT64:
        (void)snprintf(text, sizeof text, "%lld", (long long)table_get_int64(cursor, index));
        break;
    case TABLE_TIMESTAMP:
        (void)instant_format(table_get_instant(cursor, index), text);
        break;
    case TABLE_DATE:
        (void)civil_format(table_get_date(cursor, index), text);
        break;
    case TABLE_BOOL:
        (void)snprintf(text, sizeof text, "%d", table_get_bool(cursor, index));
        break;
    }
    usage_run_put(out, text);
}

/* The org and metric of a series by its number in the shard. */
static inline void usage_run_put_series(struct buffer *out, const struct table *series,
                                        int64_t number) {
    struct table_cursor cursor = table_cursor_start(series);
    while (table_cursor_next(&cursor)) {
        if (table_get_int64(&cursor, SERIES_SERIES) == number) {
            usage_run_put_value(out, &cursor, &checkpoint_series.columns[0], SERIES_ORG_ID);
            usage_run_put_value(out, &cursor, &checkpoint_series.columns[1], SERIES_METRIC);
            return;
        }
    }
    fail_msg("no series %lld", (long long)number);
}

static inline void usage_run_put_tables(struct buffer *out, const char *folder, size_t shard) {
    static const char letters[USAGE_RUN_TABLES] = {'S', 'D', 'K', 'L', 'A', 'E'};
    struct table *series = NULL;
    for (size_t index = 0; index < USAGE_RUN_TABLES; index++) {
        const struct table_schema *schema = usage_run_schemas[index];
        struct err err = {0};
        char path[FILE_PATH_MAX];
        struct table *table;
        usage_run_path(path, folder, index, shard);
        if (!table_open(sys_real(), path, schema, &table, &err)) {
            fail_msg("%s", err.message);
        }
        series = index == 0 ? table : series;
        struct table_cursor cursor = table_cursor_start(table);
        while (table_cursor_next(&cursor)) {
            char letter[2] = {letters[index], '\0'};
            usage_run_put(out, letter);
            for (size_t column = 0; column < schema->columns_count; column++) {
                if (index > 0 && column == 0 && schema->columns[0].type == TABLE_INT64) {
                    usage_run_put_series(out, series, table_get_int64(&cursor, 0));
                } else if (!(index == 0 && column == SERIES_SERIES)) {
                    usage_run_put_value(out, &cursor, &schema->columns[column], column);
                }
            }
            usage_run_put(out, "\n");
        }
        if (index > 0) {
            table_close(table);
        }
    }
    table_close(series);
}

static inline void usage_run_put_totals(struct buffer *out, struct usage *usage) {
    struct err err = {0};
    const struct usage_metric_totals *totals;
    size_t count;
    assert_true(usage_totals(usage, &totals, &count, &err));
    for (size_t index = 0; index < count; index++) {
        char text[64];
        (void)decimal_format(totals[index].units_read, text);
        assert_true(buffer_append_format(
            out, &err, "T %.*s: %llu %s", (int)totals[index].metric.size_bytes,
            totals[index].metric.bytes, (unsigned long long)totals[index].events_read, text));
        uint64_t events = 0;
        struct decimal units = DECIMAL_ZERO;
        for (size_t category = 0; category < USAGE_CATEGORIES_COUNT; category++) {
            events += totals[index].events[category];
            assert_true(decimal_add(units, totals[index].units[category], &units));
            if (totals[index].events[category] > 0) {
                (void)decimal_format(totals[index].units[category], text);
                assert_true(
                    buffer_append_format(out, &err, ", %s %llu %s", usage_category_names[category],
                                         (unsigned long long)totals[index].events[category], text));
            }
        }
        usage_run_put(out, "\n");
        assert_int_equal(events, totals[index].events_read);
        assert_int_equal(decimal_compare(units, totals[index].units_read), 0);
    }
}

/* The part that faults strike: all that the module does. */
/* What is told of the files that were read is what reading them again tells. */
static inline void usage_run_check_fingerprints(const struct usage *usage,
                                                const struct usage_run *run) {
    size_t count;
    const struct dataset_file *files = usage_fingerprints(usage, &count);
    for (size_t index = 0; index < count; index++) {
        struct err err = {0};
        struct dataset_file again = {0};
        assert_true(
            dataset_fingerprint_file(sys_real(), run->folder, files[index].name, 2, &again, &err));
        assert_true(files[index].has_content);
        assert_int_equal(files[index].size_bytes, again.size_bytes);
        assert_true(digest_equals(&files[index].content, &again.content));
    }
}

static inline bool usage_run_read(struct usage *usage, struct dataset *dataset,
                                  struct problems *problems, const struct usage_run *run,
                                  struct err *err) {
    if (!usage_read_csv(usage, problems, err) || !usage_read_seats_csv(usage, problems, err) ||
        (run->feed_more != NULL && !run->feed_more(run->context, usage, problems, err)) ||
        !usage_settle_events(usage, problems, err) || !problems_check(problems, err)) {
        return false;
    }
    catalog_settle(dataset_catalog(dataset));
    struct usage_run_shards shards = {usage, run->folder};
    return process_parallel(run->jobs > 0 ? run->jobs : 1, dataset_shards_count(dataset),
                            usage_run_shard, &shards, err);
}

static inline bool usage_run_all(const struct usage_run *run, struct dataset **dataset,
                                 struct usage **usage, struct problems *problems,
                                 struct buffer *out, struct err *err) {
    struct text selected = text_from(run->org != NULL ? run->org : "");
    char scratch[FILE_PATH_MAX];
    (void)snprintf(scratch, sizeof scratch, "%s/out", run->folder);
    struct dataset_options options = {
        .folder = run->folder,
        .scratch_folder = scratch,
        .month = {2026, 10},
        .has_cutoff = run->cutoff != NULL,
        .selected_orgs = &selected,
        .selected_orgs_count = run->org != NULL ? 1 : 0,
    };
    assert_true(run->cutoff == NULL ||
                instant_parse(text_from(run->cutoff), &options.cutoff) == NULL);
    const struct usage_options usage_options = {
        .folder = run->folder,
        .scratch_folder = scratch,
        .jobs = run->jobs > 0 ? run->jobs : 1,
        .memory_bytes = run->memory_bytes > 0 ? run->memory_bytes : 64 * 1024 * 1024,
    };
    const struct sys *sys = run->sys != NULL ? run->sys : sys_real();
    if (!directory_create(sys_real(), scratch, err) ||
        !dataset_load(sys_real(), &options, dataset, problems, err)) {
        return false;
    }
    mem_set_fault(run->memory_fault);
    bool is_done = usage_create(sys, dataset_catalog(*dataset), &usage_options, usage, err) &&
                   usage_run_read(*usage, *dataset, problems, run, err);
    mem_set_fault(NULL);
    if (!is_done) {
        return false;
    }
    usage_run_check_fingerprints(*usage, run);
    size_t shards_count = dataset_shards_count(*dataset);
    for (size_t shard = 0; shard < shards_count; shard++) {
        usage_run_put_tables(out, run->folder, shard);
    }
    usage_run_put_totals(out, *usage);
    return true;
}

/* The text, or "ERROR code: message" and the bad rows. Released by mem_free. */
static inline char *usage_run(const struct usage_run *run) {
    struct err err = {0};
    struct err format_err = {0};
    struct dataset *dataset = NULL;
    struct usage *usage = NULL;
    struct buffer out = {0};
    struct problems *problems = problems_create(&err);
    assert_non_null(problems);
    if (!usage_run_all(run, &dataset, &usage, problems, &out, &err)) {
        buffer_clear(&out);
        assert_true(buffer_append_format(&out, &format_err, "ERROR %d: %s\n%s", (int)err.code,
                                         err.message, err.details != NULL ? err.details : ""));
        err_release(&err);
    }
    assert_true(buffer_append(&out, (struct text){"", 1}, &format_err));
    usage_destroy(usage);
    dataset_destroy(dataset);
    problems_destroy(problems);
    return out.bytes;
}

static inline void usage_run_write(const struct test_folder *folder, const char *name,
                                   const char *content) {
    test_folder_write(folder, name, text_from(content));
}

/* Orgs a, b and c on a plan with a price of each aggregation, d without a plan, period 2026-10. */
static inline void usage_run_write_orgs(const struct test_folder *folder) {
    usage_run_write(folder, "orgs.csv", "org_id\na\nb\nc\nd\n");
    usage_run_write(folder, "plans.csv", "plan_id\np\n");
    usage_run_write(folder, "prices.csv",
                    "plan_id,metric,aggregation,model,unit_price\n"
                    "p,sum,sum,per_unit,2\np,count,count,per_unit,2\np,unique,unique,per_unit,2\n"
                    "p,last,last,per_unit,2\np,max,max,per_unit,2\n"
                    "p,average,time_weighted,per_unit,2\n");
    usage_run_write(folder, "subscriptions.csv",
                    "org_id,plan_id,starts_at,ends_at\na,p,2026-01-01T00:00:00Z,\n"
                    "b,p,2026-10-05T00:00:00Z,2026-10-25T00:00:00Z\nc,p,,\n");
}

/* Asserts what the run with these options says. */
static inline void usage_run_expect(const struct usage_run *run, const char *expected) {
    char *text = usage_run(run);
    assert_string_equal(text, expected);
    mem_free(text);
}

#endif
