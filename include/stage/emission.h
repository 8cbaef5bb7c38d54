/* What commands ask of the stage emit besides performing it. */
#ifndef PERIODCLOSE_STAGE_EMISSION_H
#define PERIODCLOSE_STAGE_EMISSION_H

#include "emit/sender.h"
#include "stage/session.h"

/*
 * The requests that emit would begin with now, as JSON lines; nothing is sent. What is held is a
 * line, too: "held" is its reason. The run is open for updating, as a torn end of its journal is
 * cut off.
 */
struct emission_preview_counts {
    uint64_t open;   /* would be sent, or settled */
    uint64_t held;   /* but for those that are switched off */
    uint64_t others; /* sent already, switched off, or unknown for good */
};
bool emission_preview(struct run *run, const struct stage_session *session,
                      const struct preview_sink *sink, struct emission_preview_counts *counts,
                      struct err *err);

/* Compares the items of the run, which is open for updating, with Stripe: see sender_reconcile. */
bool emission_reconcile(struct run *run, const struct stage_session *session,
                        struct reconcile *reconcile, struct err *err);

/*
 * The runs of all earlier revisions, whose items must be settled before a difference to them goes;
 * they stay open as long. Close also after a failure.
 */
bool emission_earlier_open(struct run *const *runs, size_t runs_count,
                           struct emit_earlier **earlier, struct err *err);
void emission_earlier_close(struct emit_earlier *earlier); /* NULL is fine */

/*
 * Customers, subscriptions and suspensions of orgs whose items could not be sent, as orgs.csv has
 * them now. Release also after a failure. ERR_INPUT: rows of it are bad.
 */
bool emission_fresh_load(struct run *run, const char *folder, struct emit_fresh **fresh,
                         struct err *err);
/* The same, as the database has them now. */
bool emission_fresh_load_database(struct run *run, const char *conninfo, struct emit_fresh **fresh,
                                  struct err *err);
void emission_fresh_release(struct emit_fresh *fresh); /* NULL is fine */

#endif
