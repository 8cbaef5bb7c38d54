/*
 * A table with a column of every type, nullable and not, whose rows come from formulas.
 *
 * tests/table/readback_sample.mjs has the same formulas: files written here are read back by other
 * programs' readers and compared with them.
 */
#ifndef PERIODCLOSE_TESTS_SUPPORT_TABLE_SAMPLE_H
#define PERIODCLOSE_TESTS_SUPPORT_TABLE_SAMPLE_H

#include "table/table.h"

enum {
    SAMPLE_ORG,
    SAMPLE_QUANTITY,
    SAMPLE_LIMIT,
    SAMPLE_COUNT,
    SAMPLE_AT,
    SAMPLE_DAY,
    SAMPLE_IS_FINAL,
    SAMPLE_IS_HELD,
    SAMPLE_NOTE,
    SAMPLE_COLUMNS_COUNT,
};

enum { SAMPLE_METADATA_COUNT = 3 };

extern const struct table_schema sample_schema;
extern const struct table_metadata sample_metadata[SAMPLE_METADATA_COUNT];

/* Puts the row's values; the caller ends the row. */
void sample_put_row(struct table_writer *writer, int64_t row);

/* NULL when the cursor's row is as sample_put_row put it, else the name of a column that is not. */
const char *sample_check_row(const struct table_cursor *cursor, int64_t row);

/* A file of rows 0 … rows_count - 1; seal may be NULL. */
bool sample_write(const struct sys *sys, const char *path, int64_t rows_count,
                  struct table_seal *seal, struct err *err);

#endif
