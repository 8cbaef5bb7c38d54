/*
 * Inside of sending to Dodo:
 *
 *   dodo_event.c   one overage as an event
 *   dodo_book.c    whose meter an event meets: subscriptions and meters as Dodo has them
 *   dodo.c         the window of groups, what the journal knows of them
 *   dodo_batch.c   one batch: intents, request, proof
 *   dodo_reconcile.c  comparing with what Dodo has
 */
#ifndef PERIODCLOSE_SRC_EMIT_DODO_INTERNAL_H
#define PERIODCLOSE_SRC_EMIT_DODO_INTERNAL_H

#include "emit/dodo.h"

struct dodo_book;

/* Where an event lands. */
struct dodo_landing {
    struct text subscription;
    struct instant cycle_start;
    struct instant cycle_end;
};

bool dodo_book_create(struct client *client, struct dodo_book **book, struct err *err);
void dodo_book_destroy(struct dodo_book *book); /* NULL is fine */
bool dodo_book_load(struct dodo_book *book, struct err *err);
/*
 * Where the customer's overage of the metric lands. *held_reason NULL: there; else why it cannot,
 * with a sentence in detail.
 */
bool dodo_book_find(struct dodo_book *book, const struct emit_item *item, struct text customer,
                    struct dodo_landing *landing, const char **held_reason,
                    char detail[EMIT_DETAIL_MAX], struct err *err);
/* "cycle 2026-11-01T00:00:00Z to … of sub_1" */
void dodo_name_cycle(const struct dodo_landing *landing, struct instant at,
                     char detail[EMIT_DETAIL_MAX]);

struct dodo {
    struct dodo_options options;
    struct client *client;
    struct journal *journal;
    struct dodo_book *book;
    struct emit_group *groups; /* the window */
    size_t groups_count;
    size_t groups_capacity;
    struct dodo_open *open; /* items of the window to be sent */
    size_t open_count;
    size_t open_capacity;
    struct buffer body;
    struct dodo_index *index; /* what Dodo has, for comparing; NULL: not asked */
};

void dodo_index_destroy(struct dodo_index *index); /* NULL is fine */

struct dodo_open {
    struct emit_work *work;
    struct text customer;
    struct dodo_landing landing;
};

/* Every event of the metric's name since then, page by page. */
bool dodo_list_metric(struct dodo *dodo, struct text metric, struct instant since,
                      bool (*note)(struct dodo *dodo, const json_t *event, struct err *err),
                      struct err *err);
/* What the journal knows of it. */
bool dodo_load_work(struct dodo *dodo, struct dodo_open *open, struct err *err);
/* Sends everything in dodo->open: each has a result then, or the journal failed. */
bool dodo_send_open(struct dodo *dodo, struct err *err);
/*
 * Asks for the event of an item whose outcome is not known. The result is EMIT_SENT, EMIT_UNKNOWN,
 * or EMIT_OPEN under the next attempt: it is not there.
 */
bool dodo_prove(struct dodo *dodo, struct dodo_open *open, struct err *err);
bool dodo_answered(struct dodo *dodo, struct emit_work *work, struct text customer,
                   enum journal_outcome outcome, int status, const char *detail, struct err *err);

#endif
