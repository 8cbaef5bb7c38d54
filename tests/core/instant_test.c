#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/instant.h"
#include "schoolbook.h"

#define FIRST_US (INT64_C(-62135596800) * 1000000)
#define LAST_US (INT64_C(253402300800) * 1000000 - 1)

static void instant_parse_takes_rfc_3339_and_plain_utc(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *utc;
    } rows[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"2026-10-01T07:08:09Z", "2026-10-01T07:08:09Z"},
        {"2026-10-01t07:08:09z", "2026-10-01T07:08:09Z"},
        {"2026-10-01 07:08:09Z", "2026-10-01T07:08:09Z"},
        {"2026-10-01 07:08:09", "2026-10-01T07:08:09Z"},
        {"2026-10-01 07:08:09.25", "2026-10-01T07:08:09.250000Z"},
        {"2026-10-01 07:08:09.25+02:00", "2026-10-01T05:08:09.250000Z"},
        {"2026-10-01T00:00:00.5+02:00", "2026-09-30T22:00:00.500000Z"},
        {"2026-10-01T00:00:00-00:00", "2026-10-01T00:00:00Z"},
        {"2026-12-31T23:30:00-05:45", "2027-01-01T05:15:00Z"},
        {"2026-10-01T00:00:00+23:59", "2026-09-30T00:01:00Z"},
        {"2026-10-01T00:00:00-23:59", "2026-10-01T23:59:00Z"},
        {"2026-10-01T00:00:00.1Z", "2026-10-01T00:00:00.100000Z"},
        {"2026-10-01T00:00:00.000001Z", "2026-10-01T00:00:00.000001Z"},
        {"2026-10-01T00:00:00.9999999Z", "2026-10-01T00:00:00.999999Z"},
        {"1969-12-31T23:59:59.0000019Z", "1969-12-31T23:59:59.000001Z"}, /* cut off, not rounded */
        {"2026-10-01T00:00:00.0000009999999999999999999999999Z", "2026-10-01T00:00:00Z"},
        {"2026-10-01T00:00:00.000Z", "2026-10-01T00:00:00Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
        {"2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.250000Z"},
        {"2015-07-01T05:44:60+05:45", "2015-07-01T00:00:00Z"},
        {"2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"},
        {"2000-02-29T12:00:00Z", "2000-02-29T12:00:00Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"0001-01-01T00:00:00-00:01", "0001-01-01T00:01:00Z"},
        {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct instant instant;
        char text[INSTANT_TEXT_MAX];
        assert_null(instant_parse(text_from(rows[row].text), &instant));
        assert_int_equal(instant_format(instant, text), strlen(rows[row].utc));
        assert_string_equal(text, rows[row].utc);
    }
    struct instant instant;
    assert_null(instant_parse(text_from("2001-09-09T01:46:40.000007Z"), &instant));
    assert_true(instant.us == INT64_C(1000000000000007));
}

static void instant_parse_gives_a_reason_for_everything_else(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *reason; /* a part of it */
    } rows[] = {
        {"", "is not a time stamp"},
        {"2026", "is not a time stamp"},
        {"2026-10", "is not a time stamp"},
        {"2026-10-01", "has no time of day"},
        {"2026/10/01", "is not a time stamp"},
        {"01.10.2026", "is not a time stamp"},
        {"1759276800", "is not a time stamp"},
        {"1759276800000000000", "is not a time stamp"},
        {"2026-10-01T00:00Z", "is not a time stamp"},
        {"2026-10-01T00:00+00:00", "is not a time stamp"},
        {"20261001T000000Z", "is not a time stamp"},
        {"2026-10-01T00:00:00", "has no time zone"},
        {"2026-10-01t00:00:00.5", "has no time zone"},
        {"2026-10-01_00:00:00", "is not a time stamp"},
        {"2026-10-01T00:00:00.Z", "is not a time stamp"},
        {"2026-10-01 00:00:00.", "is not a time stamp"},
        {"2026-10-01T00:00:00,5Z", "is not a time stamp"},
        {"2026-10-01T00:00:00 Z", "is not a time stamp"},
        {"2026-10-01T00:00:00ZZ", "is not a time stamp"},
        {"2026-10-01T00:00:00Z ", "is not a time stamp"},
        {" 2026-10-01T00:00:00Z", "is not a time stamp"},
        {"2026-10-01 00:00:00 UTC", "is not a time stamp"},
        {"2026-10-01T00:00:00+02", "has a bad offset"},
        {"2026-10-01T00:00:00+0200", "has a bad offset"},
        {"2026-10-01T00:00:00+02:00:00", "has a bad offset"},
        {"2026-10-01T00:00:00+24:00", "has a bad offset"},
        {"2026-10-01T00:00:00-00:60", "has a bad offset"},
        {"2026-10-01T00:00:00+0a:00", "has a bad offset"},
        {"2026-10-01T00:00:00+", "has a bad offset"},
        {"0000-12-31T00:00:00Z", "year outside"},
        {"-001-12-31T00:00:00Z", "is not a time stamp"},
        {"10000-01-01T00:00:00Z", "is not a time stamp"},
        {"2026-00-01T00:00:00Z", "month outside"},
        {"2026-13-01T00:00:00Z", "month outside"},
        {"2026-10-00T00:00:00Z", "day that its month"},
        {"2026-10-32T00:00:00Z", "day that its month"},
        {"2026-09-31T00:00:00Z", "day that its month"},
        {"2026-02-29T00:00:00Z", "day that its month"},
        {"1900-02-29T00:00:00Z", "day that its month"},
        {"2024-02-30T00:00:00Z", "day that its month"},
        {"2026-10-01T24:00:00Z", "time of day outside"},
        {"2026-10-01T00:60:00Z", "time of day outside"},
        {"2026-10-31T23:59:61Z", "time of day outside"},
        {"2026-10-01T00:00:60Z", "second of 60"},
        {"2026-10-30T23:59:60Z", "second of 60"},
        {"2026-10-31T23:59:60+01:00", "second of 60"},
        {"2026-10-01T00:00:61Z", "time of day outside"},
        {"0001-01-01T00:00:00+00:01", "outside the years"},
        {"9999-12-31T23:59:59-00:01", "outside the years"},
        {"9999-12-31T23:59:60Z", "outside the years"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct instant instant = {.us = 4711};
        const char *reason = instant_parse(text_from(rows[row].text), &instant);
        assert_non_null(reason);
        if (strstr(reason, rows[row].reason) == NULL) {
            fail_msg("'%s': %s", rows[row].text, reason);
        }
        assert_true(instant.us == 4711);
    }
    struct instant instant;
    assert_non_null(instant_parse((struct text){.bytes = NULL}, &instant));
    struct text with_nul = {.bytes = "2026-10-01 00:00:00\0", .size_bytes = 20};
    assert_non_null(instant_parse(with_nul, &instant));
}

/* Whether a byte may stand at a place of 2026-10-01T00:00:00Z when all others stay. */
static bool may_stand(size_t place, unsigned char byte) {
    /* Offsets would need six bytes, so Z or z; a space for the T. */
    static const char *const allowed[20] = {
        "0123456789", "0123456789", "0123456789", "0123456789", "-",          "1",          "012",
        "-",          "0123",       "123456789",  "Tt ",        "012",        "0123456789", ":",
        "012345",     "0123456789", ":",          "012345",     "0123456789", "Zz",
    };
    return byte != '\0' && strchr(allowed[place], byte) != NULL;
}

static void instant_parse_looks_at_every_byte(void **state) {
    (void)state;
    for (size_t place = 0; place < 20; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[] = "2026-10-01T00:00:00Z";
            text[place] = (char)byte;
            struct instant instant;
            bool is_fine = instant_parse((struct text){text, 20}, &instant) == NULL;
            if (is_fine != may_stand(place, (unsigned char)byte)) {
                fail_msg("byte %u at %zu: %d", byte, place, is_fine);
            }
        }
    }
}

static void instant_parse_reads_no_byte_behind_its_slice(void **state) {
    (void)state;
    static const char full[] = "2026-10-01T00:00:00.123456+02:00";
    for (size_t size_bytes = 1; size_bytes < sizeof full; size_bytes++) {
        char *heap = malloc(size_bytes); /* the sanitizer watches its end */
        assert_non_null(heap);
        memcpy(heap, full, size_bytes);
        struct instant instant;
        const char *reason = instant_parse((struct text){heap, size_bytes}, &instant);
        assert_int_equal(reason == NULL, size_bytes == sizeof full - 1);
        free(heap);
    }
}

static void instant_format_is_read_back_as_the_same_instant(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint64_t range = (uint64_t)(LAST_US - FIRST_US) + 1;
        struct instant instant = {.us = FIRST_US + (int64_t)random_below(range)};
        if (round % 3 == 0) {
            instant.us -= instant.us % 1000000;
        }
        char text[INSTANT_TEXT_MAX];
        struct instant again;
        assert_int_equal(instant_format(instant, text), instant.us % 1000000 == 0 ? 20 : 27);
        assert_null(instant_parse(text_from(text), &again));
        assert_int_equal(instant_compare(instant, again), 0);
    }
}

static void instant_format_shows_instants_that_no_time_stamp_has(void **state) {
    (void)state;
    char text[INSTANT_TEXT_MAX];
    (void)instant_format((struct instant){INT64_MIN}, text);
    assert_string_equal(text, "-290308-12-21T19:59:05.224192Z");
    (void)instant_format((struct instant){INT64_MAX}, text);
    assert_string_equal(text, "294247-01-10T04:00:54.775807Z");
    (void)instant_format((struct instant){LAST_US + 1}, text);
    assert_string_equal(text, "10000-01-01T00:00:00Z");
    (void)instant_format((struct instant){FIRST_US - 1}, text);
    assert_string_equal(text, "0000-12-31T23:59:59.999999Z");
    (void)instant_format((struct instant){-1}, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    assert_true(civil_format(INT32_MIN, text) < INSTANT_TEXT_MAX);
    assert_true(civil_format(INT32_MAX, text) < INSTANT_TEXT_MAX);
    assert_string_equal(text, "5881580-07-11");
}

/* Walks every day of the years 1 to 9999 as a calendar on the wall does. */
static void civil_dates_agree_with_counting_the_days(void **state) {
    (void)state;
    static const int month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t days = -719162; /* 0001-01-01 */
    for (int year = 1; year <= 9999; year++) {
        bool is_leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
        for (int month = 1; month <= 12; month++) {
            int length = month_days[month - 1] + (month == 2 && is_leap ? 1 : 0);
            assert_int_equal(civil_month_days(year, month), length);
            for (int day = 1; day <= length; day++, days++) {
                struct civil_date date = civil_from_days(days);
                if (civil_to_days((struct civil_date){year, month, day}) != days ||
                    date.year != year || date.month != month || date.day != day) {
                    fail_msg("%04d-%02d-%02d is day %d", year, month, day, days);
                }
            }
        }
    }
    assert_int_equal(days, 2932897);
    char text[INSTANT_TEXT_MAX];
    assert_int_equal(civil_format(0, text), 10);
    assert_string_equal(text, "1970-01-01");
    (void)civil_format(-719162, text);
    assert_string_equal(text, "0001-01-01");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instant_parse_takes_rfc_3339_and_plain_utc),
        cmocka_unit_test(instant_parse_gives_a_reason_for_everything_else),
        cmocka_unit_test(instant_parse_looks_at_every_byte),
        cmocka_unit_test(instant_parse_reads_no_byte_behind_its_slice),
        cmocka_unit_test(instant_format_is_read_back_as_the_same_instant),
        cmocka_unit_test(instant_format_shows_instants_that_no_time_stamp_has),
        cmocka_unit_test(civil_dates_agree_with_counting_the_days),
    };
    return cmocka_run_group_tests(tests, random_setup, NULL);
}
