/*
 * The journal: what was sent, and what came back (RUN/60-emit/journal).
 *
 * Invariants:
 *  1. A request with an Idempotency-Key goes out only after its intent is durable.  the callers,
 *     through journal_commit and journal_check_commit
 *  2. The file only grows, a batch at a time: the next batch is written when the one before is
 *     durable. So only the last batch can be torn.                                  journal_commit
 *  3. Every record carries its length and a checksum that goes on from the record before it: a
 *     record cannot be changed, moved or left out. A batch ends with a mark that can be found
 *     without the records before it.                                                journal_open
 *  4. A torn last batch was never acted on and is cut off; anything else that is wrong is
 *     ERR_DAMAGED, and so is the journal of another run.                            journal_open
 *
 *     journal_open(sys, path, run_id, now, &journal, err)
 *     journal_put_intent, journal_put_answer …     collected in memory
 *     journal_commit(journal, now, err)            one write, one sync
 *     journal_begin_commit, journal_check_commit   the same beside the caller, who goes on putting
 *     journal_close(journal)
 *
 * Beside the caller means a thread of the journal's own; where none can be had, it is done at once.
 * After a commit that failed nothing is written any more: what the file holds then is told by the
 * next opening.
 *
 * journal_find looks at what was in the file when it was opened. For who only looks, NULL is a
 * journal that knows nothing; putting something into it is a mistake of ours.
 */
#ifndef PERIODCLOSE_EMIT_JOURNAL_H
#define PERIODCLOSE_EMIT_JOURNAL_H

#include "emit/item.h"
#include "sys/files.h"

enum journal_outcome {
    OUTCOME_SENT = 1, /* the other side said so */
    OUTCOME_FOUND,    /* a listing showed it */
    OUTCOME_REFUSED,  /* a definite no: nothing was done */
    OUTCOME_ABSENT,   /* a listing proved that it is not there */
};

struct journal_intent {
    struct emit_key key;
    unsigned attempt;
    struct instant at;       /* not later than the first sending */
    struct emit_key content; /* digest of the body */
    enum emit_place place;
    struct text place_id;
    struct text customer;
};

struct journal_answer {
    struct emit_key key;
    unsigned attempt;
    enum journal_outcome outcome;
    int status; /* of HTTP; 0: none */
    int64_t amount;
    struct text currency;
    struct text customer;
    struct text object_id; /* of Stripe */
    struct text request_id;
    struct text detail;     /* why it was refused */
    struct text invoice_id; /* that it is on; empty: none yet, or not known */
};

struct journal;

bool journal_open(const struct sys *sys, const char *path, const char *run_id, struct instant now,
                  struct journal **journal, struct err *err);
void journal_close(struct journal *journal); /* what was not committed is lost; NULL is fine */

/* When what the file says may not be all that was done: since when the other side must be asked. */
bool journal_is_incomplete(const struct journal *journal, bool *has_since, struct instant *since);
bool journal_is_empty(const struct journal *journal); /* no intent, no answer */
/* The time of its first batch tells it from another one at the same place; false: there is none. */
bool journal_begun_at(const struct journal *journal, struct instant *at);

/* The last intent and the last answer of a key. Texts are valid until journal_close. */
struct journal_state {
    bool has_intent;
    bool has_answer;
    bool is_unsettled; /* the intent is the later one */
    struct journal_intent intent;
    struct journal_answer answer;
};
/* ERR_CONTENT when two different objects were found for the key. */
bool journal_find(const struct journal *journal, const struct emit_key *key,
                  struct journal_state *state, struct err *err);

bool journal_put_intent(struct journal *journal, const struct journal_intent *intent,
                        struct err *err);
bool journal_put_answer(struct journal *journal, const struct journal_answer *answer,
                        struct err *err);
/* The other side was asked for everything since then: from here on the journal is complete. */
bool journal_put_swept(struct journal *journal, struct err *err);

/* All that was put is durable when it returns, also what is being committed beside the caller. */
bool journal_commit(struct journal *journal, struct instant now, struct err *err);
/* Waits for the commit before, if that is still under way. */
bool journal_begin_commit(struct journal *journal, struct instant now, struct err *err);
/* *is_done: what was begun is durable. waits: until it is. */
bool journal_check_commit(struct journal *journal, bool waits, bool *is_done, struct err *err);

struct journal_counts {
    uint64_t records;
    uint64_t syncs;
};
struct journal_counts journal_counts(const struct journal *journal);

#endif
