#include <stdlib.h>

#include "../../src/source/sorter.h"
#include "core/text.h"
#include "scratch_spill.h"

static int setup(void **state) {
    (void)state;
    scratch_spill_create(512);
    return 0;
}

static struct text text_of(const struct sorter_record *record) {
    return (struct text){(const char *)record->bytes, record->size_bytes};
}

static int compare(const struct sorter_record *left, const struct sorter_record *right) {
    return text_compare(text_of(left), text_of(right));
}

static uint64_t random_next(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* Sorts count random records and checks that each comes back, in order. */
static void sort_and_check(struct sorter *sorter, size_t count, size_t size_bytes_max,
                           uint64_t seed) {
    struct err err = {0};
    uint64_t random = seed;
    uint64_t sum = 0;
    unsigned char *bytes = malloc(size_bytes_max);
    for (size_t index = 0; index < count; index++) {
        size_t size_bytes = 1 + random_next(&random) % size_bytes_max;
        for (size_t at = 0; at < size_bytes; at++) {
            bytes[at] = (unsigned char)(random_next(&random) % 3);
            sum += bytes[at];
        }
        assert_done(sorter_add(sorter, random_next(&random) % 50, bytes, size_bytes, &err), &err);
    }
    assert_done(sorter_finish(sorter, &err), &err);
    uint64_t prefix_before = 0;
    struct buffer before = {0};
    for (size_t index = 0; index < count; index++) {
        struct sorter_record record;
        assert_done(sorter_next(sorter, &record, &err), &err);
        assert_non_null(record.bytes);
        for (size_t at = 0; at < record.size_bytes; at++) {
            sum -= record.bytes[at];
        }
        if (index > 0) {
            assert_true(record.prefix >= prefix_before);
            assert_true(record.prefix > prefix_before ||
                        text_compare(buffer_text(&before), text_of(&record)) <= 0);
        }
        prefix_before = record.prefix;
        buffer_clear(&before);
        assert_true(buffer_append(&before, text_of(&record), &err));
    }
    struct sorter_record end;
    assert_done(sorter_next(sorter, &end, &err), &err);
    assert_null(end.bytes);
    assert_int_equal(sum, 0);
    buffer_release(&before);
    free(bytes);
}

static void sorter_sorts_in_memory(void **state) {
    (void)state;
    struct err err = {0};
    struct sorter *sorter;
    assert_done(sorter_create(spill, 8 * 1024 * 1024, compare, &sorter, &err), &err);
    for (size_t count = 0; count < 60; count++) {
        sort_and_check(sorter, count, 20, 1000 + count);
        sorter_reset(sorter);
    }
    sort_and_check(sorter, 5000, 20, 7);
    assert_int_equal(sorter_runs_count(sorter), 0);
    sorter_destroy(sorter);
}

static void sorter_merges_runs_in_several_turns(void **state) {
    (void)state;
    struct err err = {0};
    struct sorter *sorter;
    assert_done(sorter_create(spill, 4 * 1024, compare, &sorter, &err), &err);
    sort_and_check(sorter, 5000, 40, 11);
    assert_true(sorter_runs_count(sorter) > 60); /* more than can be merged at once */
    sorter_reset(sorter);
    sort_and_check(sorter, 3, 40, 13);
    sorter_destroy(sorter);
}

static void sorter_takes_a_record_larger_than_its_memory(void **state) {
    (void)state;
    struct err err = {0};
    struct sorter *sorter;
    assert_done(sorter_create(spill, 1024, compare, &sorter, &err), &err);
    sort_and_check(sorter, 50, 9000, 17);
    sorter_destroy(sorter);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scratch_spill_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sorter_sorts_in_memory),
        TEST(sorter_merges_runs_in_several_turns),
        TEST(sorter_takes_a_record_larger_than_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
