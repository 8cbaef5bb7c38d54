/*
 * The plan of what goes wrong. Each request is judged by itself: seed, method, path, idempotency
 * key (or query) and how often the same was asked before decide, so that the order in which
 * requests happen to arrive does not matter and a seed tells the same story again.
 *
 * A plan, as the test gives it (control.h):
 *   {"seed": 7, "per_mille": 200, "faults_max": 40, "kills_max": 3, "stall_ms": 50,
 *    "refuse_ms": 20, "kinds": ["reset_after", …] (all when left out),
 *    "script": [{"method": "POST", "path": "/v1/invoiceitems", "nth": 3, "times": 1,
 *                "kind": "500_after"}]}
 * The script strikes at the nth request (from 1) whose method and path begin so (and whose path
 * ends with "ends", where that is given), times over.
 */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_FAULTS_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_FAULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "stripe_sim/api.h"

enum fault {
    FAULT_NONE,
    FAULT_REFUSE,        /* reset, and for a while no connection is taken */
    FAULT_RESET_BEFORE,  /* reset before the body is read */
    FAULT_RESET_AFTER,   /* done, then reset */
    FAULT_CLOSE_AFTER,   /* done, then closed without a word, TLS too */
    FAULT_CLOSE_SESSION, /* done, then the TLS session is closed as it should be, and no answer */
    FAULT_500_BEFORE,    /* these eight: TROUBLE_… of api.h */
    FAULT_500_AFTER,
    FAULT_409,
    FAULT_429_LIMITED,
    FAULT_429_LOCKED,
    FAULT_401,
    FAULT_402,
    FAULT_403,
    FAULT_STALL_BEFORE,   /* the key is in use meanwhile; then done and answered */
    FAULT_STALL_AFTER,    /* done at once, answered late */
    FAULT_TRUNCATE,       /* done; half of the answer, then closed */
    FAULT_NOT_JSON_502,   /* a proxy's page; nothing done */
    FAULT_NOT_JSON_AFTER, /* done; a page with status 200 */
    FAULT_KILL_BEFORE,    /* the client is killed; nothing done */
    FAULT_KILL_DONE,      /* the client is killed; done, not answered */
    FAULT_KILL_ANSWERED,  /* the client is killed when the answer is on its way */
    FAULTS_COUNT,
};

struct faults {
    uint64_t seed;
    uint64_t per_mille;
    uint64_t faults_max;
    uint64_t kills_max;
    int64_t stall_ms;
    int64_t refuse_ms;
    bool may[FAULTS_COUNT]; /* drawn at random */
    json_t *script;         /* array, owned */
    json_t *asked;          /* request to how often it came */
    uint64_t faults_count;
    uint64_t kills_count;
    uint64_t struck[FAULTS_COUNT];
};

/* plan may be NULL: nothing goes wrong. False, with a reason, when it holds an unknown kind. */
bool faults_load(struct faults *faults, const json_t *plan, const char **problem);
void faults_release(struct faults *faults);
enum fault faults_draw(struct faults *faults, const struct request *request);
enum trouble fault_trouble(enum fault fault);
const char *fault_name(enum fault fault);

#endif
