#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "support/fault_sys.h"
#include "support/scratch.h"
#include "sys/files.h"

static void assert_file_error(struct err *err, const char *path, const char *reason) {
    assert_int_equal(err->code, ERR_FILE);
    assert_non_null(strstr(err->message, path));
    assert_non_null(strstr(err->message, reason));
    err_release(err);
}

static enum path_kind kind_of(const char *path) {
    struct err err = {0};
    enum path_kind kind = PATH_OTHER;
    assert_true(path_kind(sys_real(), path, &kind, &err));
    return kind;
}

static void paths_have_kinds(void **state) {
    (void)state;
    scratch_write("file", "x");
    assert_int_equal(kind_of("file"), PATH_FILE);
    assert_int_equal(kind_of("."), PATH_DIRECTORY);
    assert_int_equal(kind_of("missing"), PATH_MISSING);
    assert_int_equal(kind_of("file/inside"), PATH_MISSING);
    assert_int_equal(kind_of("/dev/null"), PATH_OTHER);
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_int_equal(kind_of("dangling"), PATH_MISSING);
}

static void folders_are_created_once_and_with_all_above_them(void **state) {
    (void)state;
    struct err err = {0};
    for (int turn = 0; turn < 2; turn++) {
        assert_true(directory_create_all(sys_real(), "a/b//c/", &err));
        assert_true(directory_create_all(sys_real(), "./a/b/d", &err));
        assert_true(directory_create(sys_real(), "e", &err));
    }
    char absolute[FILE_PATH_MAX];
    assert_non_null(getcwd(absolute, sizeof absolute));
    strcat(absolute, "/f/g");
    assert_true(directory_create_all(sys_real(), absolute, &err));
    assert_int_equal(kind_of("a/b/c"), PATH_DIRECTORY);
    assert_int_equal(kind_of("a/b/d"), PATH_DIRECTORY);
    assert_int_equal(kind_of("f/g"), PATH_DIRECTORY);
    assert_false(directory_create(sys_real(), "x/y", &err));
    assert_file_error(&err, "'x/y'", "No such file or directory");
    scratch_write("file", "x");
    assert_false(directory_create(sys_real(), "file", &err));
    assert_file_error(&err, "'file'", "File exists");
    assert_false(directory_create_all(sys_real(), "file/below/it", &err));
    err_release(&err);
    assert_false(directory_create_all(sys_real(), "", &err));
    assert_int_equal(err.code, ERR_FILE);
    err_release(&err);
}

static void names_are_listed_by_their_bytes(void **state) {
    (void)state;
    static const char *const names[] = {"B", "a", "a.b", "a0", "\xC3\xA9", "\xFF"};
    struct err err = {0};
    struct directory_listing listing;
    assert_true(directory_list(sys_real(), ".", &listing, &err));
    assert_int_equal(listing.names_count, 0);
    directory_release(&listing);
    for (size_t index = sizeof names / sizeof names[0]; index > 0; index--) {
        scratch_write(names[index - 1], "x");
    }
    assert_true(directory_list(sys_real(), ".", &listing, &err));
    assert_int_equal(listing.names_count, sizeof names / sizeof names[0]);
    for (size_t index = 0; index < listing.names_count; index++) {
        assert_string_equal(listing.names[index], names[index]);
    }
    directory_release(&listing);
    directory_release(&listing);
    assert_false(directory_list(sys_real(), "missing", &listing, &err));
    assert_file_error(&err, "'missing'", "No such file");
    assert_false(directory_list(sys_real(), "B", &listing, &err));
    assert_file_error(&err, "'B'", "Not a directory");
}

static int requests_left;

static bool fail_when_used_up(void) {
    return requests_left-- == 0;
}

static void a_listing_without_memory_is_reported(void **state) {
    (void)state;
    for (int index = 0; index < 20; index++) {
        char name[32];
        (void)snprintf(name, sizeof name, "name-%d", index);
        scratch_write(name, "x");
    }
    for (int request = 0;; request++) {
        struct err err = {0};
        struct directory_listing listing;
        requests_left = request;
        mem_set_fault(fail_when_used_up);
        bool is_listed = directory_list(sys_real(), ".", &listing, &err);
        mem_set_fault(NULL);
        assert_int_equal(listing.names_count, is_listed ? 20 : 0);
        directory_release(&listing);
        if (is_listed) {
            assert_int_equal(request, 22); /* twenty names and two sizes of the array */
            break;
        }
        assert_int_equal(err.code, ERR_MEMORY);
        err_release(&err);
    }
}

/* --- removing ------------------------------------------------------------------------------- */

static void removing_what_is_missing_is_fine(void **state) {
    (void)state;
    struct err err = {0};
    scratch_write("file", "x");
    assert_true(directory_create_all(sys_real(), "full/empty", &err));
    for (int turn = 0; turn < 2; turn++) {
        assert_true(path_remove(sys_real(), "file", &err));
        assert_true(path_remove(sys_real(), "full/empty", &err));
        assert_true(path_remove_tree(sys_real(), "missing", &err));
    }
    assert_true(directory_create(sys_real(), "full/again", &err));
    assert_false(path_remove(sys_real(), "full", &err));
    assert_file_error(&err, "'full'", "Directory not empty");
}

static void build_tree(void) {
    struct err err = {0};
    assert_true(directory_create_all(sys_real(), "tree/a/b/c", &err));
    assert_true(directory_create_all(sys_real(), "tree/z", &err));
    scratch_write("tree/1", "x");
    scratch_write("tree/a/2", "x");
    scratch_write("tree/a/b/c/3", "x");
    scratch_write("tree/z/4", "x");
    assert_int_equal(symlink("../outside", "tree/a/link"), 0);
    assert_int_equal(symlink("../../outside/kept", "tree/a/b/link"), 0);
}

static bool remove_tree(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    bool is_fine = path_remove_tree(sys, "tree", &err);
    err_release(&err);
    return is_fine;
}

static void a_tree_goes_and_links_are_not_followed(void **state) {
    (void)state;
    struct err err = {0};
    assert_true(directory_create(sys_real(), "outside", &err));
    scratch_write("outside/kept", "kept");
    build_tree();
    assert_true(remove_tree(sys_real(), NULL));
    assert_false(scratch_exists("tree"));
    assert_true(scratch_holds("outside/kept", "kept"));
    assert_int_equal(symlink("outside", "tree"), 0);
    assert_true(remove_tree(sys_real(), NULL));
    assert_int_equal(kind_of("tree"), PATH_MISSING);
    assert_true(scratch_holds("outside/kept", "kept"));
}

static void a_tree_half_removed_can_be_removed(void **state) {
    (void)state;
    struct fault_plan plans[] = {{.mode = FAULT_FAIL_ONCE, .error = EIO},
                                 {.mode = FAULT_FAIL_ONCE, .error = EINTR},
                                 {.mode = FAULT_DIE, .loss = FAULT_LOSS_DROP}};
    for (size_t index = 0; index < sizeof plans / sizeof plans[0]; index++) {
        struct fault_plan plan = plans[index];
        enum fault_outcome outcome = FAULT_OUTCOME_FINE;
        for (plan.at = 1; outcome != FAULT_OUTCOME_CALM; plan.at++) {
            build_tree();
            outcome = fault_run(plan, remove_tree, NULL);
            if (plan.error == EINTR && outcome != FAULT_OUTCOME_CALM) {
                assert_int_equal(outcome, FAULT_OUTCOME_FINE);
                assert_false(scratch_exists("tree"));
            } else if (plan.error == EIO && outcome != FAULT_OUTCOME_CALM) {
                assert_int_equal(outcome, FAULT_OUTCOME_REPORTED);
            }
            assert_true(remove_tree(sys_real(), NULL));
            assert_false(scratch_exists("tree"));
        }
        assert_in_range(plan.at, 20, 30);
    }
}

static void a_tree_too_deep_is_refused(void **state) {
    (void)state;
    struct err err = {0};
    char path[FILE_PATH_MAX] = "tree";
    for (int depth = 1; depth < 32; depth++) {
        strcat(path, "/d");
    }
    assert_true(directory_create_all(sys_real(), path, &err));
    assert_true(path_remove_tree(sys_real(), "tree", &err));
    assert_int_equal(kind_of("tree"), PATH_MISSING);
    strcat(path, "/d");
    assert_true(directory_create_all(sys_real(), path, &err));
    assert_false(path_remove_tree(sys_real(), "tree", &err));
    assert_file_error(&err, "tree/d/d", "more than 32 folders deep");
    assert_true(path_remove_tree(sys_real(), "tree/d", &err));
}

/* --- folders that must survive -------------------------------------------------------------- */

static bool create_and_fill(const struct sys *sys, void *context) {
    (void)context;
    struct err err = {0};
    bool is_fine = directory_create_all(sys, "run/10-extract", &err) &&
                   file_replace(sys, "run/10-extract/orgs", text_from("orgs"), &err) &&
                   file_replace(sys, "run/manifest", text_from("extract is done"), &err);
    err_release(&err);
    return is_fine;
}

/* One call more than the work, so that the power can go after success was reported. */
static bool create_fill_and_go_on(const struct sys *sys, void *context) {
    struct err err = {0};
    enum path_kind kind;
    return create_and_fill(sys, context) && path_kind(sys, "run", &kind, &err);
}

static void what_is_made_durable_in_a_new_folder_can_be_found(void **state) {
    (void)state;
    struct fault_plan plan = {.mode = FAULT_DIE, .at = 1, .loss = FAULT_LOSS_DROP};
    for (;; plan.at++) {
        scratch_empty();
        enum fault_outcome outcome = fault_run(plan, create_and_fill, NULL);
        if (scratch_exists("run/manifest")) {
            assert_true(scratch_holds("run/10-extract/orgs", "orgs"));
        }
        if (outcome == FAULT_OUTCOME_CALM) {
            assert_true(scratch_exists("run/manifest"));
            break;
        }
        assert_true(create_and_fill(sys_real(), NULL));
    }
    assert_in_range(plan.at, 20, 60);
    scratch_empty();
    assert_int_equal(fault_run(plan, create_fill_and_go_on, NULL), FAULT_OUTCOME_DIED);
    assert_true(scratch_holds("run/manifest", "extract is done"));
    assert_true(scratch_holds("run/10-extract/orgs", "orgs"));
}

static void a_rename_that_fails_names_both(void **state) {
    (void)state;
    struct err err = {0};
    assert_false(path_rename(sys_real(), "missing", "other", &err));
    assert_non_null(strstr(err.message, "'other'"));
    assert_file_error(&err, "'missing'", "No such file");
    scratch_write("file", "x");
    assert_true(path_rename(sys_real(), "file", "other", &err));
    assert_true(directory_sync_parent(sys_real(), "other", &err));
    assert_true(scratch_holds("other", "x"));
    assert_false(directory_sync(sys_real(), "other", &err));
    assert_file_error(&err, "'other'", "Not a directory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(paths_have_kinds),
        TEST(folders_are_created_once_and_with_all_above_them),
        TEST(names_are_listed_by_their_bytes),
        TEST(a_listing_without_memory_is_reported),
        TEST(removing_what_is_missing_is_fine),
        TEST(a_tree_goes_and_links_are_not_followed),
        TEST(a_tree_half_removed_can_be_removed),
        TEST(a_tree_too_deep_is_refused),
        TEST(what_is_made_durable_in_a_new_folder_can_be_found),
        TEST(a_rename_that_fails_names_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
