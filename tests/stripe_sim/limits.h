/*
 * Rate limits as Stripe has them: at most so many requests to one endpoint, and to the account, in
 * any one second. A window slides; there is no burst on top of it.
 */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_LIMITS_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_LIMITS_H

#include <stddef.h>
#include <stdint.h>

enum { LIMITS_ENDPOINTS_MAX = 32 };

/* The times of the last requests that were let through, as a ring. */
struct window {
    size_t limit; /* 0: none */
    size_t next;
    int64_t *times_us;
};

struct limits {
    struct window endpoints[LIMITS_ENDPOINTS_MAX];
    struct window account;
};

void limits_init(struct limits *limits, size_t per_endpoint, size_t per_account);
void limits_release(struct limits *limits);

/* NULL when the request may pass (it then counts), else the reason that Stripe names. */
const char *limits_take(struct limits *limits, size_t endpoint);

#endif
