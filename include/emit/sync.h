/*
 * Sync: takes over subscriptions from Stripe or Dodo into billing.subscriptions and the orgs'
 * customer ids (sql/migrations/0013_sync.sql says how they are matched).
 *
 *     sync_all(sys, db, client, provider, &options, &counts, err)     page by page, a transaction
 * each sync_event(sys, db, provider, event_id, body, &outcome, err)    one webhook body, once
 *
 * What is taken over is what the provider said as of an instant; what is older than what is known
 * changes nothing. Pages count as of two minutes before they were asked for, as clocks differ.
 */
#ifndef PERIODCLOSE_EMIT_SYNC_H
#define PERIODCLOSE_EMIT_SYNC_H

#include "core/instant.h"
#include "db/db.h"
#include "emit/client.h"

enum sync_provider { SYNC_STRIPE, SYNC_DODO };

struct sync_counts {
    uint64_t read;
    uint64_t added;
    uint64_t changed;
    uint64_t same;
    uint64_t stale;
    uint64_t left; /* not taken over: the org or the plan is not found, … */
};

struct sync_options {
    /* Every subscription that is not taken over; may be NULL. */
    void (*tell)(void *context, const char *external_id, const char *customer, const char *why);
    void *context;
};

bool sync_all(const struct sys *sys, struct db *db, struct client *client,
              enum sync_provider provider, const struct sync_options *options,
              struct sync_counts *counts, struct err *err);

enum sync_outcome {
    SYNC_TAKEN,    /* added, changed, same or stale */
    SYNC_REPEATED, /* taken before */
    SYNC_IGNORED,  /* not about a subscription */
    SYNC_LEFT,     /* the org or the plan is not found, …: not noted, to be sent again later */
};

struct sync_event {
    enum sync_provider provider;
    const char *event_id;   /* of the header (Dodo); NULL: of the body (Stripe) */
    struct instant sent_at; /* of the header (Dodo): the body is the state of then */
    bool takes_test;        /* also what is of Stripe's test mode */
    struct text body;
};

/* word: what came of it, for people. ERR_INPUT when the body is no event. */
bool sync_event(struct db *db, const struct sync_event *event, enum sync_outcome *outcome,
                char word[64], struct err *err);

#endif
