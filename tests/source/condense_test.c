/*
 * The same rows in any order, any split into files, with any number of jobs, any line ends, quotes
 * or not, and hardly any memory give the same tables. Rows are random, the seed is printed.
 */
#include <time.h>

#include "usage_run.h"

static struct test_folder folder;

enum { ROWS_MAX = 12000, ROW_BYTES = 160 };

struct rows {
    char (*texts)[ROW_BYTES];
    size_t count;
};

static uint64_t random_next(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static uint64_t random_below(uint64_t *random, uint64_t bound) {
    return random_next(random) % bound;
}

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

static const char header[] =
    "org_id,metric,quantity,occurred_at,event_id,kind,unique_key,recorded_at";

static const char *const metrics[] = {"sum", "count", "unique", "last", "max", "average", "other"};

/* One random row; some with an id that comes again, word for word. */
static void make_row(uint64_t *random, char text[ROW_BYTES], bool has_whale) {
    static const char *const orgs[] = {"a", "b", "c", "d"};
    static const char *const fractions[] = {"", ".5", ".25", ".000000000000001", ".10"};
    const char *org = orgs[has_whale ? 0 : random_below(random, 4)];
    const char *metric = metrics[has_whale ? 3 : random_below(random, 7)];
    bool is_level = strcmp(metric, "last") == 0 || strcmp(metric, "max") == 0;
    unsigned month = (unsigned)(9 + random_below(random, 3));
    unsigned day = (unsigned)(1 + random_below(random, 28));
    unsigned second = (unsigned)random_below(random, 3); /* ties are common */
    char event_id[32] = "";
    if (random_below(random, 3) == 0) {
        (void)snprintf(event_id, sizeof event_id, "event-%llu",
                       (unsigned long long)random_next(random));
    }
    char key[32] = "";
    if (strcmp(metric, "unique") == 0) {
        (void)snprintf(key, sizeof key, "key-%u", (unsigned)random_below(random, 300));
    }
    const char *kind = is_level && random_below(random, 2) == 0 ? "delta" : "";
    const char *recorded[] = {"", "2026-09-15T00:00:00Z", "2026-11-01T12:00:00Z",
                              "2026-12-01T00:00:00Z"};
    (void)snprintf(text, ROW_BYTES, "%s,%s,%s%u%s,2026-%02u-%02uT10:00:%02uZ,%s,%s,%s,%s", org,
                   metric, random_below(random, 5) == 0 ? "-" : "",
                   (unsigned)random_below(random, 1000), fractions[random_below(random, 5)], month,
                   day, second, event_id, kind, key, recorded[random_below(random, 4)]);
}

static struct rows make_rows(uint64_t seed, size_t count, bool has_whale) {
    struct rows rows = {.texts = mem_alloc(count * ROW_BYTES), .count = count};
    uint64_t random = seed * 2654435761u + 1;
    for (size_t index = 0; index < count; index++) {
        if (index > 100 && random_below(&random, 6) == 0) {
            memcpy(rows.texts[index], rows.texts[random_below(&random, index)], ROW_BYTES);
            if (strstr(rows.texts[index], "event-") != NULL) {
                continue; /* a duplicate */
            }
        }
        make_row(&random, rows.texts[index], has_whale);
    }
    return rows;
}

static void shuffle(struct rows *rows, uint64_t seed) {
    uint64_t random = seed | 1;
    for (size_t left = rows->count; left > 1; left--) {
        char row[ROW_BYTES];
        size_t other = (size_t)random_below(&random, left);
        memcpy(row, rows->texts[other], ROW_BYTES);
        memcpy(rows->texts[other], rows->texts[left - 1], ROW_BYTES);
        memcpy(rows->texts[left - 1], row, ROW_BYTES);
    }
}

struct style {
    const char *line_end;
    size_t files_count;
    size_t quoted_each; /* every so many rows, one in quotes, with a line feed inside; 0: none */
};

static void write_files(const struct rows *rows, struct style style) {
    struct err err = {0};
    for (size_t file = 0; file < 3; file++) {
        char name[32];
        struct buffer content = {0};
        assert_true(buffer_append_format(&content, &err, "%s%s%s", header,
                                         style.quoted_each > 0 ? ",note" : "", style.line_end));
        for (size_t row = file; row < rows->count && file < style.files_count;
             row += style.files_count) {
            bool is_quoted = style.quoted_each > 0 && row % style.quoted_each == 0;
            const char *note = is_quoted ? ",\"says \"\"x\"\",\nand y\"" : ",";
            assert_true(buffer_append_format(&content, &err, "%s%s%s", rows->texts[row],
                                             style.quoted_each > 0 ? note : "", style.line_end));
        }
        (void)snprintf(name, sizeof name, "usage_%zu.csv", file);
        test_folder_write(&folder, name, buffer_text(&content));
        buffer_release(&content);
    }
}

static void expect_same(const struct rows *rows, struct style style, size_t jobs,
                        uint64_t memory_bytes, const char *expected) {
    write_files(rows, style);
    usage_run_expect(&(struct usage_run){.folder = folder.path,
                                         .jobs = jobs,
                                         .memory_bytes = memory_bytes,
                                         .cutoff = "2026-11-02T00:00:00Z"},
                     expected);
}

static char *first_text(const struct rows *rows) {
    write_files(rows, (struct style){"\n", 1, 0});
    char *text =
        usage_run(&(struct usage_run){.folder = folder.path, .cutoff = "2026-11-02T00:00:00Z"});
    assert_int_equal(strncmp(text, "S ", 2), 0);
    return text;
}

static void condense_does_not_depend_on_order_jobs_memory_or_form(void **state) {
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rows rows = make_rows(seed, 4000, false);
    char *expected = first_text(&rows);
    expect_same(&rows, (struct style){"\n", 1, 0}, 2, 0, expected);
    expect_same(&rows, (struct style){"\n", 1, 0}, 4, 1, expected);
    shuffle(&rows, seed);
    expect_same(&rows, (struct style){"\r\n", 1, 0}, 2, 1, expected);
    expect_same(&rows, (struct style){"\n", 3, 0}, 1, 1, expected);
    expect_same(&rows, (struct style){"\n", 1, 7}, 2, 1, expected);
    expect_same(&rows, (struct style){"\r\n\n", 1, 400}, 4, 1, expected);
    mem_free(expected);
    mem_free(rows.texts);
}

static void condense_sorts_a_whale_in_many_runs(void **state) {
    (void)state;
    struct rows rows = make_rows(5, ROWS_MAX, true);
    char *expected = first_text(&rows);
    shuffle(&rows, 5);
    expect_same(&rows, (struct style){"\n", 1, 0}, 1, 1, expected);
    expect_same(&rows, (struct style){"\n", 1, 0}, 3, 1, expected);
    mem_free(expected);
    mem_free(rows.texts);
}

/*
 * Rows of few orgs, metrics and dates, most of them plain, in the order in which they can be
 * folded; their times lie around all midnights, so that a date holds two days of an org.
 */
static struct rows make_plain_rows(uint64_t seed, size_t count) {
    static const char *const quantities[] = {"7", "12.5", "0.25", "1234567", "-3", "12345678901.5"};
    struct rows rows = {.texts = mem_alloc(count * ROW_BYTES), .count = count};
    uint64_t random = seed * 2654435761u + 1;
    for (size_t index = 0; index < count; index++) {
        size_t place = index * 64 / count; /* of one org, metric and date */
        const char *event_id = "";
        if (random_below(&random, 60) == 0) {
            event_id = "some-event"; /* with the index behind it: no two are one */
        }
        int written = snprintf(
            rows.texts[index], ROW_BYTES, "%c,%s,%s,2026-10-%02uT%02u:%02u:%02uZ,%s",
            (int)('a' + place / 16), metrics[place / 8 % 2], quantities[random_below(&random, 6)],
            (unsigned)(24 + place % 8), (unsigned)random_below(&random, 24),
            (unsigned)random_below(&random, 60), (unsigned)random_below(&random, 60), event_id);
        assert_true(written > 0);
        size_t used = (size_t)written;
        if (event_id[0] != '\0') {
            used += (size_t)snprintf(rows.texts[index] + used, ROW_BYTES - used, "-%zu", index);
        }
        bool is_late = random_below(&random, 90) == 0;
        (void)snprintf(rows.texts[index] + used, ROW_BYTES - used, ",,,%s",
                       is_late ? "2026-12-01T00:00:00Z" : "");
    }
    return rows;
}

static void condense_adds_up_ordered_rows_like_shuffled_ones(void **state) {
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    usage_run_write(&folder, "orgs.csv",
                    "org_id,timezone\na,Europe/Berlin\nb,\nc,Asia/Kolkata\nd,\n");
    struct rows rows = make_plain_rows(seed, 6000);
    char *ordered = first_text(&rows);
    expect_same(&rows, (struct style){"\n", 1, 0}, 2, 1, ordered);
    expect_same(&rows, (struct style){"\r\n", 1, 0}, 1, 0, ordered);
    expect_same(&rows, (struct style){"\n", 1, 500}, 2, 1, ordered);
    shuffle(&rows, seed);
    expect_same(&rows, (struct style){"\n", 1, 0}, 1, 0, ordered);
    mem_free(ordered);
    mem_free(rows.texts);
}

/* The quantity last, the time long before it, and more before both than most rows have. */
static void write_turned_round(const struct rows *rows) {
    struct err err = {0};
    struct buffer content = {0};
    assert_true(buffer_append(
        &content, text_from("note,occurred_at,event_id,recorded_at,metric,org_id,quantity\n"),
        &err));
    for (size_t row = 0; row < rows->count; row++) {
        struct text fields[8];
        const char *at = rows->texts[row];
        for (size_t field = 0; field < 8; field++) {
            fields[field] = (struct text){at, strcspn(at, ",")};
            at += fields[field].size_bytes + 1;
        }
        static const unsigned order[] = {3, 4, 7, 1, 0, 2};
        assert_true(buffer_append(&content, text_from("twenty-two bytes a note"), &err));
        for (size_t place = 0; place < 6; place++) {
            assert_true(buffer_append(&content, text_from(","), &err) &&
                        buffer_append(&content, fields[order[place]], &err));
        }
        assert_true(buffer_append(&content, text_from("\n"), &err));
    }
    test_folder_write(&folder, "usage_0.csv", buffer_text(&content));
    buffer_release(&content);
}

static void condense_adds_up_ordered_rows_whatever_the_order_of_columns(void **state) {
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    usage_run_write(&folder, "orgs.csv",
                    "org_id,timezone\na,Europe/Berlin\nb,\nc,Asia/Kolkata\nd,\n");
    struct rows rows = make_plain_rows(seed, 6000);
    char *ordered = first_text(&rows);
    write_turned_round(&rows);
    usage_run_expect(&(struct usage_run){.folder = folder.path, .cutoff = "2026-11-02T00:00:00Z"},
                     ordered);
    mem_free(ordered);
    mem_free(rows.texts);
}

/* Rows of two orgs that lie in different buckets, in short blocks, some of them with quotes. */
static void condense_adds_up_rows_around_those_with_quotes(void **state) {
    (void)state;
    uint64_t random = (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("random from %llu\n", (unsigned long long)random);
    struct err err = {0};
    struct buffer orgs = {0};
    struct buffer subscriptions = {0};
    assert_true(buffer_append(&orgs, text_from("org_id\n"), &err));
    assert_true(buffer_append(&subscriptions, text_from("org_id,plan_id\n"), &err));
    for (unsigned org = 0; org < 60; org++) {
        assert_true(buffer_append_format(&orgs, &err, "o%02u\n", org));
        assert_true(buffer_append_format(&subscriptions, &err, "o%02u,p\n", org));
    }
    test_folder_write(&folder, "orgs.csv", buffer_text(&orgs));
    test_folder_write(&folder, "subscriptions.csv", buffer_text(&subscriptions));
    struct rows rows = {.texts = mem_alloc(6000 * ROW_BYTES), .count = 6000};
    const char *org = "o00";
    for (size_t index = 0; index < rows.count; index++) {
        if (random_below(&random, 5) == 0) {
            org = random_below(&random, 2) == 0 ? "o00" : "o59";
        }
        (void)snprintf(rows.texts[index], ROW_BYTES, "%s,sum,%u,2026-10-07T10:00:%02uZ,,,,", org,
                       (unsigned)random_below(&random, 5000), (unsigned)random_below(&random, 60));
    }
    char *expected = first_text(&rows);
    expect_same(&rows, (struct style){"\n", 1, 301}, 1, 1, expected);
    expect_same(&rows, (struct style){"\n", 2, 201}, 2, 1, expected);
    expect_same(&rows, (struct style){"\n", 1, 0}, 1, 1, expected);
    mem_free(expected);
    mem_free(rows.texts);
    buffer_release(&orgs);
    buffer_release(&subscriptions);
}

/* One event, told again in every row, takes the room of one. */
static void condense_tells_one_event_among_thousands_of_its_rows(void **state) {
    (void)state;
    struct rows rows = {.texts = mem_alloc(ROWS_MAX * ROW_BYTES), .count = ROWS_MAX};
    for (size_t index = 0; index < ROWS_MAX; index++) {
        (void)snprintf(rows.texts[index], ROW_BYTES, "a,sum,1.5,2026-10-02T00:00:00Z,e,,,");
    }
    expect_same(&rows, (struct style){"\n", 1, 0}, 2, 1,
                "S a sum 1 1.5 2026-10-02T00:00:00Z 2026-10-02T00:00:00Z - - -\n"
                "D a sum 2026-10-02 1.5 1\nT sum: 12000 18000, duplicate 11999 17998.5, metered 1 "
                "1.5\n");
    mem_free(rows.texts);
}

/* More distinct events than a job's memory holds, so that partitions take several turns. */
static void condense_tells_many_events_apart_in_little_memory(void **state) {
    (void)state;
    struct rows rows = {.texts = mem_alloc(ROWS_MAX * ROW_BYTES), .count = ROWS_MAX};
    for (size_t index = 0; index < ROWS_MAX; index++) {
        /* With keys, events take more room than a partition is planned for. */
        (void)snprintf(rows.texts[index], ROW_BYTES, "%c,unique,3,2026-10-02T00:00:00Z,e%zu,,k,",
                       index % 2 == 0 ? 'a' : 'c', index < 3000 ? index + 9000 : index);
    }
    shuffle(&rows, 3);
    expect_same(&rows, (struct style){"\n", 1, 0}, 1, 1,
                "S a unique 4500 13500 2026-10-02T00:00:00Z 2026-10-02T00:00:00Z - - -\n"
                "S c unique 4500 13500 2026-10-02T00:00:00Z 2026-10-02T00:00:00Z - - -\n"
                "D a unique 2026-10-02 13500 4500\nD c unique 2026-10-02 13500 4500\n"
                "K a unique 2026-10-02 1\nK c unique 2026-10-02 1\n"
                "T unique: 12000 36000, duplicate 3000 9000, metered 9000 27000\n");
    mem_free(rows.texts);
}

/* A plan with more prices than a job has cells for is condensed in several windows. */
static void condense_takes_a_plan_of_thousands_of_prices(void **state) {
    (void)state;
    enum { PRICES = 3000 };
    struct err err = {0};
    struct buffer prices = {0};
    struct buffer usage = {0};
    assert_true(
        buffer_append(&prices, text_from("plan_id,metric,aggregation,model,unit_price\n"), &err));
    assert_true(buffer_append(&usage, text_from("org_id,metric,quantity,occurred_at\n"), &err));
    for (unsigned price = 0; price < PRICES; price++) {
        assert_true(buffer_append_format(&prices, &err, "p,m%04u,sum,per_unit,2\n", price));
    }
    for (unsigned row = 0; row < 3 * PRICES; row++) {
        unsigned price = row * 7919u % PRICES;
        assert_true(buffer_append_format(&usage, &err, "a,m%04u,%u.5,2026-10-%02uT00:00:00Z\n",
                                         price, price, 1 + row % 30));
    }
    test_folder_write(&folder, "prices.csv", buffer_text(&prices));
    test_folder_write(&folder, "usage.csv", buffer_text(&usage));
    char *expected = usage_run(&(struct usage_run){.folder = folder.path});
    assert_non_null(strstr(expected, "S a m2999 3 8998.5 "));
    usage_run_expect(&(struct usage_run){.folder = folder.path, .jobs = 2, .memory_bytes = 1},
                     expected);
    mem_free(expected);
    buffer_release(&prices);
    buffer_release(&usage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(condense_does_not_depend_on_order_jobs_memory_or_form),
        TEST(condense_adds_up_ordered_rows_like_shuffled_ones),
        TEST(condense_adds_up_ordered_rows_whatever_the_order_of_columns),
        TEST(condense_adds_up_rows_around_those_with_quotes),
        TEST(condense_sorts_a_whale_in_many_runs),
        TEST(condense_tells_one_event_among_thousands_of_its_rows),
        TEST(condense_tells_many_events_apart_in_little_memory),
        TEST(condense_takes_a_plan_of_thousands_of_prices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
