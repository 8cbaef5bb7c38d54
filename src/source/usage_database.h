/* Usage out of PostgreSQL: what its files share. Internal to src/source. */
#ifndef PERIODCLOSE_SOURCE_USAGE_DATABASE_H
#define PERIODCLOSE_SOURCE_USAGE_DATABASE_H

#include "db/copy.h"
#include "usage_state.h"

extern const char database_ledger[]; /* the relation, for messages */

/* The columns of sql/extract/usage.sql and usage_recorded.sql. */
enum {
    COLUMN_ORG_ID,
    COLUMN_METRIC,
    COLUMN_QUANTITY,
    COLUMN_OCCURRED_AT,
    COLUMN_IS_SET,
    COLUMN_UNIQUE_KEY,
    COLUMN_EVENT_ID,
    COLUMN_RECORDED_AT,
    COLUMN_REASON,
    COLUMNS_COUNT,
    COLUMN_EVENTS = COLUMNS_COUNT, /* of sql/extract/usage_summed.sql alone */
    COLUMN_LAST_AT,
    COLUMNS_SUMMED_COUNT,
};

static inline struct text database_text(const struct db_field *field) {
    return (struct text){(const char *)field->bytes, field->size_bytes};
}

/* One row: judged as a row of a file is, and counted. */
bool feed_database_row(struct usage_feed *feed, const struct db_field *fields, struct err *err);
/* The same with COLUMNS_SUMMED_COUNT fields: one event, or several that were added up. */
bool feed_database_sum(struct usage_feed *feed, const struct db_field *fields, struct err *err);

#endif
