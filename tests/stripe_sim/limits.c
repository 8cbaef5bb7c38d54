#include "stripe_sim/limits.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SECOND_US = 1000000 };

static int64_t monotonic_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

static void window_init(struct window *window, size_t limit) {
    *window = (struct window){.limit = limit};
    if (limit > 0) {
        window->times_us = calloc(limit, sizeof *window->times_us);
        if (window->times_us == NULL) {
            abort();
        }
    }
}

void limits_init(struct limits *limits, size_t per_endpoint, size_t per_account) {
    for (size_t index = 0; index < LIMITS_ENDPOINTS_MAX; index++) {
        window_init(&limits->endpoints[index], per_endpoint);
    }
    window_init(&limits->account, per_account);
}

void limits_release(struct limits *limits) {
    for (size_t index = 0; index < LIMITS_ENDPOINTS_MAX; index++) {
        free(limits->endpoints[index].times_us);
    }
    free(limits->account.times_us);
    memset(limits, 0, sizeof *limits);
}

static bool has_room(const struct window *window, int64_t now_us) {
    return window->limit == 0 || window->times_us[window->next] == 0 ||
           now_us - window->times_us[window->next] >= SECOND_US;
}

static void count(struct window *window, int64_t now_us) {
    if (window->limit > 0) {
        window->times_us[window->next] = now_us;
        window->next = (window->next + 1) % window->limit;
    }
}

const char *limits_take(struct limits *limits, size_t endpoint) {
    assert(endpoint < LIMITS_ENDPOINTS_MAX);
    int64_t now_us = monotonic_us();
    if (!has_room(&limits->endpoints[endpoint], now_us)) {
        return "endpoint-rate";
    }
    if (!has_room(&limits->account, now_us)) {
        return "global-rate";
    }
    count(&limits->endpoints[endpoint], now_us);
    count(&limits->account, now_us);
    return NULL;
}
