/*
 * Arena: memory that is given back all at once.
 *
 * One per stage (and one per worker), created by the runner and destroyed when the checkpoint is
 * durable. Inside a stage nobody frees; a loop over orgs marks before and rewinds after each, so
 * memory does not grow with their number. Not thread-safe: one arena, one thread.
 */
#ifndef PERIODCLOSE_CORE_ARENA_H
#define PERIODCLOSE_CORE_ARENA_H

#include <stddef.h>

#include "core/err.h"

struct arena;

struct arena_mark {
    void *block;
    size_t used_bytes;
};

struct arena *arena_create(struct err *err); /* NULL and ERR_MEMORY on failure */
void arena_destroy(struct arena *arena);     /* NULL is fine */

/* Zeroed, aligned to 16 bytes; NULL and ERR_MEMORY on failure. */
void *arena_alloc(struct arena *arena, size_t size_bytes, struct err *err);

/* count elements of size_bytes each; overflow of the product is ERR_MEMORY. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size_bytes, struct err *err);

struct arena_mark arena_mark(const struct arena *arena);
/* Frees all since the mark; one block may be kept for the next allocations. */
void arena_rewind(struct arena *arena, struct arena_mark mark);

#endif
