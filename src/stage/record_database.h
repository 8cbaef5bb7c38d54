/*
 * Recording in a database: one transaction, from the lock on the run's own row to the mark that its
 * result is written (DESIGN.md 10).
 *
 *     ledger_open(&ledger, run, session, terms, err)   begins it; reads what is recorded
 *     ... the stage makes its tables: ledger.previous, ledger_org() ...
 *     ledger_write(&ledger, err)                       COPY, sums, mark, COMMIT (record_write.c)
 *     ledger_check(&ledger, err)                       instead, when an earlier start has written
 *     ledger_close(&ledger)                            rolls back what is not committed
 *
 * What is recorded is always looked at as it was before this run, so that the tables of the stage
 * are the same whether its result was written already (the answer to COMMIT was lost) or not.
 *
 * A dry run has no claim: it compares, and writes nothing.
 */
#ifndef PERIODCLOSE_SRC_STAGE_RECORD_DATABASE_H
#define PERIODCLOSE_SRC_STAGE_RECORD_DATABASE_H

#include "core/digest.h"
#include "record_previous.h"
#include "stage/session.h"

enum ledger_state {
    LEDGER_NEW,     /* nothing is recorded of the org's period */
    LEDGER_SAME,    /* this very result is */
    LEDGER_CHANGED, /* another one is */
};

/* Of a rated org. */
struct ledger_org {
    struct digest digest;
    enum ledger_state state;
    int64_t revision; /* that this result has, or would have */
    int64_t seen_by;  /* the run whose cutoff and snapshot its usage was read by */
};

struct ledger_shard {
    struct ledger_org *orgs; /* in the order of the shard's rated orgs */
    size_t orgs_count;
};

struct ledger {
    struct run *run;
    struct stage_session *session;
    const struct terms *terms;
    struct db *db;
    char day[INSTANT_TEXT_MAX];
    struct digest result_key;
    bool is_written; /* by this run, before */
    struct buffer reason;
    struct previous_tables previous; /* usage, negatives and charges only where orgs changed */
    struct ledger_shard *shards;
    size_t shards_count;
    uint64_t counts[LEDGER_CHANGED + 1]; /* orgs */
};

bool ledger_open(struct ledger *ledger, struct run *run, struct stage_session *session,
                 const struct terms *terms, struct err *err);
void ledger_close(struct ledger *ledger);
bool ledger_write(struct ledger *ledger, struct err *err);
/* Holds what is recorded by this run against what it would write: the totals of a calm run. */
bool ledger_check(struct ledger *ledger, struct err *err);

/* Pins of how many orgs the result was not recorded yet (stage/session.h). */
bool ledger_pin_results(const struct ledger *ledger, struct err *err);

/* Of struct ledger_org: fills digests and states of one shard (record_digest.c). Threads ok. */
bool ledger_digest_shard(struct ledger *ledger, size_t shard_index, struct err *err);
/* ERR_MISMATCH with the list of what differs: the tables of the stage are there. */
bool ledger_refuse_changes(const struct ledger *ledger, struct err *err);

/* The plans that orgs' terms are about to name, by digest (record_seal.c). */
struct sealed_digests {
    struct digest *digests; /* by index into ledger->terms->plans */
    bool *is_used;
};
bool ledger_digest_plans(const struct ledger *ledger, struct sealed_digests *sealed,
                         struct err *err);
bool ledger_seal_plans(const struct ledger *ledger, const struct sealed_digests *sealed,
                       struct err *err);
void sealed_digests_release(struct sealed_digests *sealed);

#endif
