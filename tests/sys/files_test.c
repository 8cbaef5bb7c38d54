#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"
#include "support/fault_sys.h"
#include "support/scratch.h"
#include "sys/files.h"

/* Asserts that err is a file error that shows every one of the words, and empties it. */
static void assert_file_error(struct err *err, const char *path, const char *reason) {
    assert_int_equal(err->code, ERR_FILE);
    assert_non_null(strstr(err->message, path));
    assert_non_null(strstr(err->message, reason));
    err_release(err);
}

/* --- reading and writing -------------------------------------------------------------------- */

static bool write_and_read_back(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    struct file file;
    char bytes[16] = "";
    size_t read_bytes = 0;
    size_t tail_bytes = 0;
    uint64_t size_bytes = 0;
    bool is_fine = file_create(sys, "file", &file, &err) &&
                   file_append(&file, "0123456789", 10, &err) &&
                   file_write_at(&file, 3, "WXYZ", 4, &err) && file_append(&file, "ab", 2, &err) &&
                   file_truncate(&file, 11, &err) && file_sync(&file, &err) &&
                   file_size(&file, &size_bytes, &err) &&
                   file_read_at(&file, 9, bytes + 11, 4, &tail_bytes, &err);
    if (is_fine) {
        file_start_writeback(&file, 0, size_bytes);
        is_fine = file_close(&file, &err);
    }
    is_fine = is_fine && file_open_read(sys, "file", &file, &err) &&
              file_read(&file, bytes, 11, &read_bytes, &err);
    file_abandon(&file);
    err_release(&err);
    return is_fine && size_bytes == 11 && read_bytes == 11 && tail_bytes == 2 &&
           memcmp(bytes, "012WXYZ789a9a", 13) == 0;
}

static void bytes_come_back_as_written(void **state) {
    (void)state;
    assert_true(write_and_read_back(sys_real(), NULL));
    assert_true(scratch_holds("file", "012WXYZ789a"));
}

static void signals_and_short_counts_change_nothing(void **state) {
    (void)state;
    struct fault_plan plans[] = {{.mode = FAULT_FAIL_ONCE, .error = EINTR}, {.mode = FAULT_SHORT}};
    for (size_t index = 0; index < 2; index++) {
        struct fault_plan plan = plans[index];
        enum fault_outcome outcome = FAULT_OUTCOME_FINE;
        for (plan.at = 1; outcome == FAULT_OUTCOME_FINE; plan.at++) {
            outcome = fault_run(plan, write_and_read_back, NULL);
            assert_true(scratch_holds("file", "012WXYZ789a"));
        }
        assert_int_equal(outcome, FAULT_OUTCOME_CALM);
        assert_in_range(plan.at, 12, 40);
    }
}

static void any_failing_call_is_reported(void **state) {
    (void)state;
    struct fault_plan plan = {.mode = FAULT_FAIL_ONCE, .at = 1, .error = EIO};
    size_t reported = 0;
    for (;; plan.at++) {
        enum fault_outcome outcome = fault_run(plan, write_and_read_back, NULL);
        if (outcome == FAULT_OUTCOME_CALM) {
            break;
        }
        reported += outcome == FAULT_OUTCOME_REPORTED;
    }
    /* All but the write-back, which is a wish, and the last close, which has nothing to lose. */
    assert_int_equal(reported, plan.at - 1 - 2);
}

static void reading_stops_at_the_end(void **state) {
    (void)state;
    scratch_write("file", "abc");
    struct err err = {0};
    struct file file;
    char bytes[8];
    size_t read_bytes;
    assert_true(file_open_read(sys_real(), "file", &file, &err));
    assert_true(file_read(&file, bytes, sizeof bytes, &read_bytes, &err));
    assert_int_equal(read_bytes, 3);
    assert_true(file_read(&file, bytes, sizeof bytes, &read_bytes, &err));
    assert_int_equal(read_bytes, 0);
    assert_true(file_read_at(&file, 2, bytes, sizeof bytes, &read_bytes, &err));
    assert_int_equal(read_bytes, 1);
    assert_true(file_read_at(&file, 1000, bytes, sizeof bytes, &read_bytes, &err));
    assert_int_equal(read_bytes, 0);
    assert_false(file_read_at(&file, UINT64_MAX, bytes, 1, &read_bytes, &err));
    assert_file_error(&err, "file", "File too large");
    assert_false(file_write_at(&file, INT64_MAX, bytes, 2, &err));
    assert_file_error(&err, "file", "File too large");
    assert_false(file_append(&file, "x", 1, &err));
    assert_file_error(&err, "file", "Bad file descriptor");
    assert_true(file_close(&file, &err));
    assert_int_equal(file.fd, -1);
    file_abandon(&file);
}

static void an_update_keeps_what_was_there(void **state) {
    (void)state;
    struct err err = {0};
    struct file file;
    for (int turn = 0; turn < 2; turn++) {
        assert_true(file_open_update(sys_real(), "journal", &file, &err));
        uint64_t size_bytes;
        assert_true(file_size(&file, &size_bytes, &err));
        assert_int_equal(size_bytes, turn * 4);
        assert_true(file_write_at(&file, size_bytes, "line", 4, &err));
        assert_true(file_close(&file, &err));
    }
    assert_true(scratch_holds("journal", "lineline"));
}

static void errors_name_the_path_and_the_reason(void **state) {
    (void)state;
    struct err err = {0};
    struct file file;
    assert_false(file_open_read(sys_real(), "no/such", &file, &err));
    assert_int_equal(file.fd, -1);
    assert_file_error(&err, "'no/such'", "No such file or directory");
    assert_false(file_create(sys_real(), ".", &file, &err));
    assert_file_error(&err, "'.'", "Is a directory");

    char long_path[FILE_PATH_MAX + 10];
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    assert_false(file_open_read(sys_real(), long_path, &file, &err));
    assert_file_error(&err, "xxx...", "4105 bytes");
    long_path[2000] = '\0';
    long_path[1999] = '!';
    assert_false(file_open_read(sys_real(), long_path, &file, &err));
    assert_file_error(&err, "'...xxx", "x!': File name too long");
    char path[FILE_PATH_MAX];
    assert_true(path_format(path, &err, "%s/%d", "part", 7));
    assert_string_equal(path, "part/7");
}

static void out_of_memory_has_its_own_code(void **state) {
    (void)state;
    scratch_write("file", "abc");
    bool has_failed_to_map = false;
    for (uint64_t at = 1;; at++) {
        struct fault_sys fault;
        fault_sys_init(&fault,
                       (struct fault_plan){.mode = FAULT_FAIL_ONCE, .at = at, .error = ENOMEM});
        struct err err = {0};
        struct mapping mapping;
        bool is_mapped = file_map(&fault.sys, "file", &mapping, &err);
        if (is_mapped) {
            file_unmap(&fault.sys, &mapping);
        } else {
            assert_int_equal(err.code, ERR_MEMORY);
            assert_non_null(strstr(err.message, "file"));
            has_failed_to_map = has_failed_to_map || strstr(err.message, "map") != NULL;
        }
        err_release(&err);
        bool has_fired = fault_sys_fired(&fault);
        fault_sys_release(&fault);
        if (!has_fired) {
            break;
        }
    }
    assert_true(has_failed_to_map);
}

/* --- whole files ---------------------------------------------------------------------------- */

static void a_small_file_is_loaded_whole(void **state) {
    (void)state;
    struct err err = {0};
    struct buffer buffer = {0};
    scratch_write("file", "0123456789");
    assert_true(file_load(sys_real(), "file", 10, &buffer, &err));
    assert_true(text_equals(buffer_text(&buffer), text_from("0123456789")));
    assert_false(file_load(sys_real(), "file", 9, &buffer, &err));
    assert_int_equal(err.code, ERR_DAMAGED);
    assert_non_null(strstr(err.message, "9 bytes"));
    err_release(&err);
    scratch_write("file", "");
    assert_true(file_load(sys_real(), "file", 10, &buffer, &err));
    assert_int_equal(buffer.size_bytes, 0);
    assert_false(file_load(sys_real(), ".", 10, &buffer, &err));
    assert_file_error(&err, "'.'", "not a regular file");
    /* Its size is told as 0, and it has bytes. */
    assert_true(file_load(sys_real(), "/proc/self/status", 1 << 16, &buffer, &err));
    assert_in_range(buffer.size_bytes, 100, 1 << 16);
    assert_false(file_load(sys_real(), "/proc/self/status", 10, &buffer, &err));
    assert_int_equal(err.code, ERR_DAMAGED);
    err_release(&err);
    buffer_release(&buffer);
}

static void a_fifo_does_not_make_anyone_wait(void **state) {
    (void)state;
    struct err err = {0};
    struct buffer buffer = {0};
    struct mapping mapping;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_false(file_load(sys_real(), "fifo", 10, &buffer, &err));
    assert_file_error(&err, "fifo", "not a regular file");
    assert_false(file_map(sys_real(), "fifo", &mapping, &err));
    assert_file_error(&err, "fifo", "not a regular file");
    enum path_kind kind;
    assert_true(path_kind(sys_real(), "fifo", &kind, &err));
    assert_int_equal(kind, PATH_OTHER);
    buffer_release(&buffer);
}

static void a_file_is_mapped(void **state) {
    (void)state;
    struct err err = {0};
    struct mapping mapping;
    scratch_write("file", "mapped bytes");
    assert_true(file_map(sys_real(), "file", &mapping, &err));
    assert_int_equal(mapping.size_bytes, 12);
    assert_memory_equal(mapping.bytes, "mapped bytes", 12);
    file_unmap(sys_real(), &mapping);
    assert_null(mapping.bytes);
    file_unmap(sys_real(), &mapping);
    scratch_write("file", "");
    assert_true(file_map(sys_real(), "file", &mapping, &err));
    assert_null(mapping.bytes);
    assert_int_equal(mapping.size_bytes, 0);
    assert_false(file_map(sys_real(), "missing", &mapping, &err));
    assert_file_error(&err, "missing", "No such file");
}

static void scratch_memory_is_zero_and_leaves_no_file(void **state) {
    (void)state;
    struct err err = {0};
    struct scratch_memory memory;
    struct file file;
    scratch_write("file", "of an earlier start");
    assert_true(scratch_memory_open(sys_real(), "file", 100000, &memory, &err));
    assert_false(file_open_read(sys_real(), "file", &file, &err));
    assert_file_error(&err, "file", "No such file");
    unsigned char *bytes = memory.bytes;
    for (size_t index = 0; index < memory.size_bytes; index++) {
        assert_int_equal(bytes[index], 0);
        bytes[index] = (unsigned char)(index * 7);
    }
    assert_int_equal(bytes[99999], (99999 * 7) & 255);
    scratch_memory_close(sys_real(), &memory);
    assert_null(memory.bytes);
    scratch_memory_close(sys_real(), &memory);
}

static void scratch_memory_that_cannot_be_had_is_told(void **state) {
    (void)state;
    uint64_t failures_count = 0;
    for (uint64_t at = 1;; at++) {
        struct fault_sys fault;
        fault_sys_init(&fault,
                       (struct fault_plan){.mode = FAULT_FAIL_ONCE, .at = at, .error = ENOSPC});
        struct err err = {0};
        struct scratch_memory memory;
        if (scratch_memory_open(&fault.sys, "file", 5000, &memory, &err)) {
            scratch_memory_close(&fault.sys, &memory);
        } else {
            failures_count++;
            assert_int_equal(err.code, ERR_FILE);
            assert_non_null(strstr(err.message, "file"));
            assert_null(memory.bytes);
        }
        err_release(&err);
        bool has_fired = fault_sys_fired(&fault);
        fault_sys_release(&fault);
        if (!has_fired) {
            break;
        }
    }
    assert_int_equal(failures_count, 3); /* made, unlinked, mapped; a close takes nothing away */
}

/* --- locks ---------------------------------------------------------------------------------- */

static void two_open_files_cannot_both_have_the_lock(void **state) {
    (void)state;
    struct err err = {0};
    struct file first;
    struct file second;
    bool taken = false;
    assert_true(file_open_update(sys_real(), "lock", &first, &err));
    assert_true(file_open_update(sys_real(), "lock", &second, &err));
    assert_true(file_lock(&first, &taken, &err));
    assert_true(taken);
    assert_true(file_lock(&first, &taken, &err)); /* again, by the same one */
    assert_true(taken);
    assert_true(file_lock(&second, &taken, &err));
    assert_false(taken);
    /* Closing a third open file of that path does not end the lock. */
    struct file third;
    assert_true(file_open_update(sys_real(), "lock", &third, &err));
    assert_true(file_close(&third, &err));
    assert_true(file_lock(&second, &taken, &err));
    assert_false(taken);
    assert_true(file_close(&first, &err));
    assert_true(file_lock(&second, &taken, &err));
    assert_true(taken);
    assert_true(file_close(&second, &err));
}

static void whether_a_lock_is_held_is_seen_without_taking_it(void **state) {
    (void)state;
    struct err err = {0};
    struct file holder;
    struct file looker;
    bool taken = false;
    bool is_locked = true;
    assert_true(file_open_update(sys_real(), "lock", &holder, &err));
    assert_true(file_open_read(sys_real(), "lock", &looker, &err));
    assert_true(file_is_locked(&looker, &is_locked, &err));
    assert_false(is_locked);
    assert_true(file_lock(&holder, &taken, &err)); /* who looked has taken nothing */
    assert_true(taken);
    assert_true(file_is_locked(&looker, &is_locked, &err));
    assert_true(is_locked);
    assert_true(file_close(&holder, &err));
    assert_true(file_is_locked(&looker, &is_locked, &err));
    assert_false(is_locked);
    assert_true(file_close(&looker, &err));
}

/* Takes the lock, says so, and holds it until told to end. */
static _Noreturn void hold_lock(int said, int told) {
    struct err err = {0};
    struct file file;
    bool taken = false;
    char byte = 'n';
    (void)alarm(60);
    if (file_open_update(sys_real(), "lock", &file, &err) && file_lock(&file, &taken, &err) &&
        taken) {
        byte = 'y';
    }
    if (write(said, &byte, 1) != 1 || read(told, &byte, 1) < 0) {
        _exit(1);
    }
    _exit(0);
}

static void a_lock_ends_with_its_process(void **state) {
    (void)state;
    struct err err = {0};
    int said[2];
    int told[2];
    assert_int_equal(pipe(said), 0);
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(told[1]);
        hold_lock(said[1], told[0]);
    }
    assert_true(child > 0);
    char byte = 0;
    assert_int_equal(read(said[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    struct file file;
    bool taken = true;
    assert_true(file_open_update(sys_real(), "lock", &file, &err));
    assert_true(file_lock(&file, &taken, &err));
    assert_false(taken);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(file_lock(&file, &taken, &err));
    assert_true(taken);
    assert_true(file_close(&file, &err));
    for (size_t end = 0; end < 2; end++) {
        assert_int_equal(close(said[end]), 0);
        assert_int_equal(close(told[end]), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(bytes_come_back_as_written),
        TEST(signals_and_short_counts_change_nothing),
        TEST(any_failing_call_is_reported),
        TEST(reading_stops_at_the_end),
        TEST(an_update_keeps_what_was_there),
        TEST(errors_name_the_path_and_the_reason),
        TEST(out_of_memory_has_its_own_code),
        TEST(a_small_file_is_loaded_whole),
        TEST(a_fifo_does_not_make_anyone_wait),
        TEST(a_file_is_mapped),
        TEST(scratch_memory_is_zero_and_leaves_no_file),
        TEST(scratch_memory_that_cannot_be_had_is_told),
        TEST(two_open_files_cannot_both_have_the_lock),
        TEST(whether_a_lock_is_held_is_seen_without_taking_it),
        TEST(a_lock_ends_with_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
