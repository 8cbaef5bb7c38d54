/*
 * Backfill: what an old system says that orgs have used so far, into ledger and cache.
 *
 * The truth is a CSV file (org_id, metric, quantity), a query that gives those three columns, or
 * the seat book. It is compared with the cache row by row; where they differ, the difference goes
 * into the ledger with reason migration, and into the cache, batch by batch. A close counts such
 * rows of flows as administrative, never as usage; a level moves by them.
 *
 * Each row of a file is written once: its key says from which content it came, so that a backfill
 * that was killed, or typed again after usage has gone on, changes nothing twice. A query and the
 * seat book say what is now, and are compared anew each time.
 */
#ifndef PERIODCLOSE_SOURCE_BACKFILL_H
#define PERIODCLOSE_SOURCE_BACKFILL_H

#include "db/db.h"
#include "source/csv.h"

struct backfill_difference {
    struct text org_id;
    struct text metric;
    struct decimal cached;
    struct decimal truth;
    struct decimal difference;
};

struct backfill_options {
    const char *truth_path; /* exactly one of these three */
    const char *query;
    bool counts_seats;
    bool only_compares;
    /* Each difference: found, or written and committed. False stops with its error. */
    bool (*tell)(void *context, const struct backfill_difference *difference, struct err *err);
    void (*progress)(void *context, uint64_t done, uint64_t total); /* rows; may be NULL */
    void *context;
};

struct backfill_counts {
    uint64_t compared;
    uint64_t different; /* when not only compared: written */
    uint64_t unnamed;   /* rows of the cache that the truth leaves out: not looked at */
};

/* Bad rows are in problems; nothing was written then (ERR_INPUT). */
bool backfill_run(const struct sys *sys, struct db *db, const struct backfill_options *options,
                  struct backfill_counts *counts, struct problems *problems, struct err *err);

#endif
