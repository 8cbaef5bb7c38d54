/* The ledger's ranges: every block in one of them, long ones first, and so short at the end that no
 * connection idles. */
#include "../../src/source/usage_ranges.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PARTS_MAX = 4, TYPE_INT8 = 20, TYPE_TEXT = 25, BLOCK_OPEN = INT32_MAX };

/* As sql/extract/partitions.sql gives them: bounds and blocks. */
static void make_parts(const int64_t *blocks, size_t parts_count, struct db_result *parts) {
    PGresAttDesc columns[3] = {
        {.name = (char[]){"from_at"}, .format = 1, .typid = TYPE_TEXT, .typlen = -1},
        {.name = (char[]){"until_at"}, .format = 1, .typid = TYPE_TEXT, .typlen = -1},
        {.name = (char[]){"blocks"}, .format = 1, .typid = TYPE_INT8, .typlen = 8},
    };
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    assert_non_null(result);
    assert_int_equal(PQsetResultAttrs(result, 3, columns), 1);
    for (size_t part = 0; part < parts_count; part++) {
        char name[2] = {(char)('a' + part), 0};
        char number[8];
        for (size_t byte = 0; byte < sizeof number; byte++) {
            number[byte] = (char)(unsigned char)((uint64_t)blocks[part] >> (56 - 8 * byte));
        }
        assert_int_equal(PQsetvalue(result, (int)part, 0, name, 1), 1);
        assert_int_equal(PQsetvalue(result, (int)part, 1, name, 1), 1);
        assert_int_equal(PQsetvalue(result, (int)part, 2, number, 8), 1);
    }
    *parts = (struct db_result){.handle = result, .rows_count = parts_count, .columns_count = 3};
}

static void cut(const int64_t *blocks, size_t parts_count, size_t workers, struct vector *ranges) {
    struct err err = {0};
    struct db_result parts;
    uint64_t bytes;
    int64_t all = 0;
    make_parts(blocks, parts_count, &parts);
    assert_true(usage_ranges_cut(&parts, workers, ranges, &bytes, &err));
    for (size_t part = 0; part < parts_count; part++) {
        all += blocks[part];
    }
    assert_int_equal(bytes, (uint64_t)all * USAGE_BLOCK_BYTES);
    db_result_release(&parts);
}

/* One behind the other, from each part's first block to its open end. */
static void check_cover(const struct vector *ranges, const int64_t *blocks, size_t parts_count) {
    const struct usage_range *range = ranges->items;
    const struct usage_range *end = range + ranges->count;
    for (size_t part = 0; part < parts_count; part++) {
        int64_t block = 0;
        do {
            assert_true(range < end);
            assert_int_equal(range->block_from, block);
            block = range->block_last + 1;
            assert_int_equal(range->block_until, block == blocks[part] ? BLOCK_OPEN : block);
            range++;
        } while (block < blocks[part]);
        assert_int_equal(block, blocks[part]);
    }
    assert_true(range == end);
}

static void ranges_hold_every_block_once(void **state) {
    static const int64_t ledgers[][PARTS_MAX] = {
        {0, 1, 2047, 4097}, {70000, 65000, 3, 260000}, {1500000, 0, 900000, 16384}};
    (void)state;
    for (size_t ledger = 0; ledger < sizeof ledgers / sizeof *ledgers; ledger++) {
        for (size_t workers = 1; workers <= 64; workers = workers * 2 + 1) {
            struct vector ranges = {.item_bytes = sizeof(struct usage_range)};
            cut(ledgers[ledger], PARTS_MAX, workers, &ranges);
            check_cover(&ranges, ledgers[ledger], PARTS_MAX);
            vector_release(&ranges);
        }
    }
}

static void two_connections_begin_long_and_end_short(void **state) {
    static const int64_t blocks = 200000;
    struct vector ranges = {.item_bytes = sizeof(struct usage_range)};
    (void)state;
    cut(&blocks, 1, 2, &ranges);
    const struct usage_range *items = ranges.items;
    assert_true(ranges.count > 10);
    assert_int_equal(items[0].block_until, 80000);
    assert_int_equal(items[1].block_until, 160000);
    for (size_t index = 0; index < ranges.count; index++) {
        assert_int_equal(items[index].is_long, index < 2);
    }
    vector_release(&ranges);
}

static void one_connection_reads_whole_parts_but_for_what_is_lost_with_it(void **state) {
    static const int64_t blocks[2] = {50000, 300000};
    struct vector ranges = {.item_bytes = sizeof(struct usage_range)};
    (void)state;
    cut(blocks, 2, 1, &ranges);
    const struct usage_range *items = ranges.items;
    assert_int_equal(ranges.count, 4);
    assert_int_equal(items[0].block_until, BLOCK_OPEN);
    assert_int_equal(items[1].block_until, 131072);
    assert_int_equal(items[2].block_until, 262144);
    assert_int_equal(items[3].block_until, BLOCK_OPEN);
    vector_release(&ranges);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_hold_every_block_once),
        cmocka_unit_test(two_connections_begin_long_and_end_short),
        cmocka_unit_test(one_connection_reads_whole_parts_but_for_what_is_lost_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
