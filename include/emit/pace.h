/*
 * Pace: how fast and how many at once.
 *
 * pace_take never lets more than `rate` through in any second, and lets them through evenly, so
 * that resuming is no burst either. pace_slow_down (the other side says it is too much) halves the
 * rate and the number at once for a while; they come back step by step with every answer.
 */
#ifndef PERIODCLOSE_EMIT_PACE_H
#define PERIODCLOSE_EMIT_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACE_RATE_MAX = 1000 };

struct pace {
    unsigned rate;       /* a second; 0: no bound */
    int64_t interval_us; /* now */
    int64_t interval_us_min;
    int64_t next_us; /* when the next may go */
    int64_t pause_until_us;
    int64_t times_us[PACE_RATE_MAX]; /* of the last `rate` that went, a ring */
    size_t times_next;
    size_t at_once_max;
    size_t at_once; /* now */
    unsigned answers_since;
};

void pace_init(struct pace *pace, unsigned rate, size_t at_once_max);
/* True when one may go now; else *when_us is the earliest time to ask again. */
bool pace_take(struct pace *pace, int64_t now_us, int64_t *when_us);
void pace_slow_down(struct pace *pace, int64_t now_us, int64_t pause_us);
void pace_answered(struct pace *pace);

#endif
