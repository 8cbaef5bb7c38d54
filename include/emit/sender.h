/*
 * The sender: puts items on customers' bills at Stripe, each once (DESIGN.md 10).
 *
 *     sender_create(&options, journal, &sender, err)
 *     sender_try_key(sender, err)          before that
 *     sender_sweep(sender, since, err)     when the journal may not know all that was sent
 *     sender_run(sender, &feed, err)       as often as there are lots of groups
 *     sender_destroy(sender)
 *
 * A group is what one org is billed: its items go one after the other, and never two requests for
 * one customer at once. Groups are taken in order and given back in order; up to a window of them
 * is under way. An intent is durable before its request goes out: intents of the whole window and
 * the answers that came since are made durable together.
 *
 * An item whose outcome is not known is settled before anything new is done for its customer:
 * while the Idempotency-Key lives (23 hours, an hour less than Stripe says) by the same request
 * under the same key, later by listing the customer's items. The attempt is raised only after a
 * definite refusal or after a listing that proves absence: asked when nothing can be under way any
 * more that was sent before, which takes a little longer than the time limit of a request.
 *
 * A run ends with an error when nobody may go on: key refused (ERR_REFUSED), other content under
 * our key (ERR_CONTENT), interrupted or past the deadline (ERR_INTERRUPTED, ERR_UNKNOWN when an
 * outcome is not known by then). One item's refusal is its own affair.
 */
#ifndef PERIODCLOSE_EMIT_SENDER_H
#define PERIODCLOSE_EMIT_SENDER_H

#include "emit/item.h"
#include "emit/journal.h"
#include "emit/reconcile.h"
#include "sys/files.h"

/* So long Stripe tells meter events apart by their identifiers, less an hour. */
#define METER_EVENTS_APART_US (INT64_C(23) * 3600 * 1000000)

enum emit_status { EMIT_OPEN, EMIT_SENT, EMIT_FAILED, EMIT_UNKNOWN, EMIT_HELD };

enum { EMIT_ID_MAX = 256, EMIT_DETAIL_MAX = 240, EMIT_REQUEST_ID_MAX = 80 };

struct emit_result {
    enum emit_status status;
    const char *reason; /* of EMIT_HELD; of EMIT_UNKNOWN: why it stays so: a constant; NULL: none */
    unsigned attempts;
    char object_id[EMIT_ID_MAX];
    char request_id[EMIT_REQUEST_ID_MAX];
    char detail[EMIT_DETAIL_MAX];
    char invoice_id[EMIT_ID_MAX]; /* that it is on; empty: none yet, or not known */
};

/* One item under way; behind held_reason: the sender's own. */
struct emit_work {
    struct emit_item item;
    const char *held_reason; /* it is not sent now: a constant; NULL: it may be */
    bool was_held;           /* when it was last looked at: to be compared, it is still */
    const char *recorded_id; /* its record says it was sent, under this id; NULL: it does not */
    bool has_intent;         /* durable, under the attempt at hand */
    bool is_unsettled;       /* a request may have been carried out */
    bool needs_list;
    bool is_found;        /* by sender_reconcile */
    bool has_double;      /* the same: another with its key */
    bool is_compared;     /* the same */
    bool is_sought;       /* the same: it was asked for by its id */
    struct text customer; /* where it was sent to; empty: it was not */
    bool is_kept;         /* its key will for ever be answered by the same failure */
    bool is_added;        /* Stripe says that its line was added: only its id is asked for */
    bool is_different;    /* it stands there with other content (tells_different) */
    size_t body_offset;   /* of the attempt's body among those kept; body_bytes 0: it is not */
    size_t body_bytes;
    unsigned attempt;
    unsigned raised;     /* how often in this process */
    int64_t asked_us;    /* monotonic: when this process asked last */
    int64_t first_at_us; /* of the intent, by the wall clock */
    int64_t first_us;    /* the same by clock_elapsed_us; 0: of an earlier process */
    struct emit_key content;
    enum emit_place place;
    struct emit_result result;
    char place_id[EMIT_ID_MAX];
};

/* What became of an invoice of ours (sender_close_invoices). */
enum invoice_status {
    INVOICE_OF_OTHERS, /* none of ours: a subscription's; not looked at */
    INVOICE_DRAFT,     /* as it should be; the reason says why it is not finalised */
    INVOICE_FINALISED,
    INVOICE_DIFFERENT, /* from what was sent: the reason says what */
    INVOICE_FAILED,    /* refused to be finalised, or to be shown */
    INVOICE_UNKNOWN,
};

struct emit_bill {
    struct text invoice_id;
    uint64_t open_count;     /* items that should be on it and are not sent */
    const char *open_reason; /* of one of those: a constant */
    enum invoice_status status;
    const char *reason;  /* a constant, empty: none */
    char state[16];      /* as Stripe calls it: draft, open, paid, void, uncollectible */
    uint64_t ours_count; /* items of ours that stand on it, also of other runs of the period */
    int64_t ours;        /* what they come to, in Stripe's minor units */
    int64_t theirs;      /* its total without taxes and discounts */
    char request_id[EMIT_REQUEST_ID_MAX];
    char detail[EMIT_DETAIL_MAX];
};

struct emit_group {
    struct text org_id;
    struct text customer;      /* empty: none */
    struct text subscription;  /* empty: none */
    const char *held_reason;   /* nothing new is sent: a constant; NULL: it may be */
    struct instant period_end; /* of a group without works, to be compared */
    struct emit_work *works;
    size_t works_count;
    size_t works_capacity;
    struct emit_bill bill; /* of sender_close_invoices */
};

struct emit_feed {
    void *context;
    /* Fills the group (its works through emit_group_add); *is_found false: there are no more. */
    bool (*next)(void *context, struct emit_group *group, bool *is_found, struct err *err);
    /* Every item has its result. In the order of next. NULL: nobody wants to know. */
    bool (*done)(void *context, const struct emit_group *group, struct err *err);
};

/* Room for one more item, all zero; NULL and ERR_MEMORY. */
struct emit_work *emit_group_add(struct emit_group *group, struct err *err);
void emit_group_release(struct emit_group *group);

/* Where items go when there is a choice. */
enum emit_attach {
    ATTACH_UPCOMING, /* on the subscription's next invoice */
    ATTACH_DRAFT,    /* on the draft invoice of the closed period, while there is one */
    ATTACH_INVOICE,  /* on an invoice of the customer's own */
};

struct sender_options {
    const struct sys *sys;
    const char *base;
    const char *secret;
    const char *version; /* of the API */
    const char *run_id;
    const char *period; /* YYYY-MM */
    unsigned rate;      /* requests a second and endpoint; 0: no bound */
    size_t in_flight;
    int64_t timeout_ms;
    int64_t retry_delay_ms;
    int64_t started_us;         /* monotonic: no earlier start asked for anything after it */
    int64_t deadline_us;        /* monotonic; 0: none */
    bool is_metered;            /* as events of meters: nothing is attached to anything */
    struct instant apart_until; /* of these: none is asked for any more; 0: without an end */
    enum emit_attach attach;
    int64_t max_wait_us;  /* to a subscription's next invoice; -1: not asked */
    bool may_stand_alone; /* else held: no_upcoming_invoice */
    bool is_discountable;
    bool batches_lines;  /* items of a group go on an invoice of ours by one request */
    bool finalizes;      /* of sender_preview: invoices of ours would be */
    bool retries_failed; /* items that were refused are tried again */
    /* What stands there with other content is left as it is, EMIT_UNKNOWN, and stops nobody else.
     */
    bool tells_different;
    /*
     * Whether nobody else may be sending, still: asked so often that whoever is allowed to after it
     * was not true any more, and waits until nothing can be under way, sees all that was sent.
     * NULL: it need not be asked.
     */
    bool (*hold)(void *context, struct err *err);
    void *hold_context;
    /* For people: the other side cannot be reached, and that it can be again. NULL: nobody. */
    void (*note)(void *context, const char *text);
    void *note_context;
};

struct sender_counts {
    uint64_t requests;
    uint64_t sent;
    uint64_t failed;
    uint64_t unknown;
    uint64_t held;
    uint64_t on_invoices; /* sent ones that stand on an invoice already */
};

struct sender;

bool sender_create(const struct sender_options *options, struct journal *journal,
                   struct sender **sender, struct err *err);
void sender_destroy(struct sender *sender); /* NULL is fine */
/* How long after a request, or after the start of this program, nothing of before is under way. */
int64_t sender_quiet_us(int64_t timeout_ms);
/*
 * Before sender_sweep, which may wait long: one read that changes nothing, so that a key that is
 * not taken is told at once (ERR_REFUSED). What else may come of it, the sweep finds out by itself.
 */
bool sender_try_key(struct sender *sender, struct err *err);
bool sender_sweep(struct sender *sender, struct instant since, struct err *err);
/* What a sweep would find, without its wait: each item and line of the period is given to take. */
bool sender_list(struct sender *sender, struct instant since,
                 bool (*take)(void *context, const struct journal_answer *found, struct err *err),
                 void *context, struct err *err);
/*
 * Items of others, and of other periods, that wait for the subscription's next invoice: its own,
 * and those that go on any invoice of the customer.
 */
bool sender_count_waiting(struct sender *sender, struct text customer, struct text subscription,
                          uint64_t *waiting_count, struct err *err);
/* Only what is unsettled: nothing new is sent. */
bool sender_settle(struct sender *sender, const struct emit_feed *feed, struct err *err);
bool sender_run(struct sender *sender, const struct emit_feed *feed, struct err *err);
/*
 * Invoices of ours, once their items are settled: a group is an invoice (bill.invoice_id) with the
 * items that were put on it, all of one customer and currency. Each is read, and its total and
 * lines are compared with the items; if asked for, a draft that agrees and has all is finalised,
 * under a journaled key of its own. One that is finalised already is done, whoever did it. done is
 * called with group->bill filled in. ERR_CONTENT when a line of ours has another amount, or is
 * there twice.
 */
bool sender_close_invoices(struct sender *sender, const struct emit_feed *feed, bool finalizes,
                           struct err *err);
/*
 * Compares every item of the feed with what its customer has at Stripe (emit/reconcile.h); a group
 * without items is looked at for what should not be there. Events of meters cannot be listed: what
 * is known of them is told.
 */
bool sender_reconcile(struct sender *sender, const struct emit_feed *feed,
                      struct reconcile *reconcile, struct err *err);
/*
 * Nothing is sent: every request that a sending would begin with goes to the sink, as one JSON
 * object on a line of its own (without its end). base, version, run_id, period, attach and the
 * content options are enough. journal: what was sent already; NULL: nothing. done is called with
 * what is held and why, as far as that is known without asking; what would be sent or settled is
 * not EMIT_HELD.
 */
struct preview_sink {
    void *context;
    bool (*put)(void *context, struct text line, struct err *err);
};
bool sender_preview(const struct sender_options *options, struct journal *journal,
                    const struct emit_feed *feed, const struct preview_sink *sink, struct err *err);
struct sender_counts sender_counts(const struct sender *sender);

#endif
