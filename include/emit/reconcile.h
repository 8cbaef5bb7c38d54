/*
 * Comparing items with what stands at the other side: see sender_reconcile and dodo_reconcile.
 *
 * Nothing is sent, and the feed's done is not called. With repairs, what stands there and was not
 * known to is put into the journal; an item of resend that is gone there, or that nobody can be
 * asked about, may be sent again by the next sending.
 */
#ifndef PERIODCLOSE_EMIT_RECONCILE_H
#define PERIODCLOSE_EMIT_RECONCILE_H

#include <jansson.h>

#include "emit/item.h"

enum reconcile_kind {
    RECONCILE_NEVER_SENT, /* not there, and not known to have been */
    RECONCILE_REMOVED,    /* not there, and it was: somebody's goodwill, perhaps */
    RECONCILE_DIFFERENT,  /* another amount, currency or customer */
    RECONCILE_UNRECORDED, /* there, and not known to be */
    RECONCILE_EXTRA,      /* there, and not recorded, or twice */
    RECONCILE_UNKNOWN,    /* a meter event without an answer: nobody can be asked */
    RECONCILE_KINDS_COUNT,
};

struct reconcile_finding {
    enum reconcile_kind kind;
    struct emit_key key;
    bool has_key; /* false: a line of nobody on an invoice of ours */
    struct text org_id;
    struct text metric;
    const struct emit_item *item; /* ours; NULL: of RECONCILE_EXTRA, not recorded */
    const char *our_id;           /* empty: none */
    const char *their_id;         /* empty: it is not there */
    int64_t their_amount;         /* in Stripe's minor units */
    struct text their_currency;
};

struct reconcile {
    bool repairs;
    const struct emit_key *resend;
    size_t resend_count;
    /* The feed has the items of all runs: whatever else of its orgs is there is extra. */
    bool knows_all;
    /* Else these runs, which this one revises, account for theirs. */
    const char *const *earlier_run_ids;
    size_t earlier_run_ids_count;
    /* What has the key and stands with nobody that was asked about it; NULL: nothing. */
    const json_t *(*elsewhere)(void *context, const struct emit_key *key);
    void *elsewhere_context;
    void *context;
    bool (*found)(void *context, const struct reconcile_finding *finding, struct err *err);
    struct {
        uint64_t items;
        uint64_t agreed;
        uint64_t findings;
        uint64_t resent;
        uint64_t held; /* of those that agree: they were held, and may be sendable by now */
    } counts;
};

bool reconcile_is_resent(const struct reconcile *reconcile, const struct emit_key *key);
/* Whether the metadata names a run that accounts for it: an earlier one. */
bool reconcile_is_earlier(const struct reconcile *reconcile, const char *run_id);

#endif
