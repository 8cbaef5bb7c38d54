#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "emit/pace.h"

enum { SECOND_US = 1000000, SECONDS = 10 };

/* Lets through what it can from start_us to end_us, asked every step_us; the times, and how many.
 */
static size_t take_until(struct pace *pace, int64_t start_us, int64_t end_us, int64_t step_us,
                         int64_t *times_us, size_t times_max) {
    size_t count = 0;
    for (int64_t now_us = start_us; now_us < end_us; now_us += step_us) {
        int64_t when_us = 0;
        while (pace_take(pace, now_us, &when_us)) {
            assert_true(count < times_max);
            times_us[count++] = now_us;
        }
        assert_true(when_us > now_us);
    }
    return count;
}

static void no_second_ever_holds_more_than_the_rate(void **state) {
    (void)state;
    static const unsigned rates[] = {1, 3, 7, 20, 25, 100, 1000};
    static const int64_t steps_us[] = {100, 777, 3001, 40000, 900001};
    static int64_t times_us[1000 * (SECONDS + 1)];
    for (size_t rate = 0; rate < sizeof rates / sizeof rates[0]; rate++) {
        for (size_t step = 0; step < sizeof steps_us / sizeof steps_us[0]; step++) {
            struct pace pace;
            pace_init(&pace, rates[rate], 8);
            size_t count =
                take_until(&pace, 12345, 12345 + (int64_t)SECONDS * SECOND_US, steps_us[step],
                           times_us, sizeof times_us / sizeof times_us[0]);
            for (size_t index = rates[rate]; index < count; index++) {
                assert_true(times_us[index] - times_us[index - rates[rate]] > SECOND_US);
            }
        }
    }
}

/* Asked late now and then, it makes up for it: the rate holds over ten seconds. */
static void the_rate_is_reached(void **state) {
    (void)state;
    int64_t times_us[400];
    struct pace pace;
    pace_init(&pace, 25, 8);
    size_t count = take_until(&pace, 77, 77 + (int64_t)SECONDS * SECOND_US, 7000, times_us, 400);
    assert_in_range(count, 245, 250);
    struct pace even;
    pace_init(&even, 20, 8);
    count = take_until(&even, 0, (int64_t)SECONDS * SECOND_US, 1000, times_us, 400);
    for (size_t index = 1; index < count; index++) {
        assert_in_range(times_us[index] - times_us[index - 1], 49000, 52000);
    }
}

/* What was not used in a pause is not made up for by a burst. */
static void nothing_is_saved_up(void **state) {
    (void)state;
    int64_t times_us[100];
    struct pace pace;
    pace_init(&pace, 10, 8);
    assert_int_equal(take_until(&pace, 0, 500000, 1000, times_us, 100), 5);
    assert_in_range(take_until(&pace, 60000000, 60500000, 1000, times_us, 100), 5, 6);
}

static void without_a_rate_nothing_waits(void **state) {
    (void)state;
    struct pace pace;
    int64_t when_us;
    pace_init(&pace, 0, 8);
    for (unsigned count = 0; count < 5000; count++) {
        assert_true(pace_take(&pace, 42, &when_us));
    }
}

static void too_much_slows_down_and_halves_what_is_at_once(void **state) {
    (void)state;
    int64_t times_us[200];
    struct pace pace;
    int64_t when_us;
    pace_init(&pace, 20, 8);
    pace_slow_down(&pace, 1000, 300000);
    assert_int_equal(pace.at_once, 4);
    assert_false(pace_take(&pace, 2000, &when_us));
    assert_int_equal(when_us, 301000);
    size_t count = take_until(&pace, 301000, 301000 + 2 * SECOND_US, 1000, times_us, 200);
    assert_in_range(count, 19, 21); /* half of 20 a second */
    for (unsigned times = 0; times < 20; times++) {
        pace_slow_down(&pace, 3000000, 0);
    }
    assert_int_equal(pace.at_once, 1);
    assert_in_range(take_until(&pace, 3000000, 3000000 + 10 * SECOND_US, 1000, times_us, 200), 5,
                    6); /* never slower than one in two seconds */
}

static void a_shorter_pause_does_not_end_a_longer_one(void **state) {
    (void)state;
    struct pace pace;
    int64_t when_us;
    pace_init(&pace, 20, 8);
    pace_slow_down(&pace, 0, 9 * SECOND_US);
    pace_slow_down(&pace, 1000, 10);
    assert_false(pace_take(&pace, 2000, &when_us));
    assert_int_equal(when_us, 9 * SECOND_US);
}

static void answers_bring_the_speed_back_step_by_step(void **state) {
    (void)state;
    int64_t times_us[400];
    struct pace pace;
    pace_init(&pace, 20, 8);
    for (unsigned times = 0; times < 4; times++) {
        pace_slow_down(&pace, 0, 0);
    }
    size_t slow = take_until(&pace, 0, 5 * SECOND_US, 1000, times_us, 400);
    for (unsigned answers = 0; answers < 40; answers++) {
        pace_answered(&pace);
    }
    assert_in_range(pace.at_once, 2, 7); /* not all at once */
    size_t better = take_until(&pace, 10 * SECOND_US, 15 * SECOND_US, 1000, times_us, 400);
    for (unsigned answers = 0; answers < 400; answers++) {
        pace_answered(&pace);
    }
    size_t full = take_until(&pace, 20 * SECOND_US, 25 * SECOND_US, 1000, times_us, 400);
    assert_true(slow < better && better < full);
    assert_in_range(full, 99, 100);
    assert_int_equal(pace.at_once, 8);
}

static void without_a_rate_it_comes_back_to_no_bound(void **state) {
    (void)state;
    struct pace pace;
    int64_t when_us;
    pace_init(&pace, 0, 64);
    pace_slow_down(&pace, 0, 0);
    assert_true(pace_take(&pace, 0, &when_us));
    assert_false(pace_take(&pace, 0, &when_us));
    assert_int_equal(when_us, 10000);
    for (unsigned answers = 0; answers < 2000; answers++) {
        pace_answered(&pace);
    }
    assert_int_equal(pace.at_once, 64);
    for (unsigned count = 0; count < 100; count++) {
        assert_true(pace_take(&pace, 50000, &when_us));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_second_ever_holds_more_than_the_rate),
        cmocka_unit_test(the_rate_is_reached),
        cmocka_unit_test(nothing_is_saved_up),
        cmocka_unit_test(without_a_rate_nothing_waits),
        cmocka_unit_test(too_much_slows_down_and_halves_what_is_at_once),
        cmocka_unit_test(a_shorter_pause_does_not_end_a_longer_one),
        cmocka_unit_test(answers_bring_the_speed_back_step_by_step),
        cmocka_unit_test(without_a_rate_it_comes_back_to_no_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
