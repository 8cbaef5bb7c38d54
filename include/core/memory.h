/*
 * The one place that asks the heap for memory, so that tests can make the N-th request fail.
 *
 * mem_alloc gives zeroed memory, NULL when there is none (the caller reports ERR_MEMORY through
 * err_memory). Thread-safe. What came from here goes back through mem_free. Blocks of 4 MB and more
 * are asked for in pages of 2 MB, where there are any: such a block is to be filled from its start
 * on, and costs up to a page more than what was filled.
 */
#ifndef PERIODCLOSE_CORE_MEMORY_H
#define PERIODCLOSE_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t size_bytes);
void *mem_realloc(void *memory, size_t size_bytes); /* new bytes are not zeroed */
void mem_free(void *memory);

/* Tests only: called before each request; true makes that request fail. NULL switches it off. */
void mem_set_fault(bool (*fault)(void));

#endif
