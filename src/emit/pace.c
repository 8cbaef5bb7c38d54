#include "emit/pace.h"

#include <assert.h>

/*
 * Kept above a second: what leaves evenly arrives a little less so, and there must be no second
 * with more than the rate. 25 become 24.85.
 */
enum {
    SECOND_US = 1000000,
    WINDOW_US = 1006000,
    INTERVAL_US_MAX = 2000000,
    RECOVER_ANSWERS = 16,
    LATE_US_MAX = 250000
};

void pace_init(struct pace *pace, unsigned rate, size_t at_once_max) {
    assert(rate <= PACE_RATE_MAX && at_once_max >= 1);
    *pace = (struct pace){.rate = rate, .at_once_max = at_once_max, .at_once = at_once_max};
    pace->interval_us_min = rate == 0 ? 0 : WINDOW_US / (int64_t)rate;
    pace->interval_us = pace->interval_us_min;
    for (size_t index = 0; index < PACE_RATE_MAX; index++) {
        pace->times_us[index] = INT64_MIN / 2;
    }
}

bool pace_take(struct pace *pace, int64_t now_us, int64_t *when_us) {
    *when_us = now_us;
    if (now_us < pace->pause_until_us) {
        *when_us = pace->pause_until_us;
        return false;
    }
    if (pace->interval_us == 0) {
        return true;
    }
    int64_t earliest_us = pace->next_us;
    if (pace->rate > 0 && pace->times_us[pace->times_next] + WINDOW_US > earliest_us) {
        earliest_us = pace->times_us[pace->times_next] + WINDOW_US;
    }
    if (now_us < earliest_us) {
        *when_us = earliest_us;
        return false;
    }
    /* A little late: the next one is not, so that the rate holds on the average. */
    int64_t late_us_max = pace->interval_us > LATE_US_MAX ? pace->interval_us : LATE_US_MAX;
    bool is_late = now_us - pace->next_us > late_us_max;
    pace->next_us = (is_late ? now_us : pace->next_us) + pace->interval_us;
    if (pace->rate > 0) {
        pace->times_us[pace->times_next] = now_us;
        pace->times_next = (pace->times_next + 1) % pace->rate;
    }
    return true;
}

void pace_slow_down(struct pace *pace, int64_t now_us, int64_t pause_us) {
    int64_t slower_us = pace->interval_us == 0 ? SECOND_US / 100 : pace->interval_us * 2;
    pace->interval_us = slower_us < INTERVAL_US_MAX ? slower_us : INTERVAL_US_MAX;
    pace->at_once = pace->at_once > 1 ? pace->at_once / 2 : 1;
    pace->answers_since = 0;
    if (now_us + pause_us > pace->pause_until_us) {
        pace->pause_until_us = now_us + pause_us;
    }
}

void pace_answered(struct pace *pace) {
    bool is_full = pace->at_once == pace->at_once_max && pace->interval_us == pace->interval_us_min;
    if (is_full || ++pace->answers_since < RECOVER_ANSWERS) {
        return;
    }
    pace->answers_since = 0;
    pace->at_once += pace->at_once < pace->at_once_max ? 1 : 0;
    int64_t faster_us = pace->interval_us * 3 / 4;
    if (pace->interval_us_min == 0 && faster_us < 100) {
        faster_us = 0;
    }
    pace->interval_us = faster_us > pace->interval_us_min ? faster_us : pace->interval_us_min;
}
