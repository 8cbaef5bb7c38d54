/*
 * Inside of writing a result into a database:
 *
 *   record_write.c     the passes over the shards: one COPY after the other
 *   record_rows.c      the rows of each table, field by field; what was sent is added up
 *   record_alerts.c    which parts of limits were reached
 *   record_written.c   the sums as the tables have them; the mark that the result is written
 */
#ifndef PERIODCLOSE_SRC_STAGE_RECORD_WRITE_H
#define PERIODCLOSE_SRC_STAGE_RECORD_WRITE_H

#include "db/copy.h"
#include "rating/rated.h"
#include "record_database.h"

/* The tables of the stage that are walked beside usage. */
enum write_side {
    SIDE_CHARGES,
    SIDE_NEGATIVES,
    SIDE_LIMITS,
    SIDE_SERIES,
    SIDE_PROJECTIONS,
    SIDE_ESTIMATES,
    SIDE_RECORDS,
    SIDES_COUNT,
};

/* Per currency, what was sent. */
struct written_sums {
    const struct currency *currency;
    uint64_t rows_count;
    struct decimal cost;
    struct decimal billed;
};

enum { CURRENCIES_MAX = 64 };

/* Parts of a limit, ascending. */
struct thresholds {
    struct decimal *parts;
    size_t count;
    size_t capacity;
};

struct writing_alerts {
    struct terms_walk settings; /* recorded_thresholds */
    struct terms_walk standing; /* recorded_alerts */
    struct thresholds common;
    struct thresholds own; /* of the org at hand, if is_own */
    bool is_own;
};

struct writing {
    struct ledger *ledger;
    struct sealed_digests sealed;
    int32_t period_days;
    int32_t next_period_days;
    struct db_copy_in copy;
    struct rated_walk walk;
    const struct ledger_org *org;
    struct terms_walk limits;      /* of copy_terms, org by org */
    struct previous_walk recorded; /* records that stand */
    struct writing_alerts alerts;
    struct buffer scratch;
    uint64_t progress;
    /* what was sent */
    uint64_t orgs_count;
    uint64_t terms_count;
    uint64_t usage_count;
    int64_t events;
    struct decimal usage;
    struct written_sums sums[CURRENCIES_MAX];
    size_t sums_count;
};

/* The run's number in billing.close_runs. */
int64_t writing_run_number(const struct writing *writing);

/* record_rows.c: what of an org, or of a price of it, goes into a table */
bool writing_use_plan(struct writing *writing, struct err *err); /* no COPY: only looks */
bool writing_put_terms(struct writing *writing, struct err *err);
bool writing_put_usage(struct writing *writing, struct err *err);
bool writing_put_record(struct writing *writing, struct err *err);
bool writing_put_mark(struct writing *writing, struct err *err);
/* The same, but only counted and added up: it was sent by an earlier start. */
bool writing_sum_usage(struct writing *writing, struct err *err);
bool writing_sum_record(struct writing *writing, struct err *err);
bool writing_sum_mark(struct writing *writing, struct err *err);

/* record_alerts.c */
bool writing_look_at_alerts(struct writing *writing, struct err *err); /* of an org, before */
bool writing_put_alerts(struct writing *writing, struct err *err);
bool writing_note_alerts(struct writing *writing, struct err *err);

/* record_write.c: the pass that writes them */
bool writing_copy_alerts(struct writing *writing, struct err *err);

/* record_written.c */
/* ERR_CONTROL when the tables have not what was sent. */
bool writing_check_sums(const struct writing *writing, struct err *err);
bool writing_mark_done(const struct writing *writing, struct err *err);

#endif
