#include "core/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    PAGE_BYTES_HUGE = 2 * 1024 * 1024,
    LARGE_BYTES = 2 * PAGE_BYTES_HUGE,
};

static bool (*mem_fault)(void);

void mem_set_fault(bool (*fault)(void)) {
    mem_fault = fault;
}

/*
 * Large blocks are mostly filled from end to end: in pages of 4 KB, the system's work for each of
 * them takes longer than the filling. It is only advice: where there are no larger ones, it does
 * nothing.
 */
static void *advise(void *memory, size_t size_bytes) {
    if (memory != NULL && size_bytes >= LARGE_BYTES) {
        uintptr_t first =
            ((uintptr_t)memory + PAGE_BYTES_HUGE - 1) & ~(uintptr_t)(PAGE_BYTES_HUGE - 1);
        uintptr_t end = ((uintptr_t)memory + size_bytes) & ~(uintptr_t)(PAGE_BYTES_HUGE - 1);
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
    }
    return memory;
}

void *mem_alloc(size_t size_bytes) {
    if (mem_fault != NULL && mem_fault()) {
        return NULL;
    }
    return advise(calloc(1, size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void *mem_realloc(void *memory, size_t size_bytes) {
    if (mem_fault != NULL && mem_fault()) {
        return NULL;
    }
    return advise(realloc(memory, size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void mem_free(void *memory) {
    free(memory);
}
