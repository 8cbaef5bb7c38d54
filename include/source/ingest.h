/*
 * Ingest: usage files, or a whole dataset folder, into the tables of a database.
 *
 * Files are read and judged by the code that reads them for a run, then by what the database knows
 * of their orgs and plans; with a bad row nothing is written. Small files are merged in one
 * transaction: new and changed rows are written, an org with overlapping subscriptions is refused
 * with all it has. Usage goes through a temporary table into keys, ledger and cache, batch by
 * batch. An event is known by org and event id: one with the same content is a duplicate, one with
 * other content is refused. A row without an event id is known by its place in a file of that
 * content: so the same file, also after a kill, is never taken twice, but a file that has changed
 * is another one, whose rows without ids are new.
 *
 * What was refused goes to problems, after everything else was taken; the caller asks
 * problems_check. ERR_INPUT: bad rows, nothing was written. ERR_LOCKED: another session takes the
 * same file.
 */
#ifndef PERIODCLOSE_SOURCE_INGEST_H
#define PERIODCLOSE_SOURCE_INGEST_H

#include "db/db.h"
#include "source/csv.h"

enum ingest_phase { INGEST_READS, INGEST_WRITES };

struct ingest_options {
    const char *path;           /* a usage file, or a dataset folder */
    const char *scratch_folder; /* exists; for a folder only */
    size_t jobs;
    /* Bytes read, then rows written; may be NULL. */
    void (*progress)(void *context, enum ingest_phase phase, uint64_t done, uint64_t total);
    void *progress_context;
};

/* rows = taken + duplicates + refused. */
struct ingest_counts {
    char name[256]; /* of the file */
    uint64_t rows;
    uint64_t taken;
    uint64_t duplicates; /* known already, or unchanged */
    uint64_t refused;
};

/* *counts goes back through mem_free; set also after a failure, for what was written by then. */
bool ingest_run(const struct sys *sys, struct db *db, const struct ingest_options *options,
                struct ingest_counts **counts, size_t *counts_count, struct problems *problems,
                struct err *err);

#endif
