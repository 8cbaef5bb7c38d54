/* Rows as the server packs them give what the same rows in a file give, however they are cut. */
#include <time.h>

#include "../../src/source/usage_database.h"
#include "usage_run.h"

enum { PACKS_MAX = 64 };

static const char *const metrics[] = {"sum", "count", "unique", "last", "max", "average", "other"};
static const char cutoff[] = "2026-11-01T00:00:00Z";

static struct test_folder folder;

static int setup(void **state) {
    (void)state;
    test_folder_create(&folder);
    usage_run_write_orgs(&folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_folder_remove(&folder);
    return 0;
}

static uint64_t random_next(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* --- rows and packs -------------------------------------------------------------------------- */

struct row {
    const char *org_id;
    const char *metric;
    const char *quantity;
    const char *occurred_at;
    const char *unique_key;  /* NULL: none */
    const char *recorded_at; /* NULL: sent only where it decides anything */
    bool is_set;
    bool has_record; /* though nothing in it matters */
};

struct pack {
    struct buffer columns[PACK_COLUMNS_COUNT];
};

struct packs {
    struct pack packs[PACKS_MAX];
    size_t count;
};

static void put(struct buffer *out, const void *bytes, size_t size_bytes) {
    struct err err = {0};
    assert_true(buffer_append(out, (struct text){bytes, size_bytes}, &err));
}

static void put_uint32(struct buffer *out, uint32_t value) {
    unsigned char bytes[4];
    wire_put_uint32(value, bytes);
    put(out, bytes, sizeof bytes);
}

static void put_instant(struct buffer *out, const char *text) {
    struct instant instant;
    unsigned char bytes[8];
    assert_null(instant_parse(text_from(text), &instant));
    wire_put_instant(instant, bytes);
    put(out, bytes, sizeof bytes);
}

static void put_numeric(struct buffer *out, const char *text) {
    struct decimal decimal;
    unsigned char bytes[DB_NUMERIC_BYTES_MAX];
    assert_int_equal(decimal_parse(text_from(text), &decimal), DECIMAL_OK);
    put(out, bytes, wire_put_decimal(decimal, bytes));
}

/* A field of record_send: its type, which nobody reads, its size, its bytes. */
static void put_text_field(struct buffer *out, const char *text) {
    put_uint32(out, 25);
    put_uint32(out, text != NULL ? (uint32_t)strlen(text) : UINT32_MAX);
    if (text != NULL) {
        put(out, text, strlen(text));
    }
}

static void put_record(struct buffer *out, const struct row *row) {
    unsigned char is_set = row->is_set ? 1 : 0;
    put_uint32(out, COLUMNS_COUNT - COLUMN_IS_SET);
    put_uint32(out, 16);
    put_uint32(out, 1);
    put(out, &is_set, 1);
    put_text_field(out, row->unique_key);
    put_text_field(out, NULL);
    put_uint32(out, 1184);
    put_uint32(out, row->recorded_at != NULL ? 8 : UINT32_MAX);
    if (row->recorded_at != NULL) {
        put_instant(out, row->recorded_at);
    }
    put_text_field(out, NULL);
}

static void pack_row(struct pack *pack, const struct row *row) {
    static const unsigned char infinity[8] = {0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    bool is_first = pack->columns[PACK_ORGS].size_bytes == 0;
    struct buffer *rows = &pack->columns[PACK_ROWS];
    if (!is_first) {
        put(&pack->columns[PACK_ORGS], "\n", 1);
        put(&pack->columns[PACK_METRICS], "\n", 1);
    }
    put(&pack->columns[PACK_ORGS], row->org_id, strlen(row->org_id));
    put(&pack->columns[PACK_METRICS], row->metric, strlen(row->metric));
    put_numeric(is_first ? &pack->columns[PACK_QUANTITY] : rows, row->quantity);
    if (row->is_set || row->unique_key != NULL || row->recorded_at != NULL || row->has_record) {
        put(rows, infinity, sizeof infinity);
        put_instant(rows, row->occurred_at);
        put_record(rows, row);
    } else {
        put_instant(rows, row->occurred_at);
    }
}

static void packs_release(struct packs *packs) {
    for (size_t pack = 0; pack < packs->count; pack++) {
        for (size_t column = 0; column < PACK_COLUMNS_COUNT; column++) {
            buffer_release(&packs->packs[pack].columns[column]);
        }
    }
}

static bool feed_packs(void *context, struct usage *usage, struct problems *problems,
                       struct err *err) {
    const struct packs *packs = context;
    struct usage_feed *feed = &usage->feeds[0];
    bool is_done = true;
    feed->file_name = database_ledger;
    for (size_t pack = 0; is_done && pack < packs->count; pack++) {
        struct db_field fields[PACK_COLUMNS_COUNT];
        for (size_t column = 0; column < PACK_COLUMNS_COUNT; column++) {
            /* In memory of just their size: not a byte behind them may be read. */
            struct text text = buffer_text(&packs->packs[pack].columns[column]);
            unsigned char *bytes = mem_alloc(text.size_bytes);
            assert_non_null(bytes);
            memcpy(bytes, text.bytes, text.size_bytes);
            fields[column] = (struct db_field){bytes, (uint32_t)text.size_bytes};
        }
        is_done = feed_database_pack(feed, fields, err);
        for (size_t column = 0; column < PACK_COLUMNS_COUNT; column++) {
            mem_free((void *)(uintptr_t)fields[column].bytes);
        }
    }
    return is_done && usage_merge_problems(usage, problems, err);
}

static char *read_packs(struct packs *packs) {
    return usage_run(&(struct usage_run){
        .folder = folder.path, .cutoff = cutoff, .feed_more = feed_packs, .context = packs});
}

/* --- the same as a file ---------------------------------------------------------------------- */

struct texts {
    char quantity[48];
    char occurred_at[INSTANT_TEXT_MAX];
    char unique_key[16];
};

static const char *draw_quantity(uint64_t *random, char text[48]) {
    static const char *const odd[] = {"0",
                                      "-3",
                                      "0.000000000000001",
                                      "-12345678901234567890.25",
                                      "9999999999999999",
                                      "0.00012",
                                      "120000",
                                      "-0.5"};
    uint64_t kind = random_next(random) % 16;
    if (kind < sizeof odd / sizeof odd[0]) {
        return odd[kind];
    }
    (void)snprintf(text, 48, "%u.%02u", (unsigned)(random_next(random) % 100000),
                   (unsigned)(random_next(random) % 100));
    return text;
}

static void draw_row(uint64_t *random, struct row *row, struct texts *texts) {
    static const char *const orgs[] = {"a", "b", "c", "d"};
    if (random_next(random) % 4 == 0 || row->org_id == NULL) {
        row->org_id = orgs[random_next(random) % 4];
        row->metric = metrics[random_next(random) % (sizeof metrics / sizeof metrics[0])];
    }
    bool is_unique = strcmp(row->metric, "unique") == 0;
    bool is_level = strcmp(row->metric, "last") == 0 || strcmp(row->metric, "max") == 0 ||
                    strcmp(row->metric, "average") == 0;
    row->is_set = is_level && random_next(random) % 2 == 0;
    row->quantity = draw_quantity(random, texts->quantity);
    (void)snprintf(texts->occurred_at, sizeof texts->occurred_at, "2026-%s-%02uT%02u:00:%02uZ",
                   random_next(random) % 8 != 0 ? "10" : "09",
                   (unsigned)(random_next(random) % 3 + 4), (unsigned)(random_next(random) % 24),
                   (unsigned)(random_next(random) % 60));
    row->occurred_at = texts->occurred_at;
    (void)snprintf(texts->unique_key, sizeof texts->unique_key, "k%u",
                   (unsigned)(random_next(random) % 5));
    row->unique_key = is_unique || random_next(random) % 16 == 0 ? texts->unique_key : NULL;
    row->recorded_at = random_next(random) % 16 == 0 ? "2026-11-01T00:00:00.000001Z" : NULL;
    row->has_record = random_next(random) % 16 == 0;
}

static void packed_rows_give_what_a_file_gives(void **state) {
    uint64_t seed = (uint64_t)time(NULL);
    uint64_t random = seed * 2654435761u + 1;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 40; round++) {
        struct packs packs = {.count = 1};
        struct buffer csv = {0};
        struct row row = {0};
        struct texts texts;
        struct err err = {0};
        assert_true(buffer_append(
            &csv, text_from("org_id,metric,kind,quantity,occurred_at,unique_key,recorded_at\n"),
            &err));
        for (unsigned rows = (unsigned)(random_next(&random) % 300 + 1); rows > 0; rows--) {
            draw_row(&random, &row, &texts);
            pack_row(&packs.packs[packs.count - 1], &row);
            assert_true(buffer_append_format(&csv, &err, "%s,%s,%s,%s,%s,%s,%s\n", row.org_id,
                                             row.metric, row.is_set ? "set" : "delta", row.quantity,
                                             row.occurred_at,
                                             row.unique_key != NULL ? row.unique_key : "",
                                             row.recorded_at != NULL ? row.recorded_at : ""));
            if (rows > 1 && packs.count < PACKS_MAX && random_next(&random) % 20 == 0) {
                packs.count++;
            }
        }
        assert_true(buffer_append(&csv, (struct text){"", 1}, &err));
        char *packed = read_packs(&packs);
        test_folder_write(&folder, "usage.csv", text_from(csv.bytes));
        usage_run_expect(&(struct usage_run){.folder = folder.path, .cutoff = cutoff}, packed);
        assert_null(strstr(packed, "ERROR"));
        test_folder_write(&folder, "usage.csv", text_from("org_id,metric,quantity,occurred_at\n"));
        mem_free(packed);
        buffer_release(&csv);
        packs_release(&packs);
    }
}

/* --- what no server packs -------------------------------------------------------------------- */

static void fill(struct pack *pack) {
    const struct row rows[] = {
        {.org_id = "a", .metric = "sum", .quantity = "7", .occurred_at = "2026-10-02T01:00:00Z"},
        {.org_id = "a", .metric = "sum", .quantity = "0.25", .occurred_at = "2026-10-02T02:00:00Z"},
        {.org_id = "a",
         .metric = "max",
         .quantity = "9",
         .occurred_at = "2026-10-03T00:00:00Z",
         .is_set = true},
        {.org_id = "c", .metric = "sum", .quantity = "11", .occurred_at = "2026-10-04T00:00:00Z"},
    };
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        pack_row(pack, &rows[index]);
    }
}

static void packed_rows_that_are_cut_anywhere_are_refused(void **state) {
    (void)state;
    for (size_t column = 0; column < PACK_COLUMNS_COUNT; column++) {
        for (size_t cut = 0;; cut++) {
            struct packs packs = {.count = 1};
            fill(&packs.packs[0]);
            struct buffer *bytes = &packs.packs[0].columns[column];
            if (cut == bytes->size_bytes) {
                packs_release(&packs);
                break;
            }
            bytes->size_bytes = cut;
            char *text = read_packs(&packs);
            /* A name that is cut is another name: of an org that is not there, or of a metric. */
            bool is_name = column == PACK_METRICS && cut > 0 && bytes->bytes[cut - 1] != '\n' &&
                           cut > strlen("sum\nsum\nmax\n");
            if (!is_name) {
                assert_non_null(strstr(text, "ERROR"));
            }
            mem_free(text);
            packs_release(&packs);
        }
    }
}

static void packed_rows_with_more_than_their_number_are_refused(void **state) {
    (void)state;
    for (size_t column = 0; column < PACK_COLUMNS_COUNT; column++) {
        struct packs packs = {.count = 1};
        fill(&packs.packs[0]);
        put(&packs.packs[0].columns[column], "\na", 2);
        char *text = read_packs(&packs);
        assert_non_null(strstr(text, "packed usage in a form not known here"));
        mem_free(text);
        packs_release(&packs);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(packed_rows_give_what_a_file_gives),
        TEST(packed_rows_that_are_cut_anywhere_are_refused),
        TEST(packed_rows_with_more_than_their_number_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
