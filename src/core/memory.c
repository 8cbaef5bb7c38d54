#include "core/memory.h"

#include <stdlib.h>

static bool (*mem_fault)(void);

void mem_set_fault(bool (*fault)(void)) {
    mem_fault = fault;
}

void *mem_alloc(size_t size_bytes) {
    if (mem_fault != NULL && mem_fault()) {
        return NULL;
    }
    return calloc(1, size_bytes > 0 ? size_bytes : 1);
}

void *mem_realloc(void *memory, size_t size_bytes) {
    if (mem_fault != NULL && mem_fault()) {
        return NULL;
    }
    return realloc(memory, size_bytes > 0 ? size_bytes : 1);
}

void mem_free(void *memory) {
    free(memory);
}
