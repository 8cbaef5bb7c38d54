/*
 * Push: sends the usage ledger to Dodo through the period, from a cursor in the database.
 *
 *     push_run(sys, db, reader, client, &options, &counts, err)
 *
 * Each row becomes one event: named by its metric, stamped with the time it occurred at, with its
 * quantity (a number), kind and unique_key as metadata. Its id comes from the row alone (the org
 * and its event id; without one everything that the row says, the transaction that wrote it, and
 * which of several same rows it is), so that Dodo takes it once however often it is sent.
 *
 * The cursor is the snapshot that was sent last (sql/migrations/0012_push.sql), with how many rows
 * of the next one are done: it moves after every batch of up to 1,000, in one transaction with what
 * the batch left behind. A kill repeats at most one batch, under the same ids. One push runs at a
 * time (ERR_LOCKED).
 *
 * Dodo refuses what is older than an hour: such rows are listed in billing.push_unsent and counted,
 * as are those it refuses for another reason; those ahead of their time are sent when they are due.
 * Rows of orgs without a Dodo customer are counted. Administrative rows are not usage. Seats are
 * not pushed: assignments may be entered and corrected for any time, and Dodo takes nothing that is
 * older than an hour and takes nothing back.
 */
#ifndef PERIODCLOSE_EMIT_PUSH_H
#define PERIODCLOSE_EMIT_PUSH_H

#include "core/decimal.h"
#include "core/instant.h"
#include "db/db.h"
#include "emit/client.h"

struct push_counts {
    uint64_t sent;
    uint64_t too_old;
    uint64_t ahead;
    uint64_t refused;
    uint64_t without_customer;
    uint64_t requests;
    bool has_seats; /* there are seats here: they are not pushed */
    bool is_first;  /* usage from before begins_at was not sent */
    struct instant begins_at;
    bool has_pushed_at;
    struct instant pushed_at; /* the end of the push before */
};

struct push_row {
    struct text org_id;
    struct text customer; /* empty: none */
    struct text metric;
    struct text kind;
    struct decimal quantity;
    struct instant occurred_at;
    struct text unique_key; /* empty: none */
    char event_id[33];
};

struct push_options {
    /* Every row that stays behind, with the reason; may be NULL. */
    void (*tell)(void *context, const struct push_row *row, const char *reason, const char *detail);
    void *context;
};

/* db keeps the lock and moves the cursor; reader is a second connection, for the rows. */
bool push_run(const struct sys *sys, struct db *db, struct db *reader, struct client *client,
              const struct push_options *options, struct push_counts *counts, struct err *err);

/* One event as JSON, appended. */
bool push_event_body(const struct push_row *row, struct buffer *body, struct err *err);

#endif
