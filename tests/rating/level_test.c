#include "numbers.h"

#include "rating/level.h"

#define HOUR_US INT64_C(3600000000)

static const int64_t START_US = INT64_C(1790812800000000);

/* A period of days with these numbers of hours. */
static struct calendar calendar_of(const int *hours, size_t days_count) {
    struct calendar calendar = {.days_count = days_count};
    calendar.starts_us[0] = START_US;
    for (size_t day = 0; day < days_count; day++) {
        calendar.starts_us[day + 1] = calendar.starts_us[day] + hours[day] * HOUR_US;
        calendar.dates[day] = (int32_t)(20727 + day);
    }
    return calendar;
}

static struct calendar plain_calendar(size_t days_count) {
    int hours[CALENDAR_DAYS_MAX];
    for (size_t day = 0; day < days_count; day++) {
        hours[day] = 24;
    }
    return calendar_of(hours, days_count);
}

static struct instant at(int64_t hours) {
    return (struct instant){START_US + hours * HOUR_US};
}

struct row {
    int64_t hour;
    char kind; /* 's' sets, 'd' changes */
    const char *quantity;
};

static void meter(const struct calendar *calendar, const struct interval *subscribed,
                  size_t subscribed_count, const char *opening, const struct row *rows,
                  size_t rows_count, struct level_result *result) {
    struct level_meter level_meter;
    struct level_window window = {calendar, subscribed, subscribed_count};
    memset(result, 0x5a, sizeof *result);
    level_meter_init(&level_meter, window, dec(opening), result);
    for (size_t row = 0; row < rows_count; row++) {
        assert_true(level_meter_add(&level_meter, at(rows[row].hour), rows[row].kind == 's',
                                    dec(rows[row].quantity)));
    }
    assert_true(level_meter_finish(&level_meter));
}

static struct interval whole(const struct calendar *calendar) {
    return (struct interval){calendar_start(calendar), calendar_end(calendar)};
}

/* One run as text: "first_day closing highest share remainder", without time "first_day -". */
static void assert_run(const struct level_result *result, size_t run, const char *expected) {
    char text[256];
    char closing[DECIMAL_TEXT_MAX];
    char highest[DECIMAL_TEXT_MAX];
    char share[DECIMAL_TEXT_MAX];
    assert_true(run < result->runs_count);
    const struct level_run *one = &result->runs[run];
    decimal_format(one->closing, closing);
    decimal_format(one->highest, highest);
    decimal_format(one->share, share);
    if (one->has_time) {
        snprintf(text, sizeof text, "%zu %s %s %s %lld", one->first_day, closing, highest, share,
                 (long long)one->share_remainder);
    } else {
        assert_true((one->closing.units | one->highest.units | one->share.units) == 0);
        assert_int_equal(one->share_remainder, 0);
        snprintf(text, sizeof text, "%zu -", one->first_day);
    }
    assert_string_equal(text, expected);
}

static void a_level_without_rows_stands_in_one_run(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(4);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    meter(&calendar, &subscribed, 1, "12.5", NULL, 0, &result);
    assert_int_equal(result.runs_count, 1);
    assert_run(&result, 0, "0 12.5 12.5 12.5 0");
    assert_decimal(result.opening_level, "12.5");
    assert_decimal(result.closing_level, "12.5");
    assert_decimal(result.metered_level, "12.5");
}

static void opening_level_and_movements_are_the_closing_level(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(4);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {{6, 'd', "8"}, {30, 'd', "-3"}, {78, 'd', "4.25"}};
    meter(&calendar, &subscribed, 1, "10", rows, 3, &result);
    assert_decimal(result.opening_level, "10");
    assert_decimal(result.closing_level, "19.25");
    assert_decimal(result.metered_level, "19.25");
    /* Hours at each level, of 96. Day 0: 6 at 10, 18 at 18; day 1: 6 at 18, 18 at 15; day 2: at 15;
     * day 3: 6 at 15, 18 at 19.25. Day 2 closes like day 1, but never stood at 18. */
    assert_int_equal(result.runs_count, 4);
    assert_run(&result, 0, "0 18 18 4 0");
    assert_run(&result, 1, "1 15 18 3.9375 0");
    assert_run(&result, 2, "2 15 15 3.75 0");
    assert_run(&result, 3, "3 19.25 19.25 4.546875 0");
}

static void a_still_day_joins_a_day_that_moved_to_the_same_numbers(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(4);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {{36, 's', "20"}}; /* noon of day 1: closes and peaks at 20 */
    meter(&calendar, &subscribed, 1, "8", rows, 1, &result);
    assert_int_equal(result.runs_count, 2);
    assert_run(&result, 0, "0 8 8 2 0");
    assert_run(&result, 1, "1 20 20 13.5 0"); /* 12 h at 8 and 60 h at 20 of 96 */
}

static void a_day_that_moved_and_came_back_begins_a_run(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(4);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {{30, 'd', "-4"}, {36, 'd', "4"}};
    meter(&calendar, &subscribed, 1, "8", rows, 2, &result);
    assert_int_equal(result.runs_count, 2);
    assert_run(&result, 0, "0 8 8 2 0");
    assert_run(&result, 1, "1 8 8 5.75 0"); /* 18 + 48 h at 8, 6 h at 4 */
}

static void a_row_at_midnight_belongs_to_the_day_it_begins(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(4);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {{48, 's', "3"}};
    meter(&calendar, &subscribed, 1, "9", rows, 1, &result);
    assert_int_equal(result.runs_count, 2);
    assert_run(&result, 0, "0 9 9 4.5 0");
    assert_run(&result, 1, "2 3 3 1.5 0");
}

static void a_row_at_the_start_hides_the_opening_level(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(2);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {{0, 's', "4"}, {24, 's', "6"}};
    meter(&calendar, &subscribed, 1, "90", rows, 2, &result);
    assert_decimal(result.opening_level, "90");
    assert_int_equal(result.runs_count, 2);
    assert_run(&result, 0, "0 4 4 2 0");
    assert_run(&result, 1, "1 6 6 3 0");
}

static void a_level_is_read_only_after_the_last_row_of_an_instant(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(2);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {
        {24, 's', "50"}, {24, 'd', "900"}, {24, 'd', "-940"}, {30, 'd', "70"}, {30, 'd', "-70"}};
    meter(&calendar, &subscribed, 1, "8", rows, 5, &result);
    assert_int_equal(result.runs_count, 2);
    assert_run(&result, 0, "0 8 8 4 0");
    assert_run(&result, 1, "1 10 10 5 0");
    /* What comes to the same within an instant did not move the level. */
    const struct row back[] = {{30, 'd', "70"}, {30, 'd', "-70"}, {31, 's', "8"}};
    meter(&calendar, &subscribed, 1, "8", back, 3, &result);
    assert_int_equal(result.runs_count, 1);
    assert_run(&result, 0, "0 8 8 8 0");
}

static void movements_outside_of_subscribed_time_move_the_level_but_are_not_metered(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(6);
    const struct interval subscribed[] = {{at(30), at(60)}, {at(66), at(96)}};
    struct level_result result;
    const struct row rows[] = {{10, 's', "40"}, {20, 's', "7"},  {62, 's', "99"},
                               {64, 's', "5"},  {96, 's', "31"}, {120, 's', "32"}};
    meter(&calendar, subscribed, 2, "1", rows, 6, &result);
    assert_decimal(result.closing_level, "32");
    assert_decimal(result.metered_level, "5");
    assert_int_equal(result.runs_count, 6);
    assert_run(&result, 0, "0 -");
    assert_run(&result, 1, "1 7 7 0.875 0"); /* 18 h of 144 */
    /* Day 2: 12 h at 7, then 6 h at 5; the 99 in between was not subscribed. 114 / 144 goes on for
     * ever: the remainder is two thirds of a 10^-15 unit, of 144 hours; and of 120 / 144 a third.
     */
    assert_run(&result, 2, "2 5 7 0.791666666666666 345600000000");
    assert_run(&result, 3, "3 5 5 0.833333333333333 172800000000");
    assert_run(&result, 4, "4 -");
    assert_run(&result, 5, "5 -");
}

static void runs_begin_where_subscribed_time_begins_and_ends(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(6);
    const struct interval subscribed[] = {{at(30), at(72)}, {at(120), at(144)}};
    struct level_result result;
    meter(&calendar, subscribed, 2, "8", NULL, 0, &result);
    assert_int_equal(result.runs_count, 4);
    assert_run(&result, 0, "0 -");
    assert_run(&result, 1, "1 8 8 2.333333333333333 172800000000"); /* 42 h of 144 */
    assert_run(&result, 2, "3 -");
    assert_run(&result, 3, "5 8 8 1.333333333333333 172800000000");
    assert_decimal(result.metered_level, "8");
}

static void without_subscribed_time_nothing_is_metered(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(3);
    struct level_result result;
    const struct row rows[] = {{30, 'd', "5"}};
    meter(&calendar, NULL, 0, "8", rows, 1, &result);
    assert_decimal(result.closing_level, "13");
    assert_decimal(result.metered_level, "0");
    for (size_t run = 0; run < result.runs_count; run++) {
        assert_false(result.runs[run].has_time);
        assert_decimal(result.runs[run].share, "0");
    }
}

static void days_of_23_and_25_hours_weigh_what_they_last(void **state) {
    (void)state;
    const int hours[] = {24, 23, 25};
    struct calendar calendar = calendar_of(hours, 3);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {{24, 's', "36"}, {47, 's', "72"}};
    meter(&calendar, &subscribed, 1, "18", rows, 2, &result);
    assert_int_equal(result.runs_count, 3);
    assert_run(&result, 0, "0 18 18 6 0");
    assert_run(&result, 1, "1 36 36 11.5 0");
    assert_run(&result, 2, "2 72 72 25 0");
}

static void a_negative_level_has_its_share_floored(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(3);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    const struct row rows[] = {{24, 's', "5"}};
    meter(&calendar, &subscribed, 1, "-5", rows, 1, &result);
    assert_int_equal(result.runs_count, 2);
    assert_run(&result, 0, "0 -5 -5 -1.666666666666667 86400000000");
    assert_run(&result, 1, "1 5 5 3.333333333333333 86400000000");
}

#define MOST "99999999999999999999999.999999999999999"

static void a_level_that_does_not_fit_is_refused(void **state) {
    (void)state;
    struct calendar calendar = plain_calendar(2);
    struct interval subscribed = whole(&calendar);
    struct level_result result;
    struct level_meter level_meter;
    struct level_window window = {&calendar, &subscribed, 1};
    level_meter_init(&level_meter, window, dec(MOST), &result);
    assert_false(level_meter_add(&level_meter, at(5), false, dec("0.000000000000001")));
    meter(&calendar, &subscribed, 1, MOST, NULL, 0, &result);
    assert_run(&result, 0, "0 " MOST " " MOST " " MOST " 0");
    struct decimal level = dec(MOST);
    assert_false(level_fold(&level, false, dec("1")));
    assert_true(level_fold(&level, true, dec("-3.5")));
    assert_true(level_fold(&level, false, dec("0.25")));
    assert_decimal(level, "-3.25");
}

static void rows_are_ordered_by_instant_then_set_then_id_then_quantity_then_key(void **state) {
    (void)state;
    const struct level_row rows[] = {
        {{5}, false, {9}, text_from("z"), text_from("z")},
        {{6}, true, {9}, text_from("b"), text_from("z")},
        {{6}, false, {9}, text_from("a"), text_from("z")},
        {{6}, false, {-4}, text_from("ab"), text_from("z")},
        {{6}, false, {3}, text_from("ab"), text_from("k")},
        {{6}, false, {3}, text_from("ab"), text_from("ka")},
        {{7}, true, {1}, text_from(""), text_from("")},
    };
    size_t count = sizeof rows / sizeof rows[0];
    for (size_t left = 0; left < count; left++) {
        for (size_t right = 0; right < count; right++) {
            int order = level_row_compare(&rows[left], &rows[right]);
            assert_int_equal((order > 0) - (order < 0), (left > right) - (left < right));
        }
    }
}

/* --- against the definition, microsecond by microsecond ----------------------------------------
 */

enum { DAYS = 6, DAY_US = 7, LENGTH_US = DAYS * DAY_US, ROWS_MAX = 12, INTERVALS_MAX = 4 };

struct tiny {
    struct calendar calendar;
    struct interval subscribed[INTERVALS_MAX];
    size_t subscribed_count;
    bool is_subscribed[LENGTH_US];
    int128 opening;
    int128 level[LENGTH_US]; /* during each microsecond */
};

static void draw_tiny(struct stream *stream, struct tiny *tiny) {
    tiny->calendar.days_count = DAYS;
    for (size_t day = 0; day <= DAYS; day++) {
        tiny->calendar.starts_us[day] = (int64_t)day * DAY_US;
    }
    tiny->subscribed_count = 0;
    int64_t from = 0;
    while (tiny->subscribed_count < INTERVALS_MAX && from < LENGTH_US) {
        from += (int64_t)stream_below(stream, 9);
        int64_t until = from + 1 + (int64_t)stream_below(stream, 24);
        until = until > LENGTH_US ? LENGTH_US : until;
        if (from < until) {
            tiny->subscribed[tiny->subscribed_count++] = (struct interval){{from}, {until}};
        }
        from = until;
    }
    for (int64_t us = 0; us < LENGTH_US; us++) {
        tiny->is_subscribed[us] = false;
        for (size_t index = 0; index < tiny->subscribed_count; index++) {
            tiny->is_subscribed[us] |=
                tiny->subscribed[index].from.us <= us && us < tiny->subscribed[index].until.us;
        }
    }
}

static void draw_rows(struct stream *stream, struct tiny *tiny, struct level_meter *level_meter) {
    size_t left = stream_below(stream, ROWS_MAX);
    int128 level = tiny->opening;
    for (int64_t us = 0; us < LENGTH_US; us++) {
        while (left > 0 && stream_below(stream, LENGTH_US / ROWS_MAX) == 0) {
            int128 quantity = stream_bits(stream, (unsigned)stream_below(stream, 110));
            quantity = stream_below(stream, 2) == 0 ? -quantity : quantity;
            bool is_set = stream_below(stream, 3) == 0;
            assert_true(level_meter_add(level_meter, (struct instant){us}, is_set,
                                        (struct decimal){quantity}));
            level = is_set ? quantity : level + quantity;
            left--;
        }
        tiny->level[us] = level;
    }
}

static void check_run(const struct tiny *tiny, const struct level_result *result, size_t run,
                      struct school *area) {
    const struct level_run *one = &result->runs[run];
    size_t until_day = run + 1 < result->runs_count ? result->runs[run + 1].first_day : DAYS;
    assert_true(one->first_day < until_day);
    int128 highest = 0;
    bool has_time = false;
    *area = school_from(0);
    for (size_t day = one->first_day; day < until_day; day++) {
        bool day_has_time = false;
        int128 closing = 0;
        for (size_t us = day * DAY_US; us < (day + 1) * DAY_US; us++) {
            int128 before = us == 0 ? tiny->opening : tiny->level[us - 1];
            assert_true(day == one->first_day || tiny->level[us] == before);
            if (tiny->is_subscribed[us]) {
                *area = school_add(*area, school_from(tiny->level[us]));
                highest = !has_time || tiny->level[us] > highest ? tiny->level[us] : highest;
                closing = tiny->level[us];
                has_time = true;
                day_has_time = true;
            }
        }
        assert_int_equal(day_has_time, one->has_time);
        assert_true(closing == one->closing.units);
    }
    assert_true(highest == one->highest.units);
    assert_true(one->share_remainder >= 0 && one->share_remainder < LENGTH_US);
    struct school back = school_times(school_from(one->share.units), LENGTH_US);
    back = school_negate(school_add(back, school_from(one->share_remainder)));
    back = school_add(back, *area);
    assert_true(school_is_zero(&back));
}

static void runs_are_what_the_definition_says_and_shares_add_up_to_the_area(void **state) {
    (void)state;
    enum { ROUNDS = 1500 };
    struct stream stream = stream_start("levels");
    for (int round = 0; round < ROUNDS; round++) {
        struct tiny tiny = {.opening = stream_bits(&stream, 100)};
        tiny.opening = round % 2 == 0 ? -tiny.opening : tiny.opening;
        draw_tiny(&stream, &tiny);
        struct level_meter level_meter;
        struct level_result result;
        struct level_window window = {&tiny.calendar, tiny.subscribed, tiny.subscribed_count};
        level_meter_init(&level_meter, window, (struct decimal){tiny.opening}, &result);
        draw_rows(&stream, &tiny, &level_meter);
        assert_true(level_meter_finish(&level_meter));

        assert_true(result.closing_level.units == tiny.level[LENGTH_US - 1]);
        int128 metered = 0;
        struct school direct = school_from(0);
        for (size_t us = 0; us < LENGTH_US; us++) {
            if (tiny.is_subscribed[us]) {
                metered = tiny.level[us];
                direct = school_add(direct, school_from(tiny.level[us]));
            }
        }
        assert_true(result.metered_level.units == metered);
        struct school total = school_from(0);
        assert_int_equal(result.runs[0].first_day, 0);
        for (size_t run = 0; run < result.runs_count; run++) {
            struct school area;
            check_run(&tiny, &result, run, &area);
            total = school_add(total, area);
        }
        direct = school_add(direct, school_negate(total));
        assert_true(school_is_zero(&direct));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_without_rows_stands_in_one_run),
        cmocka_unit_test(opening_level_and_movements_are_the_closing_level),
        cmocka_unit_test(a_still_day_joins_a_day_that_moved_to_the_same_numbers),
        cmocka_unit_test(a_day_that_moved_and_came_back_begins_a_run),
        cmocka_unit_test(a_row_at_midnight_belongs_to_the_day_it_begins),
        cmocka_unit_test(a_row_at_the_start_hides_the_opening_level),
        cmocka_unit_test(a_level_is_read_only_after_the_last_row_of_an_instant),
        cmocka_unit_test(movements_outside_of_subscribed_time_move_the_level_but_are_not_metered),
        cmocka_unit_test(runs_begin_where_subscribed_time_begins_and_ends),
        cmocka_unit_test(without_subscribed_time_nothing_is_metered),
        cmocka_unit_test(days_of_23_and_25_hours_weigh_what_they_last),
        cmocka_unit_test(a_negative_level_has_its_share_floored),
        cmocka_unit_test(a_level_that_does_not_fit_is_refused),
        cmocka_unit_test(rows_are_ordered_by_instant_then_set_then_id_then_quantity_then_key),
        cmocka_unit_test(runs_are_what_the_definition_says_and_shares_add_up_to_the_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
