#include "core/arena.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "core/memory.h"

enum { ARENA_ALIGNMENT = 16, ARENA_BLOCK_BYTES = 64 * 1024 };

struct arena_block {
    struct arena_block *previous;
    size_t capacity_bytes;
    size_t used_bytes;
    size_t padding; /* keeps bytes[] on a 16-byte boundary */
    unsigned char bytes[];
};

_Static_assert(sizeof(struct arena_block) % ARENA_ALIGNMENT == 0, "block header breaks alignment");

struct arena {
    struct arena_block *newest;
    /* An ordinary block that a rewind let go of, zeroed again: a loop over orgs whose mark stands
     * near the end of a block would otherwise ask the heap for another one for each org. */
    struct arena_block *spare;
};

struct arena *arena_create(struct err *err) {
    struct arena *arena = mem_alloc(sizeof *arena);
    if (arena == NULL) {
        (void)err_memory(err, sizeof *arena);
    }
    return arena;
}

void arena_destroy(struct arena *arena) {
    if (arena == NULL) {
        return;
    }
    arena_rewind(arena, (struct arena_mark){0});
    mem_free(arena->spare);
    mem_free(arena);
}

/* An empty block in front of the others; false when there is no memory. */
static bool arena_push_block(struct arena *arena, size_t size_bytes, struct err *err) {
    struct arena_block *block = arena->spare;
    if (block != NULL && size_bytes <= block->capacity_bytes) {
        arena->spare = NULL;
    } else {
        size_t capacity = size_bytes > ARENA_BLOCK_BYTES ? size_bytes : ARENA_BLOCK_BYTES;
        block = mem_alloc(sizeof *block + capacity);
        if (block == NULL) {
            return err_memory(err, sizeof *block + capacity);
        }
        block->capacity_bytes = capacity;
    }
    block->previous = arena->newest;
    arena->newest = block;
    return true;
}

/* Takes the newest block away: kept as the spare one, or given back. */
static void arena_pop_block(struct arena *arena) {
    struct arena_block *block = arena->newest;
    arena->newest = block->previous;
    if (arena->spare != NULL || block->capacity_bytes > ARENA_BLOCK_BYTES) {
        mem_free(block);
        return;
    }
    memset(block->bytes, 0, block->used_bytes);
    block->used_bytes = 0;
    arena->spare = block;
}

void *arena_alloc(struct arena *arena, size_t size_bytes, struct err *err) {
    if (size_bytes > SIZE_MAX / 2) {
        (void)err_memory(err, size_bytes);
        return NULL;
    }
    size_t rounded = (size_bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    struct arena_block *block = arena->newest;
    if (block == NULL || block->capacity_bytes - block->used_bytes < rounded) {
        if (!arena_push_block(arena, rounded, err)) {
            return NULL;
        }
        block = arena->newest;
    }
    void *memory = block->bytes + block->used_bytes;
    block->used_bytes += rounded;
    return memory;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size_bytes, struct err *err) {
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        (void)err_memory(err, SIZE_MAX);
        return NULL;
    }
    return arena_alloc(arena, total, err);
}

struct arena_mark arena_mark(const struct arena *arena) {
    struct arena_mark mark = {.block = arena->newest};
    if (arena->newest != NULL) {
        mark.used_bytes = arena->newest->used_bytes;
    }
    return mark;
}

void arena_rewind(struct arena *arena, struct arena_mark mark) {
    while (arena->newest != mark.block) {
        assert(arena->newest != NULL);
        arena_pop_block(arena);
    }
    if (arena->newest != NULL) {
        assert(mark.used_bytes <= arena->newest->used_bytes);
        memset(arena->newest->bytes + mark.used_bytes, 0,
               arena->newest->used_bytes - mark.used_bytes);
        arena->newest->used_bytes = mark.used_bytes;
    }
}
