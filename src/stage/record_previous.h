/*
 * The revision before, as the record stage reads it: its tables, walked over all of their shards
 * in the order of keys, whatever shard an org is in now.
 *
 * previous_open() opens them, once for all workers; previous_close() closes what is open, also
 * after a previous_open() that failed. Each worker walks them with walks of its own, forward only.
 */
#ifndef PERIODCLOSE_SRC_STAGE_RECORD_PREVIOUS_H
#define PERIODCLOSE_SRC_STAGE_RECORD_PREVIOUS_H

#include "rating/terms.h"
#include "run/run.h"
#include "table/checkpoint.h"

/* Tables of all shards of the previous run, shared by the workers. */
struct previous_tables {
    size_t shards_count;
    struct table **orgs;
    struct table **usage;
    struct table **negatives;
    struct table **charges;
    struct table **records;
};

/* Walks one table of the previous run over all of its shards, in key order. */
struct previous_walk {
    struct table *const *tables;
    size_t tables_count;
    size_t table_index; /* of the next table */
    struct terms_walk walk;
};

/* The same over the orgs, which have no metric. */
struct previous_orgs {
    struct table *const *tables;
    size_t tables_count;
    size_t table_index; /* of the next table */
    struct table_cursor cursor;
    bool has_row;
};

/* Opens the tables of all shards: `run` is the revision before. */
bool previous_open(struct run *run, struct previous_tables *previous, struct err *err);
void previous_close(struct previous_tables *previous);

struct previous_walk previous_walk_start(struct table *const *tables, size_t tables_count);
/* To the row of the key: false when there is none. Keys must be asked for in their order. */
bool previous_walk_to(struct previous_walk *walk, struct text org_id, struct text metric);
bool previous_orgs_to(struct previous_orgs *orgs, struct text org_id);

#endif
