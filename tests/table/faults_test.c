#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "support/fault_sys.h"
#include "support/table_sample.h"
#include "table_path.h"

/* Two batches, so that a failure may strike between them. */
enum { OLD_ROWS_COUNT = 5, NEW_ROWS_COUNT = TABLE_BATCH_ROWS + 7 };

static void write_old_file(void) {
    struct err err = {0};
    assert_done(sample_write(sys_real(), path, OLD_ROWS_COUNT, NULL, &err), &err);
}

static uint64_t file_rows_count(void) {
    struct err err = {0};
    struct table *table = NULL;
    assert_done(table_open(sys_real(), path, &sample_schema, &table, &err), &err);
    uint64_t rows_count = table_rows_count(table);
    struct table_cursor cursor = table_cursor_start(table);
    for (int64_t row = 0; table_cursor_next(&cursor); row++) {
        assert_null(sample_check_row(&cursor, row));
    }
    table_close(table);
    return rows_count;
}

static void assert_nothing_is_left_over(void) {
    struct err err = {0};
    struct directory_listing listing;
    assert_done(directory_list(sys_real(), folder.path, &listing, &err), &err);
    assert_int_equal(listing.names_count, 1);
    assert_string_equal(listing.names[0], "table.arrow");
    directory_release(&listing);
}

static void a_failed_call_leaves_the_old_file_or_the_new_one(void **state) {
    (void)state;
    static const int errors[] = {ENOSPC, EIO};
    bool has_fired = true;
    size_t failures_count = 0;
    for (uint64_t at = 1; has_fired; at++) {
        write_old_file();
        struct fault_sys fault;
        fault_sys_init(&fault, (struct fault_plan){
                                   .mode = FAULT_FAIL_ONCE, .at = at, .error = errors[at % 2]});
        struct err err = {0};
        bool is_done = sample_write(&fault.sys, path, NEW_ROWS_COUNT, NULL, &err);
        has_fired = fault_sys_fired(&fault);
        fault_sys_release(&fault);
        assert_true(is_done || has_fired);
        uint64_t rows_count = file_rows_count();
        if (is_done) {
            assert_int_equal(rows_count, NEW_ROWS_COUNT);
        } else {
            failures_count++;
            assert_int_equal(err.code, ERR_FILE);
            assert_non_null(strstr(err.message, folder.path));
            /* Only the sync of the folder comes after the rename. */
            assert_true(rows_count == OLD_ROWS_COUNT || rows_count == NEW_ROWS_COUNT);
        }
        assert_nothing_is_left_over();
    }
    assert_true(failures_count > 10);
}

static void short_writes_and_reads_change_nothing(void **state) {
    (void)state;
    struct err err = {0};
    struct table_seal calm;
    assert_done(sample_write(sys_real(), path, NEW_ROWS_COUNT, &calm, &err), &err);
    bool has_fired = true;
    for (uint64_t at = 1; has_fired; at++) {
        struct fault_sys fault;
        fault_sys_init(&fault, (struct fault_plan){.mode = FAULT_SHORT, .at = at});
        struct table_seal seal;
        struct table_seal found;
        assert_done(sample_write(&fault.sys, path, NEW_ROWS_COUNT, &seal, &err), &err);
        assert_done(table_file_digest(&fault.sys, path, &found, &err), &err);
        has_fired = fault_sys_fired(&fault);
        fault_sys_release(&fault);
        assert_true(digest_equals(&seal.digest, &calm.digest));
        assert_true(digest_equals(&found.digest, &calm.digest));
    }
}

static bool write_new_file(const struct sys *sys, void *context) {
    struct err err = {0};
    (void)context;
    return sample_write(sys, path, 1000, NULL, &err);
}

static void a_power_cut_leaves_the_old_file_or_the_new_one(void **state) {
    (void)state;
    enum fault_outcome outcome = FAULT_OUTCOME_DIED;
    for (uint64_t at = 1; outcome != FAULT_OUTCOME_CALM; at++) {
        write_old_file();
        struct fault_plan plan = {.mode = FAULT_DIE, .at = at, .loss = FAULT_LOSS_TEAR};
        outcome = fault_run(plan, write_new_file, NULL);
        uint64_t rows_count = file_rows_count();
        assert_true(rows_count == 1000 ||
                    (rows_count == OLD_ROWS_COUNT && outcome == FAULT_OUTCOME_DIED));
    }
}

static void a_failed_call_while_opening_is_told(void **state) {
    (void)state;
    write_old_file();
    bool has_fired = true;
    for (uint64_t at = 1; has_fired; at++) {
        struct fault_sys fault;
        fault_sys_init(&fault,
                       (struct fault_plan){.mode = FAULT_FAIL_ONCE, .at = at, .error = EIO});
        struct err err = {0};
        struct table *table = NULL;
        if (table_open(&fault.sys, path, &sample_schema, &table, &err)) {
            table_close(table);
        } else {
            assert_int_equal(err.code, ERR_FILE);
            assert_non_null(strstr(err.message, path));
        }
        has_fired = fault_sys_fired(&fault);
        fault_sys_release(&fault);
    }
}

static uint64_t requests_count;
static uint64_t requests_fail_at;

static bool fails_now(void) {
    return ++requests_count == requests_fail_at;
}

static void fail_request(uint64_t at) {
    requests_count = 0;
    requests_fail_at = at;
    mem_set_fault(fails_now);
}

/* Whether the request was made at all. */
static bool end_failing(void) {
    mem_set_fault(NULL);
    return requests_count >= requests_fail_at;
}

static void a_lack_of_memory_while_writing_is_told_and_leaves_the_old_file(void **state) {
    (void)state;
    bool has_fired = true;
    size_t failures_count = 0;
    for (uint64_t at = 1; has_fired; at++) {
        write_old_file();
        struct err err = {0};
        fail_request(at);
        bool is_done = sample_write(sys_real(), path, NEW_ROWS_COUNT, NULL, &err);
        has_fired = end_failing();
        assert_true(is_done || has_fired);
        if (!is_done) {
            failures_count++;
            assert_int_equal(err.code, ERR_MEMORY);
            assert_int_equal(file_rows_count(), OLD_ROWS_COUNT);
        }
        assert_nothing_is_left_over();
    }
    assert_true(failures_count > 50);
}

static void a_lack_of_memory_while_reading_is_told(void **state) {
    (void)state;
    write_old_file();
    bool has_fired = true;
    size_t failures_count = 0;
    for (uint64_t at = 1; has_fired; at++) {
        struct err err = {0};
        struct table *table = NULL;
        struct table_seal seal;
        fail_request(at);
        bool is_done = table_open(sys_real(), path, &sample_schema, &table, &err) &&
                       table_file_digest(sys_real(), path, &seal, &err);
        has_fired = end_failing();
        table_close(table);
        assert_true(is_done || has_fired);
        if (!is_done) {
            failures_count++;
            assert_int_equal(err.code, ERR_MEMORY);
        }
    }
    assert_true(failures_count >= 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_call_leaves_the_old_file_or_the_new_one),
        cmocka_unit_test(short_writes_and_reads_change_nothing),
        cmocka_unit_test(a_power_cut_leaves_the_old_file_or_the_new_one),
        cmocka_unit_test(a_failed_call_while_opening_is_told),
        cmocka_unit_test(a_lack_of_memory_while_writing_is_told_and_leaves_the_old_file),
        cmocka_unit_test(a_lack_of_memory_while_reading_is_told),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
