/* Seats as the server packs their events give what the same seats in a file give, in any order. */
#include <time.h>

#include "../../src/source/usage_database.h"
#include "usage_run.h"

enum { PACKS_MAX = 64, SEATS_MAX = 400 };

#define YEAR_0001_US INT64_C(-62135596800000000)
#define YEAR_10000_US INT64_C(253402300800000000)

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

/* --- seats and packs ------------------------------------------------------------------------- */

static void put(struct buffer *out, const void *bytes, size_t size_bytes) {
    struct err err = {0};
    assert_true(buffer_append(out, (struct text){bytes, size_bytes}, &err));
}

struct seat {
    const char *org_id;
    unsigned user;
    const char *role; /* NULL: none */
    int64_t assigned_at_us;
    int64_t revoked_at_us; /* INT64_MAX: not revoked */
    int64_t expires_at_us; /* INT64_MAX: never */
};

struct seats_packs {
    struct buffer columns[PACKS_MAX][SEATS_PACK_COLUMNS_COUNT];
    size_t count;
};

static void put_time(struct buffer *out, int64_t at_us) {
    unsigned char bytes[8] = {0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    if (at_us != INT64_MAX) {
        wire_put_uint64((uint64_t)(at_us - WIRE_EPOCH_US), bytes);
    }
    put(out, bytes, sizeof bytes);
}

static void put_role(struct buffer *out, const struct seat *seat) {
    const char *role = seat->role != NULL ? seat->role : "";
    struct buffer bytes = {0};
    struct err err = {0};
    if (seat->expires_at_us == INT64_MAX && strpbrk(role, "\n\x01") == NULL) {
        put(out, role, strlen(role));
        return;
    }
    put_time(&bytes, seat->expires_at_us);
    put(&bytes, role, strlen(role));
    put(out, "\x01", 1);
    for (size_t index = 0; index < bytes.size_bytes; index++) {
        assert_true(
            buffer_append_format(out, &err, "%02x", (unsigned)(unsigned char)bytes.bytes[index]));
    }
    buffer_release(&bytes);
}

static void pack_seat(struct buffer columns[SEATS_PACK_COLUMNS_COUNT], const struct seat *seat,
                      uint64_t seat_id, bool is_end) {
    struct err err = {0};
    unsigned char number[8];
    if (columns[SEATS_PACK_SEATS].size_bytes > 0) {
        for (size_t column = 0; column < SEATS_PACK_SEATS; column++) {
            put(&columns[column], "\n", 1);
        }
    }
    put(&columns[SEATS_PACK_ORGS], seat->org_id, strlen(seat->org_id));
    if (!is_end) {
        assert_true(buffer_append_format(&columns[SEATS_PACK_USERS], &err, "user %u", seat->user));
        put_role(&columns[SEATS_PACK_ROLES], seat);
    }
    wire_put_uint64(seat_id, number);
    put(&columns[SEATS_PACK_SEATS], number, sizeof number);
    put_time(&columns[SEATS_PACK_SEATS], is_end ? seat->revoked_at_us : seat->assigned_at_us);
}

static bool feed_seats_packs(void *context, struct usage *usage, struct problems *problems,
                             struct err *err) {
    struct seats_packs *packs = context;
    struct usage_feed *feed = &usage->feeds[0];
    struct buffer room = {0};
    bool is_done = true;
    for (size_t pack = 0; is_done && pack < packs->count; pack++) {
        struct db_field fields[SEATS_PACK_COLUMNS_COUNT];
        for (size_t column = 0; column < SEATS_PACK_COLUMNS_COUNT; column++) {
            struct text text = buffer_text(&packs->columns[pack][column]);
            unsigned char *bytes = mem_alloc(text.size_bytes + 1);
            assert_non_null(bytes);
            memcpy(bytes, text.bytes != NULL ? text.bytes : "", text.size_bytes);
            fields[column] = (struct db_field){bytes, (uint32_t)text.size_bytes};
        }
        is_done = feed_database_seats(feed, fields, &room, err);
        for (size_t column = 0; column < SEATS_PACK_COLUMNS_COUNT; column++) {
            mem_free((void *)(uintptr_t)fields[column].bytes);
        }
    }
    buffer_release(&room);
    return is_done && feed_pair_seats(feed, err) && usage_merge_problems(usage, problems, err);
}

static void seats_packs_release(struct seats_packs *packs) {
    for (size_t pack = 0; pack < packs->count; pack++) {
        for (size_t column = 0; column < SEATS_PACK_COLUMNS_COUNT; column++) {
            buffer_release(&packs->columns[pack][column]);
        }
    }
}

static char *read_seats_packs(struct seats_packs *packs, uint64_t memory_bytes) {
    test_folder_write(&folder, "seats.csv", text_from("org_id,user_id,assigned_at\n"));
    test_folder_write(&folder, "usage.csv", text_from("org_id,metric,quantity,occurred_at\n"));
    return usage_run(&(struct usage_run){.folder = folder.path,
                                         .memory_bytes = memory_bytes,
                                         .feed_more = feed_seats_packs,
                                         .context = packs});
}

static int64_t draw_time(uint64_t *random, int64_t from_us) {
    return from_us + (int64_t)(random_next(random) % 90) * 86400000000 +
           (int64_t)(random_next(random) % 1000000);
}

/* The end of a seat: never, some time, or beyond the years that periods lie in. */
static int64_t draw_end(uint64_t *random, unsigned one_in, int64_t from_us) {
    if (random_next(random) % one_in != 0) {
        return INT64_MAX;
    }
    return random_next(random) % 8 != 0 ? draw_time(random, from_us)
           : random_next(random) % 2    ? YEAR_10000_US
                                        : draw_time(random, YEAR_10000_US);
}

static void draw_seat(uint64_t *random, struct seat *seat) {
    static const char *const orgs[] = {"a", "b", "c", "d"};
    static const char *const roles[] = {"member", "owner", "two\nlines", "bookkeeper, at night"};
    struct instant from;
    assert_null(instant_parse(text_from("2026-08-01T00:00:00Z"), &from));
    seat->org_id = orgs[random_next(random) % 4];
    seat->user = (unsigned)(random_next(random) % 30);
    seat->role = random_next(random) % 5 == 0 ? NULL : roles[random_next(random) % 4];
    seat->assigned_at_us = draw_time(random, from.us);
    seat->revoked_at_us = draw_end(random, 2, seat->assigned_at_us);
    seat->expires_at_us = draw_end(random, 4, seat->assigned_at_us);
}

static void put_csv_seat(struct buffer *csv, const struct seat *seat) {
    struct err err = {0};
    char assigned_at[INSTANT_TEXT_MAX];
    char revoked_at[INSTANT_TEXT_MAX] = "";
    int64_t until_us =
        seat->revoked_at_us < seat->expires_at_us ? seat->revoked_at_us : seat->expires_at_us;
    (void)instant_format((struct instant){seat->assigned_at_us}, assigned_at);
    if (until_us < YEAR_10000_US) {
        (void)instant_format((struct instant){until_us}, revoked_at);
    }
    assert_true(buffer_append_format(csv, &err, "%s,user %u,\"%s\",%s,%s\n", seat->org_id,
                                     seat->user, seat->role != NULL ? seat->role : "", assigned_at,
                                     revoked_at));
}

/* Their events in any order. */
static void pack_seats(uint64_t *random, const struct seat *seats, size_t count,
                       struct seats_packs *packs) {
    size_t order[2 * SEATS_MAX];
    for (size_t event = 0; event < 2 * count; event++) {
        size_t other = random_next(random) % (event + 1);
        order[event] = order[other];
        order[other] = event;
    }
    packs->count = 1;
    for (size_t event = 0; event < 2 * count; event++) {
        const struct seat *seat = &seats[order[event] / 2];
        bool is_end = order[event] % 2 == 1;
        if (is_end && seat->revoked_at_us == INT64_MAX) {
            continue;
        }
        struct buffer *columns = packs->columns[packs->count - 1];
        if (columns[SEATS_PACK_SEATS].size_bytes > 0 && packs->count < PACKS_MAX &&
            random_next(random) % 20 == 0) {
            columns = packs->columns[packs->count++];
        }
        pack_seat(columns, seat, 1000000 + order[event] / 2, is_end);
    }
}

static void packed_seats_give_what_a_file_gives(void **state) {
    uint64_t seed = (uint64_t)time(NULL);
    uint64_t random = seed * 2654435761u + 1;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 20; round++) {
        static struct seat seats[SEATS_MAX];
        static struct seats_packs packs;
        struct buffer csv = {0};
        struct err err = {0};
        size_t count = random_next(&random) % SEATS_MAX + 1;
        packs = (struct seats_packs){0};
        assert_true(
            buffer_append(&csv, text_from("org_id,user_id,role,assigned_at,revoked_at\n"), &err));
        for (size_t index = 0; index < count; index++) {
            draw_seat(&random, &seats[index]);
            put_csv_seat(&csv, &seats[index]);
        }
        pack_seats(&random, seats, count, &packs);
        assert_true(buffer_append(&csv, (struct text){"", 1}, &err));
        char *packed = read_seats_packs(&packs, 0);
        char *in_parts = read_seats_packs(&packs, 1);
        assert_string_equal(packed, in_parts);
        test_folder_write(&folder, "seats.csv", text_from(csv.bytes));
        usage_run_expect(&(struct usage_run){.folder = folder.path}, packed);
        /* Few seats may all be of other orgs. */
        assert_true(count < 100 || strstr(packed, "E a user ") != NULL);
        mem_free(packed);
        mem_free(in_parts);
        buffer_release(&csv);
        seats_packs_release(&packs);
    }
}

static void fill_seats(struct seats_packs *packs) {
    const struct seat seats[] = {
        {"a", 1, "member", 1790000000000000, 1790000600000000, INT64_MAX},
        {"c", 2, "two\nlines", 1790000000000000, INT64_MAX, 1790000700000000},
    };
    *packs = (struct seats_packs){.count = 1};
    pack_seat(packs->columns[0], &seats[0], 7, false);
    pack_seat(packs->columns[0], &seats[1], 8, false);
    pack_seat(packs->columns[0], &seats[0], 7, true);
}

static void packed_seats_that_are_cut_or_too_many_are_refused(void **state) {
    struct seats_packs packs;
    (void)state;
    fill_seats(&packs);
    size_t size_bytes = packs.columns[0][SEATS_PACK_SEATS].size_bytes;
    seats_packs_release(&packs);
    for (size_t cut = 0; cut < size_bytes; cut++) {
        fill_seats(&packs);
        packs.columns[0][SEATS_PACK_SEATS].size_bytes = cut;
        char *text = read_seats_packs(&packs, 0);
        assert_non_null(strstr(text, "packed seats in a form not known here"));
        mem_free(text);
        seats_packs_release(&packs);
    }
    for (size_t column = 0; column < SEATS_PACK_COLUMNS_COUNT; column++) {
        fill_seats(&packs);
        put(&packs.columns[0][column], "\na", 2);
        char *text = read_seats_packs(&packs, 0);
        assert_non_null(strstr(text, "packed seats in a form not known here"));
        mem_free(text);
        seats_packs_release(&packs);
    }
}

static void a_seat_revoked_before_it_was_assigned_is_refused(void **state) {
    const struct seat seat = {"a", 1, "member", 1790000600000000, 1790000000000000, INT64_MAX};
    static struct seats_packs packs;
    (void)state;
    packs = (struct seats_packs){.count = 1};
    pack_seat(packs.columns[0], &seat, 7, true);
    pack_seat(packs.columns[0], &seat, 7, false);
    char *text = read_seats_packs(&packs, 0);
    assert_non_null(strstr(text, "is before assigned_at (org_id a, user_id user 1)"));
    mem_free(text);
    seats_packs_release(&packs);
}

static char *read_one_seat(const struct seat *seat) {
    static struct seats_packs packs;
    packs = (struct seats_packs){.count = 1};
    pack_seat(packs.columns[0], seat, 7, false);
    if (seat->revoked_at_us != INT64_MAX) {
        pack_seat(packs.columns[0], seat, 7, true);
    }
    char *text = read_seats_packs(&packs, 0);
    seats_packs_release(&packs);
    return text;
}

static void a_seat_assigned_out_of_range_is_refused(void **state) {
    static const struct seat seats[] = {
        {"a", 1, "member", YEAR_10000_US, INT64_MAX, INT64_MAX},
        {"a", 1, "member", YEAR_10000_US, YEAR_10000_US + 1, YEAR_10000_US + 2},
        {"a", 1, "member", YEAR_0001_US - 1, 1790000000000000, INT64_MAX},
        {"a", 1, "member", YEAR_0001_US - 3, YEAR_0001_US - 2, YEAR_0001_US - 1},
    };
    (void)state;
    for (size_t index = 0; index < sizeof seats / sizeof seats[0]; index++) {
        char *text = read_one_seat(&seats[index]);
        assert_non_null(strstr(text, "assigned_at: is out of range (years 0001 to 9999) "
                                     "(org_id a, user_id user 1)"));
        assert_null(strstr(text, "revoked_at"));
        mem_free(text);
    }
}

static void a_seat_that_ends_before_year_1_is_refused(void **state) {
    static const struct seat seats[] = {
        {"a", 1, "member", 1790000000000000, YEAR_0001_US - 1, INT64_MAX},
        {"a", 1, "member", 1790000000000000, INT64_MAX, YEAR_0001_US - 1},
    };
    (void)state;
    for (size_t index = 0; index < sizeof seats / sizeof seats[0]; index++) {
        char *text = read_one_seat(&seats[index]);
        assert_non_null(strstr(text, "is before assigned_at (org_id a, user_id user 1)"));
        mem_free(text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(packed_seats_give_what_a_file_gives),
        TEST(packed_seats_that_are_cut_or_too_many_are_refused),
        TEST(a_seat_revoked_before_it_was_assigned_is_refused),
        TEST(a_seat_assigned_out_of_range_is_refused),
        TEST(a_seat_that_ends_before_year_1_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
