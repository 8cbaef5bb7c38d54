/*
 * Sorter: any number of records in order, in bounded memory.
 *
 *     sorter_create(spill, memory_bytes, compare, &sorter, err)
 *     sorter_add(sorter, prefix, bytes, size_bytes, err) …
 *     sorter_finish(sorter, err)
 *     while (sorter_next(sorter, &record, err) && record.bytes != NULL) …
 *     sorter_reset(sorter)      and again, or sorter_destroy(sorter)
 *
 * Records are ordered by prefix first, then by compare, which is only asked about records of one
 * prefix. Equal ones come in any order. What fits in memory_bytes is sorted there; more goes to
 * the spill as sorted runs that are merged, as many at once as memory_bytes has buffers for. A
 * record larger than the memory still works: it is given the memory it needs.
 */
#ifndef PERIODCLOSE_SOURCE_SORTER_H
#define PERIODCLOSE_SOURCE_SORTER_H

#include "source/spill.h"

struct sorter_record {
    uint64_t prefix;
    const unsigned char *bytes; /* NULL: the end. Valid until the next call */
    size_t size_bytes;
};

typedef int sorter_compare(const struct sorter_record *left, const struct sorter_record *right);

struct sorter;

bool sorter_create(struct spill *spill, size_t memory_bytes, sorter_compare *compare,
                   struct sorter **sorter, struct err *err);
void sorter_destroy(struct sorter *sorter); /* NULL is fine */
bool sorter_add(struct sorter *sorter, uint64_t prefix, const void *bytes, size_t size_bytes,
                struct err *err);
/* The same, the caller filling *room, of size_bytes, before the next call. */
bool sorter_add_room(struct sorter *sorter, uint64_t prefix, size_t size_bytes,
                     unsigned char **room, struct err *err);
bool sorter_finish(struct sorter *sorter, struct err *err);
bool sorter_next(struct sorter *sorter, struct sorter_record *record, struct err *err);
/* Empty again, its memory kept. */
void sorter_reset(struct sorter *sorter);
/* Runs written so far, merged ones too: for tests. */
size_t sorter_runs_count(const struct sorter *sorter);

#endif
