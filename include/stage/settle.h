/*
 * Settling a recorded period out of the database alone: its records say what is billed to whom, and
 * the metadata at the other side what was sent; no run directory is needed.
 *
 *     settle_open(&options, &settle, err)
 *     settle_compare(settle, &reconcile, err)
 *     settle_send(settle, &counts, err)         with a folder: what was never sent, revision by
 *     settle_close(settle)                      revision, and what resend has opened
 *
 * The folder holds a journal, as a run directory does, and is gone on with when it is given again.
 * While there is one, nobody else sends items of the period out of the same database (ERR_LOCKED).
 * What becomes of each item goes onto its record. Nothing is ever deleted.
 */
#ifndef PERIODCLOSE_STAGE_SETTLE_H
#define PERIODCLOSE_STAGE_SETTLE_H

#include "stage/session.h"

struct settle_options {
    const struct sys *sys;
    const char *conninfo;
    struct month month;
    enum emission emission;
    const struct stage_sending *sending;
    const char *folder; /* NULL: nothing is sent */
    void (*note)(void *context, const char *text);
    void *note_context;
};

struct settle;

bool settle_open(const struct settle_options *options, struct settle **settle, struct err *err);
void settle_close(struct settle *settle); /* NULL is fine */
bool settle_compare(struct settle *settle, struct reconcile *reconcile, struct err *err);

struct settle_counts {
    uint64_t sent; /* with those that had been */
    uint64_t held;
    uint64_t failed;
    uint64_t unknown;
};
bool settle_send(struct settle *settle, struct settle_counts *counts, struct err *err);

#endif
