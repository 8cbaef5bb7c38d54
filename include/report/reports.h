/*
 * The reports of a run: one table row and one file in src/report each. Columns are a face: they are
 * only ever added at the end (DESIGN.md 9).
 */
#ifndef PERIODCLOSE_REPORT_REPORTS_H
#define PERIODCLOSE_REPORT_REPORTS_H

#include "core/arena.h"
#include "rating/rated.h"
#include "report/report_file.h"
#include "run/totals.h"

/* The tables of one shard; NULL where the stage that leaves it is not done. */
struct report_shard {
    struct table *orgs;
    struct table *limits;
    struct table *asides;
    struct table *usage;
    struct table *negatives;
    struct table *charges;
    struct table *projections;
    struct table *estimates;
    struct table *changes;
    struct table *records;
    struct table *adjustments;
    struct table *items;
};

/* A control total of a finished stage, in the order of stages, names, units. */
struct report_total {
    const char *stage;
    const char *name;
    const char *unit;
    struct decimal left;
    struct decimal right;
};

struct report_source {
    const struct report_shard *shards;
    size_t shards_count;
    struct table *invoices;    /* of all shards; NULL before they are known */
    const struct terms *terms; /* NULL before extract is done */
    const struct report_total *totals;
    size_t totals_count;
    bool is_revision; /* the run revises another */
    bool is_emitting; /* its items go to somebody */
};

/* The tables beside usage in the walk that reports by org and price share. */
enum report_side {
    REPORT_LIMITS,
    REPORT_NEGATIVES,
    REPORT_CHARGES,
    REPORT_PROJECTIONS,
    REPORT_ESTIMATES,
    REPORT_CHANGES,
    REPORT_RECORDS,
    REPORT_ITEMS,
    REPORT_SIDES_COUNT,
};

/* What such a report is given: where the walk stands, and fields that several of them have. */
struct report_walk {
    const struct report_source *source;
    const struct report_shard *shard;
    struct totals *totals;
    struct rated_walk rated;
    bool is_rated;              /* the shard's metrics are metered and rated: prices are walked */
    struct report_field org_id; /* a row's first field */
    struct report_field usage;  /* quantity of the price at hand */
};

typedef bool report_price_function(void *state, struct report_walk *walk, struct report_file *part,
                                   struct err *err);

/*
 * A report by org and price. All of them are written in one walk over all orgs, which several
 * threads share (report_walk_write): each has a state of its own, zeroed at first, and puts the
 * rows of a range of orgs. Functions that are NULL are not asked for.
 */
struct report_rows {
    size_t state_bytes;
    /* a shard is begun, once for all: what the rows are to be held against */
    bool (*expect)(struct report_walk *walk, struct err *err);
    /* the next org is the first of a range */
    bool (*begin)(void *state, const struct report_walk *walk, struct text org_id, struct err *err);
    /* each price of a rated org */
    report_price_function *price;
    /* each org, rated or not, after its prices */
    bool (*org)(void *state, struct report_walk *walk, struct report_file *part, struct err *err);
    void (*release)(void *state);
};

struct report_output {
    const struct report *report;
    struct report_file *file; /* open */
};

/* Writes the rows of reports that have report_rows. totals receives their equations. */
bool report_walk_write(const struct report_source *source, const struct report_output *outputs,
                       size_t outputs_count, size_t jobs, struct totals *totals, struct err *err);

struct report {
    const char *file_name;
    const char *const *columns;
    size_t columns_count;
    bool is_last; /* reads the totals of the other reports: written after them */
    /* can it be written from what there is? */
    bool (*is_due)(const struct report_source *source);
    const struct report_rows *rows; /* NULL: it is written by itself */
    /* totals receives the equations between the report and the tables */
    bool (*write)(const struct report_source *source, struct report_file *file,
                  struct totals *totals, struct err *err);
};

extern const struct report report_invoice_items;
extern const struct report report_invoices;
extern const struct report report_overages;
extern const struct report report_usage;
extern const struct report report_projections;
extern const struct report report_exceptions;
extern const struct report report_adjustments;
extern const struct report report_control_totals;

/* All of them, sorted by file name. */
extern const struct report *const report_table[];
extern const size_t report_table_count;

#define REPORT_COLUMNS(list) .columns = (list), .columns_count = sizeof(list) / sizeof *(list)

/*
 * The status of a record before anything was recorded or sent, and why: disabled, zero, held,
 * computed (DESIGN.md 9).
 */
const char *report_record_status(const struct table_cursor *org, struct decimal billed);

#endif
