#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/arena.h"
#include "core/memory.h"

static bool is_zeroed(const unsigned char *bytes, size_t size_bytes) {
    for (size_t index = 0; index < size_bytes; index++) {
        if (bytes[index] != 0) {
            return false;
        }
    }
    return true;
}

static void arena_memory_is_zeroed_aligned_and_apart(void **state) {
    (void)state;
    struct err err = {0};
    struct arena *arena = arena_create(&err);
    assert_non_null(arena);
    unsigned char *before = NULL;
    size_t before_bytes = 0;
    for (size_t size_bytes = 1; size_bytes < 200000; size_bytes = size_bytes * 3 + 1) {
        unsigned char *memory = arena_alloc(arena, size_bytes, &err);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        assert_true(is_zeroed(memory, size_bytes));
        memset(memory, 0xA5, size_bytes);
        assert_true(before == NULL || before[before_bytes - 1] == 0xA5);
        before = memory;
        before_bytes = size_bytes;
    }
    arena_destroy(arena);
    arena_destroy(NULL);
}

static void arena_rewind_gives_back_all_since_the_mark_and_zeroes_it(void **state) {
    (void)state;
    struct err err = {0};
    struct arena *arena = arena_create(&err);
    char *kept = arena_alloc(arena, 5, &err);
    assert_non_null(kept);
    memcpy(kept, "kept", 5);
    struct arena_mark mark = arena_mark(arena);
    void *first = NULL;
    for (int round = 0; round < 100; round++) {
        unsigned char *small = arena_alloc_array(arena, 10, 7, &err);
        unsigned char *large = arena_alloc(arena, 100000, &err);
        assert_non_null(small);
        assert_non_null(large);
        assert_true(round == 0 || first == small); /* memory does not grow with the rounds */
        first = small;
        assert_true(is_zeroed(small, 70));
        memset(small, 1, 70);
        memset(large, 1, 100000);
        arena_rewind(arena, mark);
    }
    assert_string_equal(kept, "kept");
    arena_destroy(arena);
}

static bool always(void) {
    return true;
}

static void arena_loop_over_a_full_block_asks_the_heap_only_once(void **state) {
    (void)state;
    struct err err = {0};
    struct arena *arena = arena_create(&err);
    assert_non_null(arena_alloc(arena, 65000, &err));
    struct arena_mark mark = arena_mark(arena);
    for (int round = 0; round < 5; round++) {
        unsigned char *memory = arena_alloc(arena, 3000, &err);
        assert_non_null(memory);
        assert_true(is_zeroed(memory, 3000));
        memset(memory, 1, 3000);
        arena_rewind(arena, mark);
        mem_set_fault(always);
    }
    /* What does not fit into the kept block is asked for, and the kept one stays. */
    assert_null(arena_alloc(arena, 70000, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    assert_non_null(arena_alloc(arena, 3000, &err));
    mem_set_fault(NULL);
    arena_destroy(arena);
}

static void arena_without_memory_says_so(void **state) {
    (void)state;
    struct err err = {0};
    mem_set_fault(always);
    assert_null(arena_create(&err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    mem_set_fault(NULL);
    struct arena *arena = arena_create(&err);
    mem_set_fault(always);
    assert_null(arena_alloc(arena, 3, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    mem_set_fault(NULL);
    assert_null(arena_alloc(arena, SIZE_MAX, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    assert_null(arena_alloc_array(arena, SIZE_MAX / 4, 8, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    arena_destroy(arena);
}

/* On either side of where large pages begin, and not a multiple of any page. */
static void large_blocks_are_zeroed_and_keep_what_they_held(void **state) {
    (void)state;
    const size_t sizes[] = {4 * 1024 * 1024 - 1, 4 * 1024 * 1024, 9 * 1024 * 1024 + 13};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        size_t size_bytes = sizes[index];
        unsigned char *block = mem_alloc(size_bytes);
        assert_non_null(block);
        for (size_t at = 0; at < size_bytes; at += 511) {
            assert_int_equal(block[at], 0);
        }
        memset(block, 7, size_bytes);
        block = mem_realloc(block, 3 * size_bytes);
        assert_non_null(block);
        memset(block + size_bytes, 9, 2 * size_bytes);
        assert_int_equal(block[0], 7);
        assert_int_equal(block[size_bytes - 1], 7);
        assert_int_equal(block[3 * size_bytes - 1], 9);
        mem_free(block);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(arena_rewind_gives_back_all_since_the_mark_and_zeroes_it),
        cmocka_unit_test(arena_loop_over_a_full_block_asks_the_heap_only_once),
        cmocka_unit_test(arena_without_memory_says_so),
        cmocka_unit_test(large_blocks_are_zeroed_and_keep_what_they_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
