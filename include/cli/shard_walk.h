/*
 * Walks one table of a run over all of its shards, in key order; one shard is open at a time.
 *
 *     struct shard_walk walk;
 *     if (!shard_walk_start(&walk, run, &checkpoint_charges, err)) …
 *     while (walk.has_row) { … walk.cursor …; if (!shard_walk_next(&walk, err)) … }
 *     shard_walk_close(&walk);     also after a failure; a zeroed one is fine
 *
 * Texts of a row point into the shard: they are gone after the next shard_walk_next.
 */
#ifndef PERIODCLOSE_CLI_SHARD_WALK_H
#define PERIODCLOSE_CLI_SHARD_WALK_H

#include "run/run.h"

struct shard_walk {
    struct run *run;
    const struct table_schema *schema;
    size_t shards_count;
    size_t shard_next; /* to be opened */
    struct table *table;
    struct table_cursor cursor;
    bool has_row;
};

bool shard_walk_start(struct shard_walk *walk, struct run *run, const struct table_schema *schema,
                      struct err *err);
bool shard_walk_next(struct shard_walk *walk, struct err *err);
/* Moves to the first row whose first column is not below key. Keys must be asked for in order. */
bool shard_walk_to(struct shard_walk *walk, struct text key, bool *is_found, struct err *err);
void shard_walk_close(struct shard_walk *walk);

/* Has the stage that leaves the table been done? */
bool run_has_table(const struct run *run, const struct table_schema *schema);

#endif
