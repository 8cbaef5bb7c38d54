/*
 * Conflicts: rows of one event that disagree, the first CONFLICTS_MAX by where they stand. Which
 * ones those are does not depend on the order they were found in, nor on the jobs. Internal to
 * src/source.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_CONFLICTS_H
#define PERIODCLOSE_SOURCE_USAGE_CONFLICTS_H

#include "source/csv.h"

enum { CONFLICTS_MAX = PROBLEMS_MAX, ROW_LINE_BITS = 40, ROW_FLAGS_BITS = 8 };

/*
 * Where a row stands: file x 2^48 + line x 2^8 + flags of its own, so that it orders rows as they
 * stand in the files.
 */
static inline uint64_t row_where(uint32_t file, uint64_t line, uint64_t flags) {
    uint64_t line_max = (UINT64_C(1) << ROW_LINE_BITS) - 1;
    return (uint64_t)file << (ROW_LINE_BITS + ROW_FLAGS_BITS) |
           (line < line_max ? line : line_max) << ROW_FLAGS_BITS | flags;
}
static inline uint32_t row_file(uint64_t where) {
    return (uint32_t)(where >> (ROW_LINE_BITS + ROW_FLAGS_BITS));
}
static inline uint64_t row_line(uint64_t where) {
    return where >> ROW_FLAGS_BITS & ((UINT64_C(1) << ROW_LINE_BITS) - 1);
}

struct conflict {
    uint64_t hash[2]; /* of the event */
    uint64_t where;   /* the later row */
    uint64_t other;   /* the earlier one */
};

/* Sorted by where. */
struct conflicts {
    struct conflict rows[CONFLICTS_MAX];
    size_t count;
};

void conflicts_add(struct conflicts *conflicts, const struct conflict *conflict);
/* Forgets those of events whose second hash is above until. */
void conflicts_keep(struct conflicts *conflicts, uint64_t until);
/* Of three rows of one event or more, all are told against the first. */
void conflicts_unite(struct conflicts *conflicts);

#endif
