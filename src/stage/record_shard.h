/*
 * The rows of one shard that the stage record leaves: which records there are, their revisions and
 * differences, whether the revision before is in another run directory, in a database, or nowhere.
 *
 *     struct record_shard shard = {.recorder = …, .totals = …, .records = …, .adjustments = …};
 *     record_start_previous(&shard, previous);     where there is a revision before
 *     record_start(&shard, orgs, usage, negatives, charges);
 *     record_rows(&shard, err)
 *
 * The tables and writers stay the caller's.
 */
#ifndef PERIODCLOSE_SRC_STAGE_RECORD_SHARD_H
#define PERIODCLOSE_SRC_STAGE_RECORD_SHARD_H

#include "rating/rated.h"
#include "record_database.h"
#include "record_previous.h"
#include "stage/session.h"

/* What all shards share. */
struct recorder {
    struct run *run;                     /* NULL: a first result without a database */
    const struct stage_session *session; /* the same */
    const struct terms *terms;
    const struct previous_tables *previous; /* NULL: a first result */
    const struct ledger *ledger;            /* NULL: no database */
    const char *reason;                     /* of a revision; NULL: none */
    struct totals **totals;                 /* per shard */
};

/* One shard at work. */
struct record_shard {
    const struct recorder *recorder;
    struct totals *totals;
    struct rated_walk walk;
    const struct ledger_org *next_org; /* of those that are rated */
    enum ledger_state state;           /* of the org at hand */
    struct table_writer *records;
    struct table_writer *adjustments;
    struct previous_orgs previous_orgs;
    struct previous_walk previous_billed; /* its records, apart from those that are revised */
    struct previous_walk previous_usage;
    struct previous_walk previous_negatives;
    struct previous_walk previous_charges;
    struct previous_walk previous_records;
};

/* Previous: of the recorder. Of a list that is not there nothing is asked. */
void record_start_previous(struct record_shard *shard, const struct previous_tables *previous);
void record_start(struct record_shard *shard, struct table *orgs, struct table *usage,
                  struct table *negatives, struct table *charges);
bool record_rows(struct record_shard *shard, struct err *err);

#endif
