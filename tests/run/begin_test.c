#include "small_pipeline.h"
#include "support/assert_done.h"
#include "support/scratch.h"

static struct run *open_run(enum run_mode mode) {
    struct err err = {0};
    struct run *run;
    assert_done(run_open(sys_real(), "in/run", small_list, mode, &run, &err), &err);
    return run;
}

static void begin_with(const char *period) {
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    struct run *run = open_run(RUN_REPLACE);
    assert_done(run_pin(run, PIN_OPTION, "period", period, true, &err), &err);
    assert_done(run_begin(run, moved_to, &err), &err);
    run_close(run);
}

static void assert_period(const char *path, const char *period) {
    struct err err = {0};
    struct run *run;
    assert_done(run_open(sys_real(), path, small_list, RUN_STATUS, &run, &err), &err);
    assert_string_equal(run_pinned(run, PIN_OPTION, "period"), period);
    run_close(run);
}

static void what_is_only_prepared_writes_nothing(void **state) {
    (void)state;
    struct err err = {0};
    struct run *run = open_run(RUN_PREPARE);
    assert_true(run_is_new(run));
    assert_done(run_pin(run, PIN_OPTION, "period", "2026-09", true, &err), &err);
    run_close(run);
    run_close(open_run(RUN_REPLACE));
    assert_false(scratch_exists("in"));
}

static void a_run_comes_to_be_with_what_is_pinned(void **state) {
    (void)state;
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    struct run *run = open_run(RUN_PREPARE);
    assert_done(run_pin(run, PIN_OPTION, "period", "2026-09", true, &err), &err);
    assert_done(run_begin(run, moved_to, &err), &err);
    assert_string_equal(moved_to, "");
    assert_false(run_is_new(run));
    assert_period("in/run", "2026-09");
    assert_fails(run_move_aside(sys_real(), "in/run", small_list, moved_to, &err), &err, ERR_LOCKED,
                 "in use");
    assert_done(run_begin(run, moved_to, &err), &err); /* again: nothing */
    run_close(run);
    run = open_run(RUN_PREPARE);
    assert_false(run_is_new(run));
    run_close(run);
}

static void a_run_in_the_place_of_another_leaves_it_until_it_begins(void **state) {
    (void)state;
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    begin_with("2026-09");
    struct run *run = open_run(RUN_REPLACE);
    assert_true(run_is_new(run));
    assert_null(run_pinned(run, PIN_OPTION, "period"));
    assert_done(run_pin(run, PIN_OPTION, "period", "2026-10", true, &err), &err);
    assert_period("in/run", "2026-09");
    assert_false(scratch_exists("in/run.1"));
    assert_done(run_begin(run, moved_to, &err), &err);
    assert_string_equal(moved_to, "in/run.1");
    run_close(run);
    assert_period("in/run", "2026-10");
    assert_period("in/run.1", "2026-09");
}

static void a_damaged_run_is_replaced_and_other_files_are_not(void **state) {
    (void)state;
    begin_with("2026-09");
    scratch_write("in/run/manifest.json", "torn");
    begin_with("2026-10");
    assert_period("in/run", "2026-10");
    assert_true(scratch_holds("in/run.1/manifest.json", "torn"));
    struct err err = {0};
    struct run *run;
    scratch_write("in/letter.txt", "precious");
    assert_fails(run_open(sys_real(), "in", small_list, RUN_REPLACE, &run, &err), &err,
                 ERR_MISMATCH, "not a run directory");
    assert_false(scratch_exists("in/lock"));
}

static void the_slower_of_two_starts_is_told(void **state) {
    (void)state;
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    struct run *slow = open_run(RUN_PREPARE);
    struct run *fast = open_run(RUN_PREPARE);
    assert_done(run_pin(slow, PIN_OPTION, "period", "2026-10", true, &err), &err);
    assert_done(run_pin(fast, PIN_OPTION, "period", "2026-09", true, &err), &err);
    assert_done(run_begin(fast, moved_to, &err), &err);
    assert_fails(run_begin(slow, moved_to, &err), &err, ERR_LOCKED, "in use");
    run_close(fast);
    assert_fails(run_begin(slow, moved_to, &err), &err, ERR_LOCKED, "another start has begun");
    run_close(slow);
    assert_period("in/run", "2026-09");
}

static void what_a_death_left_before_its_manifest_is_begun_in(void **state) {
    (void)state;
    struct err err = {0};
    assert_done(directory_create_all(sys_real(), "in/run", &err), &err);
    scratch_write("in/run/lock", "");
    scratch_write("in/run/manifest.json.tmp", "half");
    begin_with("2026-09");
    assert_period("in/run", "2026-09");
    assert_false(scratch_exists("in/run/manifest.json.tmp"));
    assert_false(scratch_exists("in/run.1"));
}

static void only_what_changed_is_saved(void **state) {
    (void)state;
    struct err err = {0};
    begin_with("2026-09");
    struct run *run = open_run(RUN_PREPARE);
    assert_done(path_remove(sys_real(), "in/run/manifest.json", &err), &err);
    assert_done(run_pin(run, PIN_OPTION, "period", "2026-09", true, &err), &err);
    assert_done(run_save_changes(run, &err), &err);
    assert_false(scratch_exists("in/run/manifest.json"));
    assert_done(run_pin_anew(run, "source", "/srv/shop", &err), &err);
    assert_done(run_save_changes(run, &err), &err);
    assert_true(scratch_exists("in/run/manifest.json"));
    assert_done(path_remove(sys_real(), "in/run/manifest.json", &err), &err);
    assert_done(run_pin_anew(run, "source", "/srv/shop", &err), &err);
    assert_done(run_pin_anew(run, "nothing", NULL, &err), &err);
    assert_done(run_save_changes(run, &err), &err);
    assert_false(scratch_exists("in/run/manifest.json"));
    assert_done(run_pin_anew(run, "source", NULL, &err), &err);
    assert_done(run_save_changes(run, &err), &err);
    run_close(run);
    run = open_run(RUN_STATUS);
    assert_null(run_pinned(run, PIN_VERSION, "source"));
    run_close(run);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_only_prepared_writes_nothing),
        TEST(a_run_comes_to_be_with_what_is_pinned),
        TEST(a_run_in_the_place_of_another_leaves_it_until_it_begins),
        TEST(a_damaged_run_is_replaced_and_other_files_are_not),
        TEST(the_slower_of_two_starts_is_told),
        TEST(what_a_death_left_before_its_manifest_is_begun_in),
        TEST(only_what_changed_is_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
