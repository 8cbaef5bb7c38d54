#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/memory.h"
#include "sys/zone.h"

static struct arena *arena;

static int setup(void **state) {
    (void)state;
    struct err err = {0};
    arena = arena_create(&err);
    return arena == NULL;
}

static int teardown(void **state) {
    (void)state;
    arena_destroy(arena);
    return 0;
}

static struct instant at(const char *text) {
    struct instant instant = {0};
    assert_null(instant_parse(text_from(text), &instant));
    return instant;
}

static struct zone load(const char *name, const char *from, const char *until) {
    struct err err = {0};
    struct zone zone = {0};
    struct zone_range range = {at(from), at(until)};
    bool is_loaded = zone_load(arena, text_from(name), range, &zone, &err);
    if (!is_loaded) {
        fail_msg("%s: %s", name, err.message);
    }
    assert_true(zone.offsets_count >= 1);
    assert_true(zone.offsets[0].from_us == INT64_MIN);
    return zone;
}

static void changes_of_offset_are_found_to_the_second(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *from;
        const char *until;
        int32_t before;
        const char *change;
        int32_t after;
    } cases[] = {
        {"America/Havana", "2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z", -18000,
         "2024-03-10T05:00:00Z", -14400},
        {"Atlantic/Azores", "2024-10-01T00:00:00Z", "2024-11-01T00:00:00Z", 0,
         "2024-10-27T01:00:00Z", -3600},
        {"America/Asuncion", "2024-10-01T00:00:00Z", "2024-11-01T00:00:00Z", -14400,
         "2024-10-06T04:00:00Z", -10800},
        {"Pacific/Apia", "2011-12-01T00:00:00Z", "2012-01-31T00:00:00Z", -36000,
         "2011-12-30T10:00:00Z", 50400},
        {"Europe/Berlin", "2024-03-30T23:59:59Z", "2024-03-31T01:00:00Z", 3600,
         "2024-03-31T01:00:00Z", 7200},
        {"Asia/Kathmandu", "1985-12-01T00:00:00Z", "1986-02-01T00:00:00Z", 19800,
         "1985-12-31T18:30:00Z", 20700},
        {"Australia/Lord_Howe", "2024-04-01T00:00:00Z", "2024-05-01T00:00:00Z", 39600,
         "2024-04-06T15:00:00Z", 37800},
        /* beyond the table in the file: from the rule at its end */
        {"Europe/Berlin", "8999-03-01T00:00:00Z", "8999-05-01T00:00:00Z", 3600,
         "8999-03-31T01:00:00Z", 7200},
        {"Africa/Monrovia", "1972-01-01T00:00:00Z", "1972-02-01T00:00:00Z", -2670,
         "1972-01-07T00:44:30Z", 0},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct zone zone = load(cases[index].name, cases[index].from, cases[index].until);
        assert_int_equal(zone.offsets_count, 2);
        assert_int_equal(zone.offsets[0].offset_seconds, cases[index].before);
        assert_int_equal(zone.offsets[1].offset_seconds, cases[index].after);
        assert_int_equal(zone.offsets[1].from_us, at(cases[index].change).us);
    }
}

static void a_year_has_all_its_changes_in_order(void **state) {
    (void)state;
    struct zone zone = load("Europe/Berlin", "2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z");
    assert_int_equal(zone.offsets_count, 41);
    for (size_t index = 1; index < zone.offsets_count; index++) {
        assert_true(zone.offsets[index].from_us > zone.offsets[index - 1].from_us);
        assert_int_equal(zone.offsets[index].offset_seconds, index % 2 == 1 ? 7200 : 3600);
    }
    zone = load("Asia/Kathmandu", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z");
    assert_int_equal(zone.offsets_count, 1);
    assert_int_equal(zone.offsets[0].offset_seconds, 20700);
}

static void midnights_that_are_missing_or_doubled(void **state) {
    (void)state;
    static const struct {
        const char *name;
        struct civil_date date;
        const char *first_instant;
    } cases[] = {
        {"America/Havana", {2024, 3, 10}, "2024-03-10T05:00:00Z"},   /* 00:00 is 01:00 */
        {"America/Asuncion", {2024, 10, 6}, "2024-10-06T04:00:00Z"}, /* the same */
        {"Atlantic/Azores", {2024, 10, 27}, "2024-10-27T00:00:00Z"}, /* 01:00 is 00:00 again */
        {"Pacific/Apia", {2011, 12, 31}, "2011-12-30T10:00:00Z"},    /* no 30th at all */
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct zone zone = load(cases[index].name, "2011-01-01T00:00:00Z", "2025-01-01T00:00:00Z");
        struct instant first = zone_midnight(&zone, civil_to_days(cases[index].date));
        assert_int_equal(first.us, at(cases[index].first_instant).us);
    }
}

static void names_that_are_not_in_the_database_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {
        "",
        "Mars/Olympus",
        "../etc/passwd",
        "../../../etc/passwd",
        "Europe/../Europe/Berlin",
        "europe/berlin",
        "EUROPE/BERLIN",
        "/usr/share/zoneinfo/Europe/Berlin",
        "/Europe/Berlin",
        "Europe//Berlin",
        "Europe/Berlin/",
        "Europe/",
        "Europe",
        "Europe/Berlin ",
        ":Europe/Berlin",
        "EST5EDT,M3.2.0,M11.1.0",
        "<+03>-3",
        "tzdata.zi",
        "zone1970.tab",
        "leapseconds",
        "localtime",
        "posixrules",
        "right/Europe/Berlin",
        "posix/Europe/Berlin",
        "utc",
        "Europe/B\xC3\xA9rlin",
        "Europe/Berlin\n",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    struct zone_range range = {at("2024-01-01T00:00:00Z"), at("2025-01-01T00:00:00Z")};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        struct err err = {0};
        struct zone zone = {0};
        if (zone_load(arena, text_from(names[index]), range, &zone, &err)) {
            fail_msg("'%s' was taken for a time zone", names[index]);
        }
        assert_int_equal(err.code, ERR_INPUT);
        assert_non_null(strstr(err.message, "unknown time zone"));
        assert_null(strchr(err.message, '\n'));
        assert_null(zone.offsets);
        assert_true(err.hint[0] != '\0');
        err_release(&err);
    }
    struct err err = {0};
    struct zone zone = {0};
    struct text with_nul = {"Europe/Berlin\0x", 15};
    assert_false(zone_load(arena, with_nul, range, &zone, &err));
    assert_int_equal(err.code, ERR_INPUT);
    err_release(&err);
}

static void utc_has_one_offset(void **state) {
    (void)state;
    static const char *const names[] = {"UTC", "Etc/UTC", "Etc/GMT", "GMT0"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        struct zone zone = load(names[index], "1971-01-01T00:00:00Z", "2000-01-01T00:00:00Z");
        assert_int_equal(zone.offsets_count, 1);
        assert_int_equal(zone.offsets[0].offset_seconds, 0);
    }
    struct zone zone = load("Etc/GMT+5", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
    assert_int_equal(zone.offsets[0].offset_seconds, -18000);
}

static long local_offset(void) {
    time_t time = 1720000000; /* July 2024 */
    struct tm local;
    assert_non_null(localtime_r(&time, &local));
    return local.tm_gmtoff;
}

static void the_process_keeps_its_own_zone(void **state) {
    (void)state;
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    assert_int_equal(setenv("TZDIR", "/nonexistent", 1), 0);
    struct zone zone = load("Asia/Kathmandu", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
    assert_int_equal(zone.offsets[0].offset_seconds, 20700);
    assert_string_equal(getenv("TZ"), "America/New_York");
    assert_int_equal(unsetenv("TZDIR"), 0);
    assert_int_equal(setenv("TZ", ":America/New_York", 1), 0);
    (void)load("Asia/Kathmandu", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
    assert_int_equal(local_offset(), -14400);
    assert_int_equal(unsetenv("TZ"), 0);
    (void)load("Asia/Kathmandu", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
    assert_null(getenv("TZ"));
}

static int requests_left;

static bool fail_when_used_up(void) {
    return requests_left-- == 0;
}

static void no_memory_is_reported(void **state) {
    (void)state;
    struct zone_range range = {at("1971-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")};
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    int failures = 0;
    for (int request = 0;; request++) {
        assert_true(request < 100);
        struct err err = {0};
        struct zone zone = {0};
        struct arena *own = arena_create(&err);
        assert_non_null(own);
        requests_left = request;
        mem_set_fault(fail_when_used_up);
        bool is_loaded = zone_load(own, text_from("Europe/Berlin"), range, &zone, &err);
        mem_set_fault(NULL);
        arena_destroy(own);
        assert_string_equal(getenv("TZ"), "America/New_York");
        if (is_loaded) {
            break;
        }
        failures++;
        assert_int_equal(err.code, ERR_MEMORY);
        err_release(&err);
    }
    assert_true(failures >= 2);
    assert_int_equal(unsetenv("TZ"), 0);
}

static void the_database_tells_its_version(void **state) {
    (void)state;
    char version[32];
    size_t length = zone_database_version(version, sizeof version);
    assert_int_equal(length, strlen(version));
    assert_in_range(length, 5, 7); /* "2026f"; "unknown" is no version of an installed one */
    assert_true(strncmp(version, "20", 2) == 0);
    char narrow[3];
    assert_int_equal(zone_database_version(narrow, sizeof narrow), 2);
    assert_string_equal(narrow, "20");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(changes_of_offset_are_found_to_the_second),
        TEST(a_year_has_all_its_changes_in_order),
        TEST(midnights_that_are_missing_or_doubled),
        TEST(names_that_are_not_in_the_database_are_refused),
        TEST(utc_has_one_offset),
        TEST(the_process_keeps_its_own_zone),
        TEST(no_memory_is_reported),
        TEST(the_database_tells_its_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
