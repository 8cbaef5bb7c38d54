/* Physical ranges of the ledger, each read by one statement. Internal to src/source. */
#ifndef PERIODCLOSE_SOURCE_USAGE_RANGES_H
#define PERIODCLOSE_SOURCE_USAGE_RANGES_H

#include "dataset_internal.h"
#include "db/db.h"

enum { USAGE_BLOCK_BYTES = 8192 };

struct usage_range {
    struct text from; /* bounds of its partition, in the result that was cut */
    struct text until;
    int64_t block_from;
    int64_t block_until; /* behind it */
    int64_t block_last;  /* that there is */
    bool is_long;        /* its statement is worth to be compiled */
};

/*
 * parts: the rows of sql/extract/partitions.sql. Appends to ranges, in the order in which they are
 * to be taken; *bytes is what they hold together.
 */
bool usage_ranges_cut(const struct db_result *parts, size_t workers, struct vector *ranges,
                      uint64_t *bytes, struct err *err);

#endif
