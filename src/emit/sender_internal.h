/*
 * Inside of the sender:
 *
 *   sender.c         making and unmaking, the loop
 *   sender_window.c  the groups under way, the queues of what is ready, customers in turn
 *   sender_load.c    what the journal knows of a group; what is to be done next
 *   sender_place.c   where the items of a group go
 *   sender_page.c    listings, page by page
 *   sender_lines.c   items as lines, many by one request, and what lines an invoice has
 *   sender_close.c   invoices of ours compared and finalised
 *   sender_steps.c   each kind of request: how it is asked, and what its answer does
 *   reconcile.c      comparing with what stands at Stripe
 *   reconcile_lines.c  the same with lines of invoices of ours
 *   preview.c        what would be asked, for a dry run
 *   sweep.c          asking for everything since a time
 *   reach.c          when no connection comes about
 */
#ifndef PERIODCLOSE_SRC_EMIT_SENDER_INTERNAL_H
#define PERIODCLOSE_SRC_EMIT_SENDER_INTERNAL_H

#include "answer.h"
#include "emit/pace.h"
#include "emit/sender.h"
#include "reach.h"

enum {
    WINDOW_GROUPS_MAX = 1024,
    WINDOW_GROUPS_MIN = 64,
    WINDOW_WORKS_MAX = 4096,
    CUSTOMER_LISTS = 2048,
    TRIES_MAX = 6,
    RAISED_MAX = 3,
    RETRY_DELAY_MS_MAX = 5000,
    /* Longer than a request may take, in percent of its time limit. */
    QUIET_PERCENT = 125,
    /* In percent of the time limit, too: with a request's own time it is within the quiet. */
    HOLD_PERCENT = 12,
};

#define KEY_LIFE_US (INT64_C(23) * 3600 * 1000000)
#define LIST_SLACK_US (INT64_C(3600) * 1000000)

/* Each is an endpoint of its own, with its own rate. */
enum step {
    STEP_LIST,
    STEP_SUBSCRIPTION,
    STEP_INVOICES, /* looking for a draft: the subscription's, then one of ours */
    STEP_INVOICE,
    STEP_ITEM,
    STEP_ADD_LINES,
    STEP_LINES, /* of an invoice */
    STEP_SHOW,  /* an invoice */
    STEP_FINALIZE,
    STEP_RECONCILE, /* alone: nothing else is asked for meanwhile */
    STEP_SOUGHT,    /* the same: an item by its id */
    STEPS_COUNT,
};

enum slot_state {
    SLOT_FREE,
    SLOT_WAITS_FOR_CUSTOMER, /* another group of the same customer is under way */
    SLOT_NEEDS_INTENT,
    SLOT_READY, /* in the queue of its step */
    SLOT_SENT,
    SLOT_PAUSES, /* until pause_until_us, then ready */
    SLOT_DONE,
};

/* An invoice that is being closed. */
enum closing_phase { CLOSING_READ, CLOSING_LINES, CLOSING_FINALIZE };

struct closing {
    enum closing_phase phase;
    bool is_numbered; /* the attempt of the finalising */
    bool is_refused;  /* it was: why, stands in the bill */
    bool is_lost;     /* an answer to it did not come */
    size_t extra_count;
    size_t found_count;
};

/* To be compared: whose invoices were looked at for lines of ours. */
enum invoices_listed { INVOICES_NONE, INVOICES_OF_CUSTOMER, INVOICES_OF_ALL };

struct slot {
    struct emit_group group;
    struct buffer bodies; /* of the attempts whose intents this process has put */
    enum slot_state state;
    enum step step;
    size_t work_index; /* of STEP_ITEM */
    uint64_t customer_hash;
    struct slot *waits_for;
    unsigned tries;  /* of the request at hand */
    unsigned misses; /* tries of it without a connection: nobody saw those */
    bool is_unsure;  /* one of the tries may have been carried out */
    int64_t pause_until_us;
    bool has_target;
    enum emit_place place;
    bool has_no_subscription; /* it bills nothing soon */
    bool is_draft_asked;      /* of the subscription; by STEP_INVOICES */
    bool is_own_asked;        /* whether an invoice of ours is there */
    bool is_numbered;
    unsigned invoices_count; /* of ours that are there, also finalised ones */
    bool is_own_place;       /* the place is an invoice of ours */
    bool is_unbatched;       /* lines were refused together: one by one */
    bool is_behind_refused;  /* in a listing, newest first: the older ones are full, too */
    int64_t found_off_us;
    struct text listed; /* whose items STEP_RECONCILE lists */
    enum invoices_listed invoices_listed;
    struct closing closing;
    struct slot *next_ready;
    struct slot *older;       /* in the list of its customer's hash */
    struct emit_work invoice; /* an invoice to be made, under its own key */
    char place_id[EMIT_ID_MAX];
    char refused_id[EMIT_ID_MAX]; /* an invoice that takes nothing more */
    char found_id[EMIT_ID_MAX];
    char page_after[EMIT_ID_MAX]; /* of a listing */
};

struct ready_queue {
    struct slot *first;
    struct slot *last;
};

struct sender {
    struct sender_options options;
    struct journal *journal;
    struct http *http;
    struct pace paces[STEPS_COUNT];
    struct ready_queue ready[STEPS_COUNT];
    size_t ready_count;
    struct slot *slots; /* a ring of window_groups */
    size_t window_groups;
    size_t first;
    size_t slots_count;
    size_t works_count;
    struct slot *needy[WINDOW_GROUPS_MAX];
    size_t needy_count;
    struct slot *syncing[WINDOW_GROUPS_MAX]; /* their intents are put, and not yet durable */
    size_t syncing_count;
    size_t pausing_count;
    size_t waiting_count; /* for a customer */
    struct slot *customers[CUSTOMER_LISTS];
    bool is_settling;
    struct reconcile *reconcile; /* NULL: not comparing */
    struct buffer told_lines;    /* the same: ids of lines of nobody, each ended by a zero byte */
    bool is_closing;             /* invoices: by sender_close_invoices */
    bool finalizes;
    int64_t hold_us;    /* by clock_elapsed_us: when it is asked next whether nobody else sends */
    bool has_connected; /* a request has come back */
    struct reach reach;
    uint64_t random;
    struct buffer body; /* scratch */
    struct sender_counts counts;
};

/* sender.c */
int64_t retry_delay_us(struct sender *sender, unsigned tries);

/* sender_window.c */
struct slot *window_slot(struct sender *sender, size_t index); /* the oldest is 0 */
bool window_fill(struct sender *sender, const struct emit_feed *feed, bool *has_more,
                 struct err *err);
/* Gives back the oldest groups, as far as they are done. */
bool window_retire(struct sender *sender, const struct emit_feed *feed, struct err *err);
/* Groups whose customer is free now. */
bool window_wake(struct sender *sender, struct err *err);
void slot_ready(struct sender *sender, struct slot *slot, enum step step);
void slot_need_intent(struct sender *sender, struct slot *slot);
void slot_pause(struct sender *sender, struct slot *slot, enum step step, int64_t until_us);
void slot_finish(struct sender *sender, struct slot *slot);

/* sender_load.c */
void keep_text(char *kept, size_t kept_max, struct text text); /* cut */
bool slot_load(struct sender *sender, struct slot *slot, struct err *err);
bool slot_advance(struct sender *sender, struct slot *slot, struct err *err);
void slot_hold(struct sender *sender, struct slot *slot, const char *reason);
/* *may_ask false: the key of the item at hand is too old; what goes in its place is ready. */
bool slot_may_ask(struct sender *sender, struct slot *slot, bool *may_ask, struct err *err);
/* What an event of a meter did, nobody can be asked: it stays unknown, and is not sent again. */
void work_stays_unknown(struct emit_work *work, const char *why);
bool work_put_intent(struct sender *sender, struct slot *slot, struct emit_work *work,
                     struct err *err);
bool slot_put_intents(struct sender *sender, struct slot *slot, struct err *err);
/* object: what the answer shows; NULL: nothing. */
bool work_answered(struct sender *sender, struct slot *slot, struct emit_work *work,
                   enum journal_outcome outcome, const struct http_answer *answer,
                   const json_t *object, const char *detail, struct err *err);
/* The same with what was read of it already. */
bool work_settled(struct sender *sender, struct slot *slot, struct emit_work *work,
                  enum journal_outcome outcome, const struct http_answer *answer,
                  const struct brief *brief, const char *detail, struct err *err);
void work_hold(struct emit_work *work); /* if it is to be held and nothing of it is open */
/* What was refused is open again, under the next attempt. */
void work_reopen(struct emit_work *work);
/* Is the object what we would have made? ERR_CONTENT otherwise. */
bool work_check_object(const struct emit_work *work, struct text customer, const json_t *object,
                       struct err *err);
bool work_check_brief(const struct emit_work *work, struct text customer, const struct brief *brief,
                      struct err *err);

/* sender_place.c */
bool place_find(struct sender *sender, struct slot *slot, struct err *err);
bool place_invoice_key(const struct sender *sender, const struct slot *slot, struct emit_key *key,
                       struct err *err);
void place_forget(struct slot *slot); /* the place takes nothing more: it is looked for again */
bool place_retry_invoice(struct sender *sender, struct slot *slot, bool *is_retried,
                         struct err *err);
bool place_ask_subscription(struct sender *sender, struct slot *slot, struct http_call *call,
                            struct err *err);
bool place_ask_invoices(struct sender *sender, struct slot *slot, struct http_call *call,
                        struct err *err);
bool place_ask_invoice(struct sender *sender, struct slot *slot, struct http_call *call,
                       struct err *err);
bool place_take_subscription(struct sender *sender, struct slot *slot, const json_t *object,
                             struct err *err);
bool place_take_invoices(struct sender *sender, struct slot *slot, const json_t *object,
                         struct err *err);
bool place_take_invoice(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                        const json_t *object, struct err *err);

/* sender_page.c */
/* The rest of a query for the next page of the listing at hand, behind its path, into the call. */
bool page_ask(const struct slot *slot, const char *path, struct buffer *query,
              struct http_call *call, struct err *err);
/* Whether there is another page behind this one; it is to be asked for then. */
bool page_turn(struct slot *slot, const json_t *list);

/* sender_lines.c */
/* How many of the items that have no intent yet go as lines, together; 0: none. */
size_t lines_count(const struct sender *sender, const struct slot *slot);
bool lines_may_have(const struct emit_work *work);
bool lines_ask_add(struct sender *sender, struct slot *slot, struct http_call *call,
                   struct err *err);
bool lines_take_added(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const json_t *object, struct err *err);
bool lines_give_up(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                   const struct judgement *judgement, struct err *err);
/* Whether something is still to be tried after an answer that says the key was for other content.
 */
bool lines_take_other_content(struct sender *sender, struct slot *slot, bool *is_taken,
                              struct err *err);
bool lines_ask(struct sender *sender, struct slot *slot, struct http_call *call, struct err *err);
bool lines_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                const json_t *object, struct err *err);
/* The key is too old to be asked under again. */
bool lines_too_old(struct sender *sender, struct slot *slot, struct err *err);
/* The invoice is gone: what was to be on it may be among the items of its customer. */
bool lines_are_gone(struct sender *sender, struct slot *slot, struct err *err);
/* The line as the item that it is: under the id of that, where it has one. New reference. */
json_t *line_as_item(const json_t *line);

/* sender_close.c */
bool closing_advance(struct sender *sender, struct slot *slot, struct err *err);
bool closing_put_intent(struct sender *sender, struct slot *slot, struct err *err);
bool closing_ask(struct sender *sender, struct slot *slot, struct http_call *call, struct err *err);
bool closing_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                  const json_t *object, struct err *err);
bool closing_give_up(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                     const struct judgement *judgement, struct err *err);

/* reconcile.c */
bool reconcile_advance(struct sender *sender, struct slot *slot, struct err *err);
bool reconcile_ask(struct sender *sender, struct slot *slot, struct http_call *call,
                   struct err *err);
bool reconcile_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                    const json_t *object, struct err *err);
/* The item at hand, by its id, whoever's it is now. */
bool reconcile_take_sought(struct sender *sender, struct slot *slot,
                           const struct http_answer *answer, const json_t *object, struct err *err);
/* What was asked for, the item or the lines of an invoice, is gone. */
bool reconcile_take_gone(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                         struct err *err);
/* The lines of the invoice of the item at hand. */
bool reconcile_take_lines(struct sender *sender, struct slot *slot,
                          const struct http_answer *answer, const json_t *object, struct err *err);
bool reconcile_failed(const struct slot *slot, const struct http_answer *answer,
                      const struct judgement *judgement, struct err *err);

/* The items of the customer at hand are read, or what else was asked for them. */
bool reconcile_listed(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      struct err *err);
bool reconcile_compare(struct sender *sender, struct slot *slot, struct emit_work *work,
                       const struct http_answer *answer, const json_t *object, struct err *err);
/* work: NULL: none is there of it. */
bool reconcile_tell(struct sender *sender, const struct slot *slot, enum reconcile_kind kind,
                    const struct emit_work *work, const json_t *object, struct err *err);
/* What has a key of ours that is none of the group's. */
bool reconcile_take_unknown(struct sender *sender, const struct slot *slot, const json_t *object,
                            struct err *err);
/* Where it was sent to; else the org's customer. */
struct text reconcile_customer_of(const struct slot *slot, const struct emit_work *work);

/* reconcile_lines.c */
bool reconcile_is_line(const struct emit_work *work); /* its id is a line's, not an item's */
/* Whether invoices are asked for now: the customer's, once; everybody's, when a line is missed. */
bool reconcile_ask_own_invoices(struct sender *sender, struct slot *slot);
bool reconcile_ask_all_invoices(struct sender *sender, struct slot *slot);
bool reconcile_ask_invoices(struct slot *slot, struct http_call *call, struct err *err);
bool reconcile_take_invoices(struct sender *sender, struct slot *slot,
                             const struct http_answer *answer, const json_t *object,
                             struct err *err);
void reconcile_lines_read(struct sender *sender, struct slot *slot);

/* sender_steps.c */
bool step_ask(struct sender *sender, struct slot *slot, struct http_call *call, struct err *err);
bool step_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
               struct err *err);

#endif
