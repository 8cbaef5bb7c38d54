/* A small good dataset, whose files a test replaces one by one; and its tables as text. */
#ifndef TESTS_SOURCE_DATASET_FIXTURE_H
#define TESTS_SOURCE_DATASET_FIXTURE_H

#include "support/test_folder.h"

#include "core/memory.h"
#include "source/dataset.h"

struct fixture {
    struct test_folder folder;
    char source[FILE_PATH_MAX];
    char scratch[FILE_PATH_MAX];
    struct dataset_options options;
    struct dataset *dataset;
    struct problems *problems;
    struct err err;
    struct buffer text;
};

struct named_content {
    const char *name;
    const char *content;
};

static const struct named_content good_files[] = {
    {"orgs.csv", "org_id,name,status,currency,timezone,anchor_day,overage_enabled,overage_cap,"
                 "stripe_customer_id,stripe_item_mode\n"
                 "globex,,,EUR,Europe/Berlin,15,no,12.50,cus_9,quantity\n"
                 "acme,\"Acme, \"\"Inc\"\"\n=Co\",suspended,,,,,,,\n"
                 "initech,Initech,cancelled,jpy,Asia/Tokyo,31,TRUE,300,,\n"},
    {"plans.csv", "plan_id,name,currency\nteam,Team,eur\npro,,\nyen,Yen,JPY\n"},
    {"prices.csv", "plan_id,metric,aggregation,model,included,hard_limit,unit_price,package_size,"
                   "unit\n"
                   "pro,tokens,,,500000,,0.0001,,token\n"
                   "pro,disk,time_weighted,graduated,10,,7,8,GB\n"
                   "team,runs,count,package,50,900,1.5,25,\n"
                   "yen,seats,,volume,3,,,,\n"},
    {"tiers.csv", "plan_id,metric,up_to,unit_price,flat_price\n"
                  "pro,disk,,0.02,\n"
                  "pro,disk,100,0.05,3\n"
                  "yen,seats,,400,\n"
                  "pro,disk,12.5,0.09,\n"},
    {"subscriptions.csv", "org_id,plan_id,starts_at,ends_at\n"
                          "acme,pro,2026-01-01T00:00:00Z,\n"
                          "globex,pro,2026-01-01T00:00:00Z,2026-10-20T00:00:00Z\n"
                          "globex,team,2026-10-20T00:00:00Z,2026-11-01T00:00:00Z\n"
                          "initech,yen,,\n"},
    {"limits.csv", "org_id,metric,soft_limit,hard_limit\n"
                   "globex,runs,70,80.5\nacme,tokens,,1000000\nacme,disk,20,\n"},
    {"usage_history.csv",
     "org_id,metric,period,quantity,closing_level,overage,cost,currency,projected,projected_cost\n"
     "acme,tokens,2026-09,4321,,0,0,usd,5000,0\n"
     "acme,disk,2026-09,7.5,8.25,,,,,\n"
     "acme,disk,2026-08,6,5,,,,,\n"
     "acme,books,2026-09,1,99,,,,,\n"},
    {"invitations.csv",
     "invitation_id,org_id,email,role,status,created_at,expires_at,accepted_at\n"
     "i2,acme,a@x.example,admin,pending,2026-09-01T00:00:00Z,2026-10-01T00:00:00+02:00,\n"
     "i1,globex,,,accepted,2026-09-01 10:00:00.5,,2026-09-02T00:00:00Z\n"},
};
enum { GOOD_FILES_COUNT = sizeof good_files / sizeof good_files[0] };

static inline void fixture_write(struct fixture *fixture, const char *name, const char *content) {
    char path[FILE_PATH_MAX];
    (void)snprintf(path, sizeof path, "source/%s", name);
    test_folder_write(&fixture->folder, path, text_from(content));
}

static inline void fixture_remove(struct fixture *fixture, const char *name) {
    char path[FILE_PATH_MAX];
    assert_true(path_format(path, &fixture->err, "%s/%s", fixture->source, name));
    assert_true(path_remove_tree(sys_real(), path, &fixture->err));
}

static inline void fixture_write_good(struct fixture *fixture) {
    for (size_t file = 0; file < GOOD_FILES_COUNT; file++) {
        fixture_write(fixture, good_files[file].name, good_files[file].content);
    }
}

static inline int fixture_set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    test_folder_create(&fixture->folder);
    struct err *err = &fixture->err;
    assert_true(path_format(fixture->source, err, "%s/source", fixture->folder.path));
    assert_true(path_format(fixture->scratch, err, "%s/scratch", fixture->folder.path));
    assert_true(directory_create(sys_real(), fixture->source, err));
    assert_true(directory_create(sys_real(), fixture->scratch, err));
    fixture_write_good(fixture);
    fixture->options.folder = fixture->source;
    fixture->options.scratch_folder = fixture->scratch;
    fixture->options.month = (struct month){2026, 10};
    fixture->problems = problems_create(err);
    *state = fixture;
    return 0;
}

static inline void fixture_forget(struct fixture *fixture) {
    dataset_destroy(fixture->dataset);
    fixture->dataset = NULL;
    problems_destroy(fixture->problems);
    err_release(&fixture->err);
    fixture->problems = problems_create(&fixture->err);
    buffer_clear(&fixture->text);
}

static inline int fixture_tear_down(void **state) {
    struct fixture *fixture = *state;
    fixture_forget(fixture);
    problems_destroy(fixture->problems);
    buffer_release(&fixture->text);
    test_folder_remove(&fixture->folder);
    free(fixture);
    return 0;
}

static inline void fixture_load(struct fixture *fixture) {
    bool is_loaded = dataset_load(sys_real(), &fixture->options, &fixture->dataset,
                                  fixture->problems, &fixture->err) &&
                     problems_check(fixture->problems, &fixture->err);
    if (!is_loaded) {
        print_error("%s\n%s\n", fixture->err.message,
                    fixture->err.details != NULL ? fixture->err.details : "");
    }
    assert_true(is_loaded);
}

/* --- tables --------------------------------------------------------------------------------- */

enum {
    FIXTURE_ORGS,
    FIXTURE_PLANS,
    FIXTURE_PRICES,
    FIXTURE_TIERS,
    FIXTURE_SUBSCRIPTIONS,
    FIXTURE_LIMITS,
    FIXTURE_HISTORY,
    FIXTURE_INVITATIONS,
    FIXTURE_TABLES_COUNT,
};

static inline const struct table_schema *fixture_schema(size_t table) {
    const struct table_schema *const schemas[FIXTURE_TABLES_COUNT] = {
        &checkpoint_orgs,          &checkpoint_plans,  &checkpoint_prices,  &checkpoint_tiers,
        &checkpoint_subscriptions, &checkpoint_limits, &checkpoint_history, &checkpoint_invitations,
    };
    return schemas[table];
}

/* Writes shard 0 as FOLDER/NAME.arrow. */
static inline void fixture_write_tables(struct fixture *fixture, const char *folder) {
    struct table_writer *writers[FIXTURE_TABLES_COUNT];
    struct err *err = &fixture->err;
    char path[FILE_PATH_MAX];
    assert_true(directory_create(sys_real(), folder, err));
    for (size_t table = 0; table < FIXTURE_TABLES_COUNT; table++) {
        assert_true(path_format(path, err, "%s/%s.arrow", folder, fixture_schema(table)->name));
        assert_true(table_writer_create(sys_real(), path, fixture_schema(table), NULL, 0,
                                        &writers[table], err));
    }
    const struct dataset_writers all = {
        .orgs = writers[FIXTURE_ORGS],
        .plans = writers[FIXTURE_PLANS],
        .prices = writers[FIXTURE_PRICES],
        .tiers = writers[FIXTURE_TIERS],
        .subscriptions = writers[FIXTURE_SUBSCRIPTIONS],
        .limits = writers[FIXTURE_LIMITS],
        .history = writers[FIXTURE_HISTORY],
        .invitations = writers[FIXTURE_INVITATIONS],
    };
    assert_true(dataset_write(fixture->dataset, 0, &all, err));
    for (size_t table = 0; table < FIXTURE_TABLES_COUNT; table++) {
        struct table_seal seal;
        assert_true(table_writer_commit(writers[table], &seal, err));
    }
}

static inline struct table *fixture_open(struct fixture *fixture, const char *folder,
                                         size_t table_number) {
    char path[FILE_PATH_MAX];
    struct table *table;
    assert_true(path_format(path, &fixture->err, "%s/%s.arrow", folder,
                            fixture_schema(table_number)->name));
    assert_true(table_open(sys_real(), path, fixture_schema(table_number), &table, &fixture->err));
    return table;
}

static inline void append_value(struct buffer *text, const struct table_cursor *row, size_t column,
                                enum table_type type) {
    struct err err = {0};
    char shown[DECIMAL_TEXT_MAX + INSTANT_TEXT_MAX] = "-";
    struct text value = {shown, 1};
    if (!table_is_null(row, column)) {
        switch (type) {
        case TABLE_UTF8:
            value = table_get_text(row, column);
            break;
        case TABLE_DECIMAL:
            value.size_bytes = decimal_format(table_get_decimal(row, column), shown);
            break;
        case TABLE_INT64:
            value.size_bytes =
                (size_t)snprintf(shown, sizeof shown, "%d", (int)table_get_int64(row, column));
            break;
        case TABLE_TIMESTAMP:
            value.size_bytes = instant_format(table_get_instant(row, column), shown);
            break;
        case TABLE_DATE:
            value.size_bytes = civil_format(table_get_date(row, column), shown);
            break;
        case TABLE_BOOL:
            value = text_from(table_get_bool(row, column) ? "true" : "false");
            break;
        }
    }
    assert_true(buffer_append(text, value, &err));
    assert_true(buffer_append(text, text_from("|"), &err));
}

/* The table as text: a line per row, values between bars, null as "-". Valid until the next. */
static inline const char *fixture_tell(struct fixture *fixture, const char *folder,
                                       size_t table_number) {
    const struct table_schema *schema = fixture_schema(table_number);
    struct table *table = fixture_open(fixture, folder, table_number);
    struct table_cursor row = table_cursor_start(table);
    buffer_clear(&fixture->text);
    while (table_cursor_next(&row)) {
        for (size_t column = 0; column < schema->columns_count; column++) {
            append_value(&fixture->text, &row, column, schema->columns[column].type);
        }
        assert_true(buffer_append(&fixture->text, text_from("\n"), &fixture->err));
    }
    table_close(table);
    assert_true(buffer_append(&fixture->text, (struct text){"", 1}, &fixture->err));
    return fixture->text.bytes;
}

static inline const struct catalog_org *fixture_org(struct fixture *fixture, const char *org_id) {
    const struct catalog *catalog = dataset_catalog(fixture->dataset);
    uint32_t rank = catalog_find_org(catalog, text_from(org_id));
    assert_true(rank < catalog->orgs_count);
    return &catalog->orgs[rank];
}

#endif
