/*
 * What is recorded of a period in the database (sql/recorded/), as tables of a checkpoint: so that
 * a revision reads the one before in the same way wherever that is kept.
 *
 * The transaction is the caller's, and so is the folder the tables are written to: scratch files,
 * which may be lost. Rows are those of the latest revision, sorted as the checkpoint's.
 *
 *     recorded_settings(db, &scope, err)                        once in a transaction
 *     recorded_read(db, sys, folder, &recorded_orgs, &table, err)
 */
#ifndef PERIODCLOSE_SOURCE_RECORDED_H
#define PERIODCLOSE_SOURCE_RECORDED_H

#include "db/db.h"
#include "table/checkpoint.h"

struct recorded_scope {
    const char *day;                  /* the period, as the first day of its month */
    const struct text *selected_orgs; /* none: all */
    size_t selected_orgs_count;
    int64_t before_run_id; /* what runs of lower numbers recorded; 0: all runs */
};

/* One table: which statement gives it, and in which shape. */
struct recorded_table {
    const char *statement;
    const struct table_schema *schema; /* one column for each of the statement's */
};

/* checkpoint_orgs, and behind its columns: */
enum {
    RECORDED_ORGS_REVISION = checkpoint_orgs_columns_count,
    RECORDED_ORGS_DIGEST,  /* hex */
    RECORDED_ORGS_SEEN_BY, /* close_runs.run_id: whose cutoff decided what was late */
};
/* checkpoint_records, and behind its columns: */
enum { RECORDED_RECORDS_IS_WAIVED = checkpoint_records_columns_count };

/* Parts of limits that orgs are told of, sorted; of the org "": of all that have none of their own.
 */
enum { RECORDED_THRESHOLDS_ORG_ID, RECORDED_THRESHOLDS_THRESHOLD };
/* Alerts of the period, and those expected of the next one, that stand; sorted by these columns. */
enum {
    RECORDED_ALERTS_ORG_ID,
    RECORDED_ALERTS_METRIC,
    RECORDED_ALERTS_IS_PROJECTED,
    RECORDED_ALERTS_THRESHOLD,
};

extern const struct recorded_table recorded_orgs;
extern const struct recorded_table recorded_limits;
extern const struct recorded_table recorded_plans;
extern const struct recorded_table recorded_prices;
extern const struct recorded_table recorded_tiers;
extern const struct recorded_table recorded_records;
extern const struct recorded_table recorded_usage;
extern const struct recorded_table recorded_negatives;
extern const struct recorded_table recorded_charges;
extern const struct recorded_table recorded_thresholds;
extern const struct recorded_table recorded_alerts;

bool recorded_settings(struct db *db, const struct recorded_scope *scope, struct err *err);
/* A word for what is recorded by others: another one when that has changed. */
bool recorded_mark(struct db *db, struct buffer *mark, struct err *err);
bool recorded_read(struct db *db, const struct sys *sys, const char *folder,
                   const struct recorded_table *recorded, struct table **table, struct err *err);

#endif
