/* file_replace and path_link_or_copy under every fault: old or new, whole, and durable once done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "support/fault_sys.h"
#include "support/scratch.h"
#include "sys/files.h"

#define OLD "what stood there before, somewhat longer"
#define NEW "what stands there now"

enum { CALLS_MAX = 100 };

static bool replace_target(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    bool is_fine = file_replace(sys, "target", text_from(NEW), &err);
    err_release(&err);
    return is_fine;
}

/* Shared with the child: it has been told that the first replacement succeeded. */
static atomic_bool *first_is_done;

static bool replace_two(const struct sys *sys, void *context) {
    struct err err = {0};
    atomic_store(first_is_done, false);
    bool is_fine = file_replace(sys, "first", text_from(NEW), &err);
    err_release(&err);
    atomic_store(first_is_done, is_fine);
    return is_fine && replace_target(sys, context);
}

static void prepare(void) {
    scratch_empty();
    scratch_write("first", OLD);
    scratch_write("target", OLD);
    scratch_write("target.tmp", "left by a process that died");
}

static bool is_whole(const char *path) {
    return scratch_holds(path, OLD) || scratch_holds(path, NEW);
}

/* Runs body under plan at call 1, 2, 3 … until nothing fires; returns how many calls there are. */
static uint64_t try_every_call(struct fault_plan plan,
                               bool (*body)(const struct sys *sys, void *context),
                               void (*check)(enum fault_outcome outcome)) {
    for (plan.at = 1; plan.at < CALLS_MAX; plan.at++) {
        prepare();
        enum fault_outcome outcome = fault_run(plan, body, NULL);
        assert_true(is_whole("target"));
        if (outcome == FAULT_OUTCOME_CALM) {
            assert_true(scratch_holds("target", NEW));
            return plan.at - 1;
        }
        check(outcome);
        assert_true(replace_target(sys_real(), NULL));
        assert_true(scratch_holds("target", NEW));
        assert_false(scratch_exists("target.tmp"));
    }
    fail_msg("more than %d calls", CALLS_MAX);
    return 0;
}

static void check_failure(enum fault_outcome outcome) {
    assert_true(outcome == FAULT_OUTCOME_REPORTED || outcome == FAULT_OUTCOME_FINE);
    if (outcome == FAULT_OUTCOME_FINE) {
        assert_true(scratch_holds("target", NEW));
    }
}

static void check_fine(enum fault_outcome outcome) {
    assert_int_equal(outcome, FAULT_OUTCOME_FINE);
    assert_true(scratch_holds("target", NEW));
    assert_false(scratch_exists("target.tmp"));
}

static void check_death(enum fault_outcome outcome) {
    assert_int_equal(outcome, FAULT_OUTCOME_DIED);
}

static size_t first_done_count;

static void check_first_is_durable(enum fault_outcome outcome) {
    assert_int_equal(outcome, FAULT_OUTCOME_DIED);
    assert_true(is_whole("first"));
    if (atomic_load(first_is_done)) {
        assert_true(scratch_holds("first", NEW));
        first_done_count++;
    }
}

static void replace_leaves_old_or_new_when_any_call_fails(void **state) {
    (void)state;
    static const int errors[] = {ENOSPC, EIO, EDQUOT, ENOMEM};
    for (size_t index = 0; index < sizeof errors / sizeof errors[0]; index++) {
        struct fault_plan plan = {.mode = FAULT_FAIL_ONCE, .error = errors[index]};
        assert_in_range(try_every_call(plan, replace_target, check_failure), 8, 20);
        plan.mode = FAULT_FAIL_FROM;
        assert_in_range(try_every_call(plan, replace_target, check_failure), 8, 20);
    }
}

static void replace_goes_on_after_signals_and_short_writes(void **state) {
    (void)state;
    struct fault_plan plan = {.mode = FAULT_FAIL_ONCE, .error = EINTR};
    assert_in_range(try_every_call(plan, replace_target, check_fine), 8, 20);
    plan.mode = FAULT_SHORT;
    assert_in_range(try_every_call(plan, replace_target, check_fine), 8, 20);
}

static void replace_leaves_old_or_new_when_it_dies(void **state) {
    (void)state;
    first_is_done = mmap(NULL, sizeof *first_is_done, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(first_is_done != MAP_FAILED);
    static const enum fault_loss losses[] = {FAULT_LOSS_NONE, FAULT_LOSS_DROP, FAULT_LOSS_TEAR};
    for (size_t index = 0; index < sizeof losses / sizeof losses[0]; index++) {
        struct fault_plan plan = {.mode = FAULT_DIE, .loss = losses[index]};
        assert_in_range(try_every_call(plan, replace_target, check_death), 8, 20);
        assert_in_range(try_every_call(plan, replace_two, check_first_is_durable), 16, 40);
    }
    assert_in_range(first_done_count, 3 * 8, 3 * 20);
    assert_int_equal(munmap(first_is_done, sizeof *first_is_done), 0);
}

static void commit_reports_path_reason_and_hint(void **state) {
    (void)state;
    bool saw_no_space = false;
    for (uint64_t at = 1;; at++) {
        struct fault_sys fault;
        fault_sys_init(&fault, (struct fault_plan){FAULT_FAIL_FROM, .at = at, .error = ENOSPC});
        struct err err = {0};
        bool is_fine = file_replace(&fault.sys, "target", text_from(NEW), &err);
        bool has_fired = fault_sys_fired(&fault);
        fault_sys_release(&fault);
        if (!is_fine) {
            saw_no_space = true;
            assert_int_equal(err.code, ERR_FILE);
            assert_true(strstr(err.message, "target") != NULL || strstr(err.message, "'.'"));
            assert_non_null(strstr(err.message, "No space left on device"));
            assert_non_null(strstr(err.hint, "free space on the disk of"));
        }
        err_release(&err);
        if (!has_fired) {
            break;
        }
    }
    assert_true(saw_no_space);
}

static void replace_keeps_a_file_that_shares_its_temporary(void **state) {
    (void)state;
    struct err err = {0};
    scratch_write("sealed", OLD);
    assert_int_equal(sys_real()->link(NULL, "sealed", "target.tmp"), 0);
    assert_true(file_replace(sys_real(), "target", text_from(NEW), &err));
    assert_true(scratch_holds("sealed", OLD));
    assert_true(scratch_holds("target", NEW));
}

static void abort_removes_the_temporary_and_keeps_the_target(void **state) {
    (void)state;
    struct err err = {0};
    scratch_write("target", OLD);
    struct file_replacement replacement;
    assert_true(file_replace_begin(sys_real(), "target", &replacement, &err));
    assert_true(file_append(&replacement.file, "half", 4, &err));
    assert_true(scratch_exists("target.tmp"));
    file_replace_abort(&replacement);
    file_replace_abort(&replacement);
    assert_false(scratch_exists("target.tmp"));
    assert_true(scratch_holds("target", OLD));
}

/* --- linking -------------------------------------------------------------------------------- */

static uint64_t inode_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_ino;
}

static void link_shares_the_file_and_replaces_what_was_there(void **state) {
    (void)state;
    struct err err = {0};
    scratch_write("sealed", NEW);
    scratch_write("target", OLD);
    for (int turn = 0; turn < 2; turn++) { /* the second time they are one file already */
        assert_true(path_link_or_copy(sys_real(), "sealed", "target", &err));
        assert_int_equal(inode_of("sealed"), inode_of("target"));
        assert_false(scratch_exists("target.tmp"));
    }
    assert_true(scratch_holds("target", NEW));
    assert_false(path_link_or_copy(sys_real(), "missing", "target", &err));
    assert_int_equal(err.code, ERR_FILE);
    assert_non_null(strstr(err.message, "missing"));
    err_release(&err);
}

static void link_falls_back_to_a_copy(void **state) {
    (void)state;
    static const int errors[] = {EXDEV, EPERM, EMLINK};
    for (size_t index = 0; index < 2 * sizeof errors / sizeof errors[0]; index++) {
        /* The first call links, unless there is a target: then the third does, to a temporary. */
        bool has_target = index % 2 != 0;
        scratch_empty();
        scratch_write("sealed", NEW);
        if (has_target) {
            scratch_write("target", OLD);
        }
        struct fault_sys fault;
        fault_sys_init(&fault, (struct fault_plan){.mode = FAULT_FAIL_ONCE,
                                                   .at = has_target ? 3 : 1,
                                                   .error = errors[index / 2]});
        struct err err = {0};
        assert_true(path_link_or_copy(&fault.sys, "sealed", "target", &err));
        assert_true(scratch_holds("target", NEW));
        assert_int_not_equal(inode_of("sealed"), inode_of("target"));
        fault_sys_release(&fault);
    }
}

static bool link_target(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    bool is_fine = path_link_or_copy(sys, "sealed", "target", &err);
    err_release(&err);
    return is_fine;
}

static void link_leaves_old_or_new_under_every_fault(void **state) {
    (void)state;
    static const struct fault_plan plans[] = {
        {.mode = FAULT_FAIL_ONCE, .error = EIO},      {.mode = FAULT_FAIL_ONCE, .error = EXDEV},
        {.mode = FAULT_FAIL_FROM, .error = ENOSPC},   {.mode = FAULT_DIE, .loss = FAULT_LOSS_NONE},
        {.mode = FAULT_DIE, .loss = FAULT_LOSS_DROP}, {.mode = FAULT_DIE, .loss = FAULT_LOSS_TEAR},
    };
    for (size_t index = 0; index < sizeof plans / sizeof plans[0]; index++) {
        struct fault_plan plan = plans[index];
        enum fault_outcome outcome;
        plan.at = 1;
        do {
            scratch_empty();
            scratch_write("sealed", NEW);
            scratch_write("target", OLD);
            outcome = fault_run(plan, link_target, NULL);
            assert_true(scratch_holds("sealed", NEW));
            assert_true(is_whole("target"));
            if (outcome == FAULT_OUTCOME_FINE || outcome == FAULT_OUTCOME_CALM) {
                assert_true(scratch_holds("target", NEW));
            }
            assert_true(link_target(sys_real(), NULL));
            assert_true(scratch_holds("target", NEW));
            assert_true(scratch_holds("sealed", NEW));
        } while (outcome != FAULT_OUTCOME_CALM && ++plan.at < CALLS_MAX);
        assert_in_range(plan.at, 6, CALLS_MAX - 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(replace_leaves_old_or_new_when_any_call_fails),
        TEST(replace_goes_on_after_signals_and_short_writes),
        TEST(replace_leaves_old_or_new_when_it_dies),
        TEST(commit_reports_path_reason_and_hint),
        TEST(replace_keeps_a_file_that_shares_its_temporary),
        TEST(abort_removes_the_temporary_and_keeps_the_target),
        TEST(link_shares_the_file_and_replaces_what_was_there),
        TEST(link_falls_back_to_a_copy),
        TEST(link_leaves_old_or_new_under_every_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
