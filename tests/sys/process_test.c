#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "sys/clock.h"
#include "sys/process.h"

/* --- signals -------------------------------------------------------------------------------- */

static void a_signal_sets_the_flag_and_nothing_else(void **state) {
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT};
    interrupt_install();
    for (size_t index = 0; index < 2; index++) {
        interrupt_clear();
        struct err err = {0};
        assert_false(interrupt_pending());
        assert_true(interrupt_check(&err));
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(raise(signals[index]), 0);
        assert_true(interrupt_pending());
        assert_false(interrupt_check(&err));
        assert_int_equal(err.code, ERR_INTERRUPTED);
        assert_true(err.hint[0] != '\0');
        err_release(&err);
        assert_true(interrupt_pending());
    }
    interrupt_clear();
    assert_false(interrupt_pending());
}

static void a_signal_wakes_a_long_wait(void **state) {
    (void)state;
    interrupt_install();
    struct sigaction action;
    assert_int_equal(sigaction(SIGTERM, NULL, &action), 0);
    assert_int_equal(action.sa_flags & SA_RESTART, 0);
    assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
    assert_int_equal(action.sa_flags & SA_RESTART, 0);
}

static void a_closed_pipe_is_an_error_and_not_a_death(void **state) {
    (void)state;
    interrupt_install();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    assert_false(process_is_terminal(ends[1]));
    assert_int_equal(close(ends[1]), 0);
}

/* --- who and where -------------------------------------------------------------------------- */

static void the_process_knows_itself(void **state) {
    (void)state;
    char name[256];
    process_host_name(name, sizeof name);
    assert_true(name[0] != '\0');
    char narrow[3];
    process_host_name(narrow, sizeof narrow);
    assert_true(strlen(narrow) <= 2);
    assert_int_equal(strncmp(narrow, name, strlen(narrow)), 0);
    assert_int_equal(process_id(), (int)getpid());
    assert_in_range(process_processors_count(), 1, 100000);
}

static void anonymous_memory_is_the_highest_so_far(void **state) {
    (void)state;
    enum { BLOCK_BYTES = 64 * 1024 * 1024 };
    uint64_t before = process_anonymous_bytes();
    assert_in_range(before, 64 * 1024, UINT64_C(1) << 40);
    char *block = malloc(BLOCK_BYTES);
    assert_non_null(block);
    for (size_t index = 0; index < BLOCK_BYTES; index += 4096) {
        ((volatile char *)block)[index] = 1;
    }
    uint64_t with_block = process_anonymous_bytes();
    assert_true(with_block >= before + BLOCK_BYTES / 2);
    free(block);
    assert_true(process_anonymous_bytes() >= with_block);
}

static void the_clock_is_read_through_the_seam(void **state) {
    (void)state;
    struct instant now = clock_now(sys_real());
    assert_true(now.us > INT64_C(1700000000) * 1000000);
    int64_t before = clock_monotonic_us(sys_real());
    assert_true(clock_monotonic_us(sys_real()) >= before);
}

/* --- worker threads ------------------------------------------------------------------------- */

enum { WORK_COUNT = 500 };

struct work_log {
    atomic_size_t calls;
    atomic_size_t running;
    atomic_size_t running_max;
    atomic_int done[WORK_COUNT];
    size_t order[WORK_COUNT];
    size_t failing_from; /* this index and all after it fail */
};

static bool do_work(void *context, size_t index, struct err *err) {
    struct work_log *log = context;
    size_t running = atomic_fetch_add(&log->running, 1) + 1;
    size_t known = atomic_load(&log->running_max);
    while (running > known && !atomic_compare_exchange_weak(&log->running_max, &known, running)) {
    }
    log->order[atomic_fetch_add(&log->calls, 1)] = index;
    (void)atomic_fetch_add(&log->done[index], 1);
    (void)atomic_fetch_sub(&log->running, 1);
    if (index < log->failing_from) {
        return true;
    }
    (void)err_set(err, ERR_INPUT, "index %zu", index);
    char *details = mem_alloc(32);
    (void)snprintf(details, 32, "details %zu\n", index);
    err_take_details(err, details);
    return false;
}

static void each_index_is_done_once(void **state) {
    (void)state;
    static const size_t jobs[] = {1, 2, 4, 1000};
    for (size_t index = 0; index < sizeof jobs / sizeof jobs[0]; index++) {
        struct work_log log = {.failing_from = WORK_COUNT};
        struct err err = {0};
        assert_true(process_parallel(jobs[index], WORK_COUNT, do_work, &log, &err));
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(atomic_load(&log.calls), WORK_COUNT);
        assert_true(atomic_load(&log.running_max) <= jobs[index]);
        for (size_t done = 0; done < WORK_COUNT; done++) {
            assert_int_equal(atomic_load(&log.done[done]), 1);
        }
    }
}

static void one_job_goes_in_order(void **state) {
    (void)state;
    struct work_log log = {.failing_from = WORK_COUNT};
    struct err err = {0};
    assert_true(process_parallel(1, WORK_COUNT, do_work, &log, &err));
    for (size_t index = 0; index < WORK_COUNT; index++) {
        assert_int_equal(log.order[index], index);
    }
}

static void the_lowest_failure_is_reported_and_stops_the_rest(void **state) {
    (void)state;
    static const size_t jobs[] = {1, 4};
    for (size_t index = 0; index < 2; index++) {
        for (int turn = 0; turn < 50; turn++) {
            struct work_log log = {.failing_from = 37};
            struct err err = {0};
            assert_false(process_parallel(jobs[index], WORK_COUNT, do_work, &log, &err));
            assert_int_equal(err.code, ERR_INPUT);
            assert_string_equal(err.message, "index 37");
            assert_string_equal(err.details, "details 37\n");
            /* Those before are all done; of those after, at most one per other thread. */
            assert_in_range(atomic_load(&log.calls), 38, 37 + jobs[index]);
            for (size_t done = 0; done <= 37; done++) {
                assert_int_equal(atomic_load(&log.done[done]), 1);
            }
            err_release(&err);
        }
    }
}

static void no_work_is_done_at_once(void **state) {
    (void)state;
    struct work_log log = {.failing_from = 0};
    struct err err = {0};
    assert_true(process_parallel(4, 0, do_work, &log, &err));
    assert_int_equal(atomic_load(&log.calls), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_sets_the_flag_and_nothing_else),
        cmocka_unit_test(a_signal_wakes_a_long_wait),
        cmocka_unit_test(a_closed_pipe_is_an_error_and_not_a_death),
        cmocka_unit_test(the_process_knows_itself),
        cmocka_unit_test(anonymous_memory_is_the_highest_so_far),
        cmocka_unit_test(the_clock_is_read_through_the_seam),
        cmocka_unit_test(each_index_is_done_once),
        cmocka_unit_test(one_job_goes_in_order),
        cmocka_unit_test(the_lowest_failure_is_reported_and_stops_the_rest),
        cmocka_unit_test(no_work_is_done_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
