#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/calendar.h"
#include "schoolbook.h"

#define HOUR_US INT64_C(3600000000)
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])
#define ZONE(rows) ((struct zone){.offsets = (rows), .offsets_count = COUNT(rows)})

static int64_t us(const char *text) {
    struct instant instant;
    assert_null(instant_parse(text_from(text), &instant));
    return instant.us;
}

static int32_t date(const char *text) {
    char stamp[INSTANT_TEXT_MAX];
    (void)snprintf(stamp, sizeof stamp, "%s 00:00:00", text);
    return (int32_t)(us(stamp) / INSTANT_DAY_US);
}

static struct month month(const char *text) {
    struct month result;
    assert_null(month_parse(text_from(text), &result));
    return result;
}

static void assert_is(struct instant instant, const char *expected) {
    char text[INSTANT_TEXT_MAX];
    (void)instant_format(instant, text);
    assert_string_equal(text, expected);
}

static const struct zone_offset utc_offsets[] = {{INT64_MIN, 0}};

static void month_parse_takes_years_1971_to_9000(void **state) {
    (void)state;
    struct month result = month("2026-10");
    assert_int_equal(result.year, 2026);
    assert_int_equal(result.month, 10);
    assert_int_equal(month("1971-01").year, 1971);
    assert_int_equal(month("9000-12").year, 9000);
    static const char *const bad[] = {"",        "2026",     "2026-1",  "2026-010", "2026-00",
                                      "2026-13", "1970-12",  "9001-01", "2026/10",  "202-110",
                                      " 2026-1", "2026-1 ",  "+026-10", "2026--1",  "20a6-10",
                                      "2026-1x", "2026-10-", "current"};
    for (size_t row = 0; row < COUNT(bad); row++) {
        assert_non_null(month_parse(text_from(bad[row]), &result));
        assert_int_equal(result.year, 2026);
    }
    assert_non_null(month_parse((struct text){.bytes = "2026-1\0", .size_bytes = 7}, &result));
}

static void months_add_and_compare_over_the_turn_of_the_year(void **state) {
    (void)state;
    char text[INSTANT_TEXT_MAX];
    static const struct {
        const char *from;
        int months;
        const char *to;
    } rows[] = {
        {"2026-10", 0, "2026-10"},   {"2026-10", 3, "2027-01"},     {"2026-01", -1, "2025-12"},
        {"2026-12", 1, "2027-01"},   {"2026-12", -12, "2025-12"},   {"2026-03", 25, "2028-04"},
        {"2026-03", -27, "2023-12"}, {"1971-01", 84359, "9000-12"},
    };
    for (size_t row = 0; row < COUNT(rows); row++) {
        struct month to = month_add(month(rows[row].from), rows[row].months);
        assert_int_equal(month_format(to, text), 7);
        assert_string_equal(text, rows[row].to);
        int order = month_compare(to, month(rows[row].from));
        assert_int_equal(order, (rows[row].months > 0) - (rows[row].months < 0));
    }
    struct month before_zero = month_add((struct month){.year = 0, .month = 1}, -1);
    assert_int_equal(before_zero.year, -1);
    assert_int_equal(before_zero.month, 12);
}

static void calendar_days_have_23_and_25_hours_when_the_clocks_change(void **state) {
    (void)state;
    static const struct zone_offset new_york[] = {
        {INT64_MIN, -5 * 3600},
        {INT64_C(1772953200) * 1000000, -4 * 3600}, /* 2026-03-08T07:00:00Z */
        {INT64_C(1793512800) * 1000000, -5 * 3600}, /* 2026-11-01T06:00:00Z */
    };
    const struct zone zone = ZONE(new_york);
    assert_is((struct instant){new_york[1].from_us}, "2026-03-08T07:00:00Z");
    assert_is((struct instant){new_york[2].from_us}, "2026-11-01T06:00:00Z");
    struct calendar calendar;
    calendar_init(&calendar, &zone, month("2026-03"), 1);
    assert_int_equal(calendar.days_count, 31);
    assert_is(calendar_start(&calendar), "2026-03-01T05:00:00Z");
    assert_is(calendar_end(&calendar), "2026-04-01T04:00:00Z");
    for (size_t day = 0; day < calendar.days_count; day++) {
        int64_t hours = (calendar.starts_us[day + 1] - calendar.starts_us[day]) / HOUR_US;
        assert_int_equal(hours, day == 7 ? 23 : 24);
        assert_int_equal(calendar.dates[day], date("2026-03-01") + (int32_t)day);
    }
    calendar_init(&calendar, &zone, month("2026-11"), 1);
    assert_int_equal(calendar.starts_us[1] - calendar.starts_us[0], 25 * HOUR_US);
    assert_is(calendar_start(&calendar), "2026-11-01T04:00:00Z");
}

static void calendar_drops_a_date_that_the_zone_skipped(void **state) {
    (void)state;
    static const struct zone_offset apia[] = {
        {INT64_MIN, -10 * 3600},
        {INT64_C(1325239200) * 1000000, 14 * 3600}, /* 2011-12-30T10:00:00Z */
    };
    const struct zone zone = ZONE(apia);
    struct calendar calendar;
    calendar_init(&calendar, &zone, month("2011-12"), 1);
    assert_int_equal(calendar.days_count, 30);
    assert_int_equal(calendar.dates[28], date("2011-12-29"));
    assert_int_equal(calendar.dates[29], date("2011-12-31"));
    assert_is((struct instant){calendar.starts_us[29]}, "2011-12-30T10:00:00Z");
    for (size_t day = 0; day < calendar.days_count; day++) {
        assert_int_equal(calendar.starts_us[day + 1] - calendar.starts_us[day], 24 * HOUR_US);
    }
    assert_int_equal(calendar_day_index(&calendar, (struct instant){apia[1].from_us}), 29);
    assert_int_equal(calendar_day_index(&calendar, (struct instant){apia[1].from_us - 1}), 28);
    assert_int_equal(
        calendar_day_index(&calendar, (struct instant){calendar_end(&calendar).us - 1}), 29);
    /* An anchor on the skipped date itself: the period begins where the date would have. */
    struct calendar before;
    calendar_init(&before, &zone, month("2011-11"), 30);
    calendar_init(&calendar, &zone, month("2011-12"), 30);
    assert_int_equal(calendar.dates[0], date("2011-12-31"));
    assert_int_equal(calendar.days_count, 30);
    assert_int_equal(instant_compare(calendar_end(&before), calendar_start(&calendar)), 0);
    assert_int_equal(before.dates[before.days_count - 1], date("2011-12-29"));
}

static void calendar_midnights_that_do_not_exist_are_the_first_instant_of_the_date(void **state) {
    (void)state;
    static const struct zone_offset sao_paulo[] = {
        {INT64_MIN, -3 * 3600},
        {INT64_C(1541300400) * 1000000, -2 * 3600}, /* 2018-11-04T03:00:00Z: 00:00 is 01:00 */
        {INT64_C(1550368800) * 1000000, -3 * 3600}, /* 2019-02-17T02:00:00Z: 24:00 is 23:00 */
    };
    const struct zone zone = ZONE(sao_paulo);
    assert_is(zone_midnight(&zone, date("2018-11-04")), "2018-11-04T03:00:00Z");
    assert_is(zone_midnight(&zone, date("2018-11-05")), "2018-11-05T02:00:00Z");
    assert_int_equal(zone_date(&zone, (struct instant){sao_paulo[1].from_us - 1}),
                     date("2018-11-03"));
    assert_int_equal(zone_date(&zone, (struct instant){sao_paulo[1].from_us}), date("2018-11-04"));
    /* The clock goes back at the stroke of midnight: the date has not begun, the day has 25 hours.
     */
    assert_is(zone_midnight(&zone, date("2019-02-16")), "2019-02-16T02:00:00Z");
    assert_is(zone_midnight(&zone, date("2019-02-17")), "2019-02-17T03:00:00Z");
}

static void calendar_midnights_that_come_twice_are_the_earlier(void **state) {
    (void)state;
    static const struct zone_offset havana[] = {
        {INT64_MIN, -4 * 3600},
        {INT64_C(1793509200) * 1000000, -5 * 3600}, /* 2026-11-01T05:00:00Z: 01:00 is 00:00 */
    };
    const struct zone zone = ZONE(havana);
    assert_is(zone_midnight(&zone, date("2026-11-01")), "2026-11-01T04:00:00Z");
    assert_is(zone_midnight(&zone, date("2026-11-02")), "2026-11-02T05:00:00Z");
    /* Newfoundland went back at a minute past midnight, into the date before. */
    static const struct zone_offset st_johns[] = {
        {INT64_MIN, -9000},
        {INT64_C(1289097060) * 1000000, -12600}, /* 2010-11-07T02:31:00Z: 00:01 is 23:01 */
    };
    const struct zone newfoundland = ZONE(st_johns);
    assert_is(zone_midnight(&newfoundland, date("2010-11-07")), "2010-11-07T02:30:00Z");
    assert_is(zone_midnight(&newfoundland, date("2010-11-08")), "2010-11-08T03:30:00Z");
    struct calendar calendar;
    calendar_init(&calendar, &newfoundland, month("2010-11"), 1);
    assert_int_equal(calendar.days_count, 30);
    struct instant second_evening = {st_johns[1].from_us};
    assert_int_equal(zone_date(&newfoundland, second_evening), date("2010-11-06"));
    assert_int_equal(calendar_day_index(&calendar, second_evening), 6);
}

static void calendar_clamps_the_anchor_in_each_month_anew(void **state) {
    (void)state;
    static const struct {
        const char *month;
        int anchor_day;
        const char *start;
        const char *end;
        size_t days_count;
    } rows[] = {
        {"2026-01", 31, "2026-01-31", "2026-02-28", 28},
        {"2026-02", 31, "2026-02-28", "2026-03-31", 31},
        {"2026-03", 31, "2026-03-31", "2026-04-30", 30},
        {"2026-04", 31, "2026-04-30", "2026-05-31", 31},
        {"2028-01", 30, "2028-01-30", "2028-02-29", 30},
        {"2028-02", 30, "2028-02-29", "2028-03-30", 30},
        {"2026-02", 29, "2026-02-28", "2026-03-29", 29},
        {"2026-12", 29, "2026-12-29", "2027-01-29", 31},
        {"2026-02", 1, "2026-02-01", "2026-03-01", 28},
        {"9000-12", 31, "9000-12-31", "9001-01-31", 31},
        /* Cases of Flexprice (FX127, FX128) and Meteroid (ME076 to ME099), dates only. */
        {"2024-02", 29, "2024-02-29", "2024-03-29", 29},
        {"2025-02", 28, "2025-02-28", "2025-03-28", 28},
        {"2024-01", 1, "2024-01-01", "2024-02-01", 31},
        {"2024-02", 1, "2024-02-01", "2024-03-01", 29},
        {"2024-06", 1, "2024-06-01", "2024-07-01", 30},
        {"2024-01", 10, "2024-01-10", "2024-02-10", 31},
        {"2024-02", 10, "2024-02-10", "2024-03-10", 29},
        {"2024-03", 31, "2024-03-31", "2024-04-30", 30},
    };
    const struct zone zone = ZONE(utc_offsets);
    for (size_t row = 0; row < COUNT(rows); row++) {
        struct calendar calendar;
        calendar_init(&calendar, &zone, month(rows[row].month), rows[row].anchor_day);
        assert_int_equal(calendar.days_count, rows[row].days_count);
        assert_int_equal(calendar.dates[0], date(rows[row].start));
        assert_true(calendar_start(&calendar).us == date(rows[row].start) * INSTANT_DAY_US);
        assert_true(calendar_end(&calendar).us == date(rows[row].end) * INSTANT_DAY_US);
    }
    /* FX132: two months on from the 31st of January in Tokyo is the 31st of March, not the 29th. */
    static const struct zone_offset tokyo_offsets[] = {{INT64_MIN, 9 * 3600}};
    const struct zone tokyo = ZONE(tokyo_offsets);
    struct calendar calendar;
    calendar_init(&calendar, &tokyo, month_add(month("2024-01"), 2), 31);
    assert_is(calendar_start(&calendar), "2024-03-30T15:00:00Z");
}

enum { RANDOM_OFFSETS_MAX = 12 };

/* Changes some weeks or only hours apart, to any quarter of an hour between -12 and +14. */
static size_t random_zone(struct zone_offset offsets[RANDOM_OFFSETS_MAX]) {
    size_t count = 1 + random_below(RANDOM_OFFSETS_MAX);
    int64_t from_us = us("2026-01-01T00:00:00Z");
    for (size_t index = 0; index < count; index++) {
        offsets[index].from_us = index == 0 ? INT64_MIN : from_us;
        offsets[index].offset_seconds = ((int32_t)random_below(105) - 48) * 900;
        from_us += (int64_t)(1 + random_below(random_below(2) == 0 ? 60 : 4000)) * HOUR_US / 4;
    }
    return count;
}

static int64_t local_us(const struct zone *zone, int64_t instant_us) {
    int64_t offset_seconds = 0;
    for (size_t index = 0; index < zone->offsets_count; index++) {
        if (zone->offsets[index].from_us <= instant_us) {
            offset_seconds = zone->offsets[index].offset_seconds;
        }
    }
    return instant_us + offset_seconds * 1000000;
}

static void zone_midnight_is_the_first_quarter_hour_that_is_not_before_it(void **state) {
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct zone_offset offsets[RANDOM_OFFSETS_MAX];
        const struct zone zone = {.offsets = offsets, .offsets_count = random_zone(offsets)};
        int32_t day = date("2026-01-01") + (int32_t)random_below(60);
        int64_t midnight_us = day * INSTANT_DAY_US;
        int64_t expected_us = midnight_us - 48 * HOUR_US;
        while (local_us(&zone, expected_us) < midnight_us) {
            expected_us += HOUR_US / 4;
        }
        assert_true(zone_midnight(&zone, day).us == expected_us);
        int64_t any_us = midnight_us + (int64_t)random_below((uint64_t)INSTANT_DAY_US);
        int64_t local = local_us(&zone, any_us);
        int32_t expected_date = zone_date(&zone, (struct instant){any_us});
        assert_true(expected_date * INSTANT_DAY_US <= local);
        assert_true(local < (expected_date + 1) * INSTANT_DAY_US);
    }
}

static void calendar_periods_follow_one_another_without_gap_or_overlap(void **state) {
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct zone_offset offsets[RANDOM_OFFSETS_MAX];
        const struct zone zone = {.offsets = offsets, .offsets_count = random_zone(offsets)};
        int anchor_day = 1 + (int)random_below(31);
        struct calendar before;
        calendar_init(&before, &zone, month("2025-11"), anchor_day);
        for (int months = 1; months < 14; months++) {
            struct calendar calendar;
            calendar_init(&calendar, &zone, month_add(month("2025-11"), months), anchor_day);
            assert_int_equal(instant_compare(calendar_end(&before), calendar_start(&calendar)), 0);
            assert_in_range(calendar.days_count, 1, 31);
            for (size_t day = 0; day < calendar.days_count; day++) {
                int64_t start_us = calendar.starts_us[day];
                int64_t end_us = calendar.starts_us[day + 1];
                assert_true(start_us < end_us);
                assert_true(day == 0 || calendar.dates[day - 1] < calendar.dates[day]);
                int64_t inside_us = start_us + (int64_t)random_below((uint64_t)(end_us - start_us));
                assert_int_equal(calendar_day_index(&calendar, (struct instant){start_us}), day);
                assert_int_equal(calendar_day_index(&calendar, (struct instant){inside_us}), day);
                assert_int_equal(calendar_day_index(&calendar, (struct instant){end_us - 1}), day);
            }
            before = calendar;
        }
    }
}

static void zone_date_holds_at_the_ends_of_time(void **state) {
    (void)state;
    static const struct zone_offset west[] = {{INT64_MIN, -15 * 3600}};
    static const struct zone_offset east[] = {{INT64_MIN, 15 * 3600}};
    const struct zone western = ZONE(west);
    const struct zone eastern = ZONE(east);
    assert_int_equal(zone_date(&western, (struct instant){INT64_MIN}), -106751992);
    assert_int_equal(zone_date(&eastern, (struct instant){INT64_MAX}), 106751991);
    assert_int_equal(zone_date(&western, (struct instant){0}), -1);
    assert_int_equal(zone_date(&western, (struct instant){15 * HOUR_US}), 0);
    assert_int_equal(zone_date(&eastern, (struct instant){9 * HOUR_US - 1}), 0);
    assert_int_equal(zone_date(&eastern, (struct instant){9 * HOUR_US}), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(month_parse_takes_years_1971_to_9000),
        cmocka_unit_test(months_add_and_compare_over_the_turn_of_the_year),
        cmocka_unit_test(calendar_days_have_23_and_25_hours_when_the_clocks_change),
        cmocka_unit_test(calendar_drops_a_date_that_the_zone_skipped),
        cmocka_unit_test(calendar_midnights_that_do_not_exist_are_the_first_instant_of_the_date),
        cmocka_unit_test(calendar_midnights_that_come_twice_are_the_earlier),
        cmocka_unit_test(calendar_clamps_the_anchor_in_each_month_anew),
        cmocka_unit_test(zone_midnight_is_the_first_quarter_hour_that_is_not_before_it),
        cmocka_unit_test(calendar_periods_follow_one_another_without_gap_or_overlap),
        cmocka_unit_test(zone_date_holds_at_the_ends_of_time),
    };
    return cmocka_run_group_tests(tests, random_setup, NULL);
}
