/*
 * Usage and seats: from rows to sparse day partials, in memory that does not grow with the number
 * of events.
 *
 * 1. usage_read_csv parses usage*.csv (jobs threads, cut at row starts), judges every row and
 *    spreads it by org into spill files in scratch_folder; events with an event_id go through
 *    partitions by (org, event_id) first, where duplicates are told apart.
 * 2. usage_read_seats_csv does the same for seats.csv.
 * 3. After catalog_settle, usage_condense turns the spill files of one shard into rows of series,
 *    days, keys, levels, asides and seats, in key order. Shards are independent: one thread each.
 * 4. usage_totals gives the control totals: every event read falls in exactly one category.
 *
 * Memory: memory_bytes, shared by the jobs, whatever the number of events; on top of it some 110
 * bytes an org, 300 a metric and job, and the table writers'. Spill files take 8 bytes a common
 * row and 64 a row with an event_id. What needs more memory than there is goes through the spill in
 * several turns: slower, never larger. Held at once are a single user's seat assignments, and while
 * events of a database's seats are paired, the ends of as many seats as fit: each further part of a
 * bucket reads its spill once more.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_H
#define PERIODCLOSE_SOURCE_USAGE_H

#include "source/catalog.h"
#include "source/database.h"
#include "source/dataset.h"
#include "table/checkpoint.h"

enum usage_category {
    USAGE_NOT_SELECTED,
    USAGE_DUPLICATE,
    USAGE_SET_ASIDE, /* of an org that is not rated */
    USAGE_OUTSIDE,   /* outside the period or the subscribed time, or opening a level */
    USAGE_LATE,
    USAGE_ADMINISTRATIVE,
    USAGE_UNPRICED,
    USAGE_METERED,
    USAGE_CATEGORIES_COUNT,
};
extern const char *const usage_category_names[USAGE_CATEGORIES_COUNT];

/* Events and units (quantities of changes, not of sets) of one metric. */
struct usage_metric_totals {
    struct text metric;
    uint64_t events[USAGE_CATEGORIES_COUNT];
    struct decimal units[USAGE_CATEGORIES_COUNT];
    uint64_t events_read; /* counted apart, while parsing */
    struct decimal units_read;
};

struct usage_options {
    const char *folder; /* NULL: a database */
    const char *scratch_folder;
    size_t jobs;
    uint64_t memory_bytes; /* bound on anonymous memory of reading and condensing */
    /* called now and then with bytes done and in all; may be NULL; thread-safe */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
};

struct usage;

bool usage_create(const struct sys *sys, const struct catalog *catalog,
                  const struct usage_options *options, struct usage **usage, struct err *err);
void usage_destroy(struct usage *usage); /* removes the spill files; NULL is fine */

bool usage_read_csv(struct usage *usage, struct problems *problems, struct err *err);
bool usage_read_seats_csv(struct usage *usage, struct problems *problems, struct err *err);
/* The files that were read so far, and their content as it was read; valid until more are read. */
const struct dataset_file *usage_fingerprints(const struct usage *usage, size_t *count);

/*
 * The same from a database, usage and seats, by all its connections at once: one takes the seats,
 * then each takes physical ranges of the ledger's partitions. Rows that are administrative
 * (monthly_reset, migrations of flows) are counted as such.
 */
bool usage_read_database(struct usage *usage, struct source_database *database,
                         struct problems *problems, struct err *err);
/* What came after an earlier period was recorded: for exceptions.csv, it is no usage of this one.
 */
bool usage_read_late_database(struct usage *usage, struct source_database *database,
                              struct problems *problems, struct err *err);

/*
 * What the database has inside the period of orgs whose plan cannot meter it, by rank; NULL:
 * nothing. Goes back through mem_free. Such orgs are to be set aside (dataset_set_aside) and all is
 * to be read again, by another usage: of these orgs only some rows were taken.
 */
struct catalog_misfit *usage_take_misfits(struct usage *usage);

/* Tells events apart. Disagreeing rows of one event become problems. Before catalog_settle. */
bool usage_settle_events(struct usage *usage, struct problems *problems, struct err *err);

struct usage_writers {
    struct table_writer *series;
    struct table_writer *days;
    struct table_writer *keys;
    struct table_writer *levels;
    struct table_writer *asides;
    struct table_writer *seats;
};

bool usage_condense(struct usage *usage, size_t shard_index, const struct usage_writers *writers,
                    struct err *err);

/* After every shard was condensed: sorted by metric; valid until usage_destroy. */
bool usage_totals(struct usage *usage, const struct usage_metric_totals **totals,
                  size_t *totals_count, struct err *err);

#endif
