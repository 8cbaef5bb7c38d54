/* The simulator itself: each body ends with a call that it does not survive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "support/fault_sys.h"
#include "support/scratch.h"
#include "sys/files.h"
#include "sys/process.h"

typedef bool body_function(const struct sys *sys, void *context);

/* The last call of every body; it is the one that never happens. */
static bool last_call(const struct sys *sys) {
    struct err err = {0};
    enum path_kind kind;
    return path_kind(sys, "nowhere", &kind, &err);
}

static void cut_power_at_last_call(body_function *body, void (*prepare)(void),
                                   enum fault_loss loss) {
    static const char *const spared[] = {"spill", NULL};
    scratch_empty();
    prepare();
    struct fault_sys counting;
    fault_sys_init(&counting, (struct fault_plan){.mode = FAULT_NONE});
    assert_true(body(&counting.sys, NULL));
    struct fault_plan plan = {
        .mode = FAULT_DIE, .at = fault_sys_calls(&counting), .loss = loss, .may_be_lost = spared};
    fault_sys_release(&counting);
    scratch_empty();
    prepare();
    assert_int_equal(fault_run(plan, body, NULL), FAULT_OUTCOME_DIED);
}

static void prepare_file(void) {
    scratch_write("file", "0123456789");
}

/* --- bytes ---------------------------------------------------------------------------------- */

static bool write_at(const struct sys *sys, uint64_t offset, const char *bytes, bool is_synced) {
    struct err err = {0};
    struct file file;
    return file_open_update(sys, "file", &file, &err) &&
           file_write_at(&file, offset, bytes, strlen(bytes), &err) &&
           (!is_synced || file_sync(&file, &err)) && file_close(&file, &err);
}

static bool append_without_sync(const struct sys *sys, void *context) {
    (void)context;
    return write_at(sys, 10, "abcdefgh", false) && last_call(sys);
}

static bool append_with_sync(const struct sys *sys, void *context) {
    (void)context;
    return write_at(sys, 10, "abcdefgh", true) && last_call(sys);
}

static bool append_synced_then_more(const struct sys *sys, void *context) {
    (void)context;
    return write_at(sys, 10, "abcd", true) && write_at(sys, 14, "efghij", false) && last_call(sys);
}

static bool overwrite_without_sync(const struct sys *sys, void *context) {
    (void)context;
    return write_at(sys, 10, "ab", false) && write_at(sys, 2, "WXYZ", false) && last_call(sys);
}

static bool truncate_without_sync(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    struct file file;
    return file_create(sys, "file", &file, &err) && file_append(&file, "ABCDEF", 6, &err) &&
           file_close(&file, &err) && last_call(sys);
}

static bool cut_without_sync(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    struct file file;
    return file_open_update(sys, "file", &file, &err) && file_truncate(&file, 3, &err) &&
           file_close(&file, &err) && last_call(sys);
}

static void a_cut_drops_or_tears_unsynced_bytes(void **state) {
    (void)state;
    static const struct {
        body_function *body;
        const char *calm;
        const char *dropped;
        const char *torn;
    } cases[] = {
        {append_without_sync, "0123456789abcdefgh", "0123456789", "0123456789abcd"},
        {append_with_sync, "0123456789abcdefgh", "0123456789abcdefgh", "0123456789abcdefgh"},
        {append_synced_then_more, "0123456789abcdefghij", "0123456789abcd", "0123456789abcdefg"},
        {overwrite_without_sync, "01WXYZ6789ab", "0123456789", "01WXYZ6789"},
        {truncate_without_sync, "ABCDEF", "0123456789", "ABC3456789"},
        {cut_without_sync, "012", "0123456789", "0123456789"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        cut_power_at_last_call(cases[index].body, prepare_file, FAULT_LOSS_NONE);
        assert_true(scratch_holds("file", cases[index].calm));
        cut_power_at_last_call(cases[index].body, prepare_file, FAULT_LOSS_DROP);
        assert_true(scratch_holds("file", cases[index].dropped));
        cut_power_at_last_call(cases[index].body, prepare_file, FAULT_LOSS_TEAR);
        assert_true(scratch_holds("file", cases[index].torn));
    }
}

/* --- names ---------------------------------------------------------------------------------- */

static bool rename_over(const struct sys *sys, bool is_content_synced, bool is_folder_synced) {
    struct err err = {0};
    struct file file;
    return file_create(sys, "new", &file, &err) && file_append(&file, "fresh", 5, &err) &&
           (!is_content_synced || file_sync(&file, &err)) && file_close(&file, &err) &&
           path_rename(sys, "new", "file", &err) &&
           (!is_folder_synced || directory_sync(sys, ".", &err)) && last_call(sys);
}

static bool rename_with_no_sync(const struct sys *sys, void *context) {
    (void)context;
    return rename_over(sys, false, false);
}

static bool rename_with_folder_synced(const struct sys *sys, void *context) {
    (void)context;
    return rename_over(sys, false, true);
}

static bool rename_with_content_synced(const struct sys *sys, void *context) {
    (void)context;
    return rename_over(sys, true, false);
}

static bool rename_with_both_synced(const struct sys *sys, void *context) {
    (void)context;
    return rename_over(sys, true, true);
}

static void a_cut_undoes_an_unsynced_rename(void **state) {
    (void)state;
    static const struct {
        body_function *body;
        const char *after;
    } cases[] = {
        {rename_with_no_sync, "0123456789"},
        {rename_with_folder_synced, ""}, /* the name is there, what it names is not */
        {rename_with_content_synced, "0123456789"},
        {rename_with_both_synced, "fresh"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        cut_power_at_last_call(cases[index].body, prepare_file, FAULT_LOSS_DROP);
        assert_true(scratch_holds("file", cases[index].after));
        assert_false(scratch_exists("new"));
        cut_power_at_last_call(cases[index].body, prepare_file, FAULT_LOSS_NONE);
        assert_true(scratch_holds("file", "fresh"));
    }
}

static void prepare_tree(void) {
    struct err err = {0};
    prepare_file();
    assert_true(directory_create_all(sys_real(), "tree/branch", &err));
    scratch_write("tree/leaf", "green");
    scratch_write("tree/branch/leaf", "brown");
}

static bool change_names_without_sync(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    struct file file;
    return path_remove(sys, "file", &err) && sys->link(sys->self, "tree/leaf", "second") == 0 &&
           path_remove_tree(sys, "tree", &err) && sys->mkdir(sys->self, "folder", 0755) == 0 &&
           file_replace(sys, "folder/kept", text_from("synced in vain"), &err) &&
           file_create(sys, "empty", &file, &err) && file_close(&file, &err) && last_call(sys);
}

static bool change_names_with_sync(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    struct file file;
    return path_remove(sys, "file", &err) && sys->link(sys->self, "tree/leaf", "second") == 0 &&
           path_remove_tree(sys, "tree", &err) && directory_create(sys, "folder", &err) &&
           file_replace(sys, "folder/kept", text_from("synced"), &err) &&
           file_create(sys, "empty", &file, &err) && file_close(&file, &err) &&
           directory_sync(sys, ".", &err) && last_call(sys);
}

static void a_cut_undoes_all_unsynced_names(void **state) {
    (void)state;
    cut_power_at_last_call(change_names_without_sync, prepare_tree, FAULT_LOSS_DROP);
    assert_true(scratch_holds("file", "0123456789"));
    assert_true(scratch_holds("tree/leaf", "green"));
    assert_true(scratch_holds("tree/branch/leaf", "brown"));
    assert_false(scratch_exists("second"));
    assert_false(scratch_exists("folder"));
    assert_false(scratch_exists("empty"));

    cut_power_at_last_call(change_names_with_sync, prepare_tree, FAULT_LOSS_DROP);
    assert_false(scratch_exists("file"));
    assert_false(scratch_exists("tree"));
    assert_true(scratch_holds("second", "green"));
    assert_true(scratch_holds("folder/kept", "synced"));
    assert_true(scratch_holds("empty", ""));
}

/* A folder moves for good while a name inside it is not synced. */
static bool move_folder(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    struct file file;
    return file_create(sys, "tree/fresh", &file, &err) && file_close(&file, &err) &&
           path_rename(sys, "tree", "moved", &err) && directory_sync(sys, ".", &err) &&
           last_call(sys);
}

static void a_cut_finds_names_in_a_moved_folder(void **state) {
    (void)state;
    cut_power_at_last_call(move_folder, prepare_tree, FAULT_LOSS_DROP);
    assert_false(scratch_exists("tree"));
    assert_true(scratch_holds("moved/leaf", "green"));
    assert_false(scratch_exists("moved/fresh"));
}

static bool spill(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    struct file file;
    return sys->mkdir(sys->self, "spill", 0755) == 0 && file_create(sys, "spill/0", &file, &err) &&
           file_append(&file, "scratch", 7, &err) && file_close(&file, &err) && last_call(sys);
}

static void a_cut_spares_what_may_be_lost(void **state) {
    (void)state;
    cut_power_at_last_call(spill, prepare_file, FAULT_LOSS_DROP);
    assert_true(scratch_holds("spill/0", "scratch"));
}

/* --- fault_sys ------------------------------------------------------------------------------ */

static void an_injected_close_still_closes(void **state) {
    (void)state;
    prepare_file();
    struct err err = {0};
    struct fault_sys fault;
    fault_sys_init(&fault, (struct fault_plan){.mode = FAULT_FAIL_ONCE, .at = 2, .error = EIO});
    struct file file;
    assert_true(file_open_read(&fault.sys, "file", &file, &err));
    int fd = file.fd;
    assert_false(file_close(&file, &err));
    assert_int_equal(err.code, ERR_FILE);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_true(fault_sys_fired(&fault));
    err_release(&err);
    fault_sys_release(&fault);
}

static void calls_are_counted_and_the_clock_is_not(void **state) {
    (void)state;
    prepare_file();
    struct fault_sys fault;
    fault_sys_init(&fault, (struct fault_plan){.mode = FAULT_NONE});
    assert_true(fault.sys.now_us(fault.sys.self) > 0);
    assert_true(fault.sys.monotonic_us(fault.sys.self) > 0);
    assert_int_equal(fault_sys_calls(&fault), 0);
    assert_true(last_call(&fault.sys));
    assert_true(last_call(&fault.sys));
    assert_int_equal(fault_sys_calls(&fault), 2);
    assert_false(fault_sys_fired(&fault));
    fault_sys_release(&fault);
}

static bool write_one_of_several(void *context, size_t index, struct err *err) {
    char path[FILE_PATH_MAX];
    return path_format(path, err, "part-%zu", index) &&
           file_replace(context, path, text_from("part"), err);
}

static bool write_several(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    bool is_fine = process_parallel(4, 12, write_one_of_several, (void *)(uintptr_t)sys, &err);
    err_release(&err);
    return is_fine;
}

static void several_threads_survive_it(void **state) {
    (void)state;
    for (uint64_t at = 1;; at += 7) {
        scratch_empty();
        struct fault_plan plan = {.mode = FAULT_DIE, .at = at, .loss = FAULT_LOSS_DROP};
        enum fault_outcome outcome = fault_run(plan, write_several, NULL);
        for (int part = 0; part < 12; part++) {
            char path[32];
            (void)snprintf(path, sizeof path, "part-%d", part);
            assert_true(scratch_holds(path, "part") || !scratch_exists(path));
        }
        if (outcome == FAULT_OUTCOME_CALM) {
            break;
        }
        assert_int_equal(outcome, FAULT_OUTCOME_DIED);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_cut_drops_or_tears_unsynced_bytes),    TEST(a_cut_undoes_an_unsynced_rename),
        TEST(a_cut_undoes_all_unsynced_names),        TEST(a_cut_finds_names_in_a_moved_folder),
        TEST(a_cut_spares_what_may_be_lost),          TEST(an_injected_close_still_closes),
        TEST(calls_are_counted_and_the_clock_is_not), TEST(several_threads_survive_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
