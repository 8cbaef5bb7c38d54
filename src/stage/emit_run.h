/* Inside of the stage emit: one sending to Stripe, from the checks before it to its end. */
#ifndef PERIODCLOSE_SRC_STAGE_EMIT_RUN_H
#define PERIODCLOSE_SRC_STAGE_EMIT_RUN_H

#include "emit.h"

struct emission_run {
    struct run *run;
    const struct stage_session *session;
    struct terms terms;
    struct table *plans; /* behind terms */
    struct table *prices;
    struct table *tiers;
    struct arena *arena;
    bool is_totalled; /* the stage is performed: its totals are kept */
    char period[INSTANT_TEXT_MAX];
    char journal_path[FILE_PATH_MAX];
    struct journal *journal;
    struct sender *sender;
    uint64_t items_count;
    uint64_t held_count;
    struct instant first_end;   /* of all periods billed */
    struct instant apart_until; /* meter events may be sent; 0: for ever */
    int64_t deadline_us;        /* monotonic: of the whole stage */
    int64_t quiet_from_us;      /* monotonic: nobody else asked for anything after it */
};

/* Close also after a failure. */
bool emission_open(struct emission_run *emission, struct run *run,
                   const struct stage_session *session, struct err *err);
void emission_close(struct emission_run *emission);
struct sender_options emission_options(const struct emission_run *emission);
void emission_tell_note(const struct emission_run *emission, const char *text);

/*
 * emit_recorded.c, where there is a database. Others: whether its records say that something may
 * have been asked for by somebody whose journal this is not. Note puts into the journal what the
 * records say was sent or asked for, and the journal does not know; *is_noted: it has to be opened
 * again. Mark tells the records that the items may be asked for from now on.
 */
struct emit_recorded_state {
    bool is_new;    /* the journal begins here */
    bool was_swept; /* what is at the other side was listed just now, with nobody else sending */
};
bool emit_recorded_others(struct emission_run *emission, bool *has_others, struct err *err);
bool emit_recorded_note(struct emission_run *emission, struct emit_recorded_state state,
                        bool *is_noted, struct err *err);
bool emit_recorded_mark(struct emission_run *emission, struct err *err);
/*
 * Of events of meters, without a database, with a journal of which nobody has said that it knows
 * all that was sent. Sets apart_until; ERR_UNKNOWN when new ones may be there already, and would
 * not be told apart.
 */
bool emit_recorded_doubt(struct emission_run *emission, struct err *err);

/* emit_invoices.c. Once all items are sent: compares and finalises, and writes their table. */
bool emit_invoices(struct emission_run *emission, struct err *err);

/* For telling customers into parts. */
uint64_t emit_customer_hash(struct text customer);

/* emit_check.c. Open makes every item and tells the cost; waiting asks Stripe, once connected. */
struct emit_check;
bool emit_check_open(struct emission_run *emission, struct emit_check **check, struct err *err);
bool emit_check_waiting(struct emit_check *check, struct err *err);
void emit_check_close(struct emit_check *check); /* NULL is fine */

#endif
