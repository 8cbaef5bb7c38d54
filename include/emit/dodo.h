/*
 * Overages as usage events at Dodo Payments, each once.
 *
 * An event's id is the item key. It is named "overage.METRIC" and carries the billed amount in the
 * currency's smallest unit as metadata `amount`; the meter sums that key at a price of 1 from the
 * first unit on. So tiers, caps and corrections come out at Dodo to the last cent. The other
 * metadata (quantity, org, metric, period, revision, run) are for people.
 *
 *     dodo_create(&options, client, journal, &dodo, err)
 *     dodo_sweep(dodo, metrics, count, since, err)   when the journal may not know all that was
 * sent dodo_load(dodo, err)                           the active subscriptions, page by page
 *     dodo_run(dodo, &feed, err)                     as often as there are lots of groups
 *     dodo_destroy(dodo)
 *
 * Events are stamped at sending, as Dodo refuses what is older than an hour. So they are billed in
 * the cycle that runs then; the result's detail names it. Before an item is sent its meter is
 * looked at: on an active subscription of the customer, summing `amount`, free threshold zero,
 * price 1, same currency. Else the item is held, and so is a negative amount, which no meter takes.
 *
 * Intents are durable before a batch goes out. After a lost answer each of its events is asked for
 * (GET /events/{event_id}): what is there is done, what is not goes out again under the same id. A
 * refused batch is halved until the events are found that are to blame.
 */
#ifndef PERIODCLOSE_EMIT_DODO_H
#define PERIODCLOSE_EMIT_DODO_H

#include "core/arena.h"
#include "emit/client.h"
#include "emit/sender.h"

enum {
    DODO_EVENTS_PER_REQUEST_MAX = 1000,
    DODO_PER_MINUTE = 100, /* what Dodo allows */
    DODO_PAGE_SIZE = 100,
};

struct dodo_options {
    const struct sys *sys;
    const char *run_id;
    const char *period;  /* YYYY-MM */
    bool retries_failed; /* items that were refused are tried again */
};

struct dodo;

bool dodo_create(const struct dodo_options *options, struct client *client, struct journal *journal,
                 struct dodo **dodo, struct err *err);
void dodo_destroy(struct dodo *dodo); /* NULL is fine */
bool dodo_sweep(struct dodo *dodo, const struct text *metrics, size_t metrics_count,
                struct instant since, struct err *err);
bool dodo_load(struct dodo *dodo, struct err *err);
bool dodo_run(struct dodo *dodo, const struct emit_feed *feed, struct err *err);

/*
 * Compares items with the events that Dodo has (emit/reconcile.h). Begin lists those of the metrics
 * since a time, end tells of events without an item; between them as many lots as there are.
 */
bool dodo_reconcile_begin(struct dodo *dodo, const struct text *metrics, size_t metrics_count,
                          struct instant since, struct err *err);
bool dodo_reconcile(struct dodo *dodo, const struct emit_feed *feed, struct reconcile *reconcile,
                    struct err *err);
bool dodo_reconcile_end(struct dodo *dodo, struct reconcile *reconcile, struct err *err);

/* --- one event ----------------------------------------------------------------------------------
 */

/* What holds an item whatever its meter is: a constant; NULL: nothing. */
const char *dodo_held_reason(const struct emit_group *group, const struct emit_work *work);
/* "overage.tokens", cleared first. */
bool dodo_event_name(struct text metric, struct buffer *name, struct err *err);
/*
 * One event as JSON, appended. Without a stamp (NULL): what the digest of an intent is made of.
 */
bool dodo_event_body(const struct emit_item *item, struct text customer, const char *run_id,
                     const struct instant *stamp, struct buffer *body, struct err *err);

#endif
