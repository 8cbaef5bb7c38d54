#include "small_pipeline.h"
#include "support/assert_done.h"
#include "support/scratch.h"

static const struct run_options one_job = {.jobs = 1};

static void run_fine(const char *path, const struct stage *until) {
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    struct run_options options = {.jobs = 1, .until = until};
    assert_done(small_run(sys_real(), path, &options, &session, &err), &err);
}

static struct run *open_run(const char *path, enum run_mode mode) {
    struct err err = {0};
    struct run *run;
    assert_done(run_open(sys_real(), path, small_list, mode, &run, &err), &err);
    return run;
}

/* What the command `replay` does; rate 0: none is replaced. */
static bool replay(const char *origin, const char *path, const struct stage *from, int rate,
                   struct err *err) {
    static const struct table_schema *const replaced[] = {&small_rates};
    struct stage_session session = SMALL_SESSION;
    struct run *run = open_run(origin, RUN_STATUS);
    struct run *made;
    bool is_fine = run_replay(run, path, from, replaced, rate != 0, &made, err);
    run_close(run);
    if (!is_fine) {
        return false;
    }
    if (rate != 0) {
        struct table_writer *writer;
        assert_done(run_replay_create(made, &small_rates, &writer, err), err);
        assert_done(small_put(writer, "rate", small_decimal(rate), err), err);
        is_fine = run_replay_commit(made, &small_rates, writer, err);
    }
    is_fine = is_fine && run_execute(made, &one_job, &session, err);
    assert_int_equal(session.sent_count, 0);
    run_close(made);
    return is_fine;
}

/* Describes without the run id, which a replay has its own of. */
static struct text describe(const char *path, struct buffer *text) {
    struct err err = {0};
    assert_done(small_describe(path, text, &err), &err);
    size_t skipped = (size_t)((char *)memchr(text->bytes, '\n', text->size_bytes) - text->bytes);
    return (struct text){text->bytes + skipped, text->size_bytes - skipped};
}

static void assert_same_files(const char *left_path, const char *right_path, bool is_same) {
    struct buffer left = {0};
    struct buffer right = {0};
    assert_int_equal(text_equals(describe(left_path, &left), describe(right_path, &right)),
                     is_same);
    buffer_release(&left);
    buffer_release(&right);
}

static void a_replay_from_any_stage_gives_the_same_files(void **state) {
    (void)state;
    run_fine("run", NULL);
    struct err err = {0};
    for (size_t index = 1; index < SMALL_STAGES_COUNT; index++) {
        char path[32];
        (void)snprintf(path, sizeof path, "replay-%zu", index);
        assert_done(replay("run", path, small_stages[index], 0, &err), &err);
        assert_same_files("run", path, true);
    }
    struct run *origin = open_run("run", RUN_STATUS);
    struct run *made = open_run("replay-2", RUN_STATUS);
    assert_true(run_is_replay(made));
    assert_false(run_is_replay(origin));
    assert_string_equal(run_replay_origin(made), run_id(origin));
    assert_string_not_equal(run_id(made), run_id(origin));
    assert_string_equal(run_pinned(made, PIN_OPTION, "period"), "2026-09");
    run_close(made);
    run_close(origin);
}

static void a_replay_of_a_replay_is_one_too(void **state) {
    (void)state;
    run_fine("run", NULL);
    struct err err = {0};
    assert_done(replay("run", "first", &small_multiply_stage, 0, &err), &err);
    assert_done(replay("first", "second", &small_add_stage, 0, &err), &err);
    assert_same_files("run", "second", true);
    struct run *first = open_run("first", RUN_STATUS);
    struct run *second = open_run("second", RUN_STATUS);
    assert_string_equal(run_replay_origin(second), run_id(first));
    run_close(second);
    run_close(first);
}

static void other_rates_answer_what_if_and_leave_the_origin_alone(void **state) {
    (void)state;
    run_fine("run", NULL);
    run_fine("untouched", NULL);
    struct err err = {0};
    assert_done(replay("run", "what-if", &small_multiply_stage, 9, &err), &err);
    /* 9 x (11 + … + 17) and 9 x (111 + … + 117) */
    assert_true(scratch_holds("what-if/reports/total.csv", "amount\n882\n7182\n"));
    assert_same_files("run", "what-if", false);
    assert_same_files("run", "untouched", true);
    /* The same rates give the same files. */
    assert_done(replay("run", "same", &small_multiply_stage, 7, &err), &err);
    assert_same_files("run", "same", true);
}

static void the_same_replay_typed_again_goes_on_and_another_is_refused(void **state) {
    (void)state;
    run_fine("run", NULL);
    struct err err = {0};
    assert_done(replay("run", "what-if", &small_multiply_stage, 9, &err), &err);
    assert_done(replay("run", "what-if", &small_multiply_stage, 9, &err), &err);
    assert_fails(replay("run", "what-if", &small_multiply_stage, 8, &err), &err, ERR_MISMATCH,
                 "10-gather/rates.arrow");
    assert_fails(replay("run", "what-if", &small_multiply_stage, 0, &err), &err, ERR_MISMATCH,
                 "10-gather/rates.arrow");
    assert_fails(replay("run", "what-if", &small_add_stage, 0, &err), &err, ERR_MISMATCH,
                 "from 'multiply', now a replay of");
    assert_fails(replay("run", "run", &small_add_stage, 0, &err), &err, ERR_MISMATCH,
                 "was begun as a run");
    assert_true(scratch_holds("what-if/reports/total.csv", "amount\n882\n7182\n"));
    run_close(open_run("what-if", RUN_INSPECT));
}

static void a_replay_whose_tables_were_not_all_written_does_not_go_on(void **state) {
    (void)state;
    run_fine("run", NULL);
    struct err err = {0};
    static const struct table_schema *const replaced[] = {&small_rates};
    struct stage_session session = SMALL_SESSION;
    struct run *run = open_run("run", RUN_INSPECT);
    struct run *made;
    assert_done(run_replay(run, "half", &small_multiply_stage, replaced, 1, &made, &err), &err);
    run_close(run);
    /* Inputs of its own may be pinned now, and not later. */
    assert_done(run_pin(made, PIN_INPUT, "other rates", "aa", true, &err), &err);
    assert_fails(run_execute(made, &one_job, &session, &err), &err, ERR_MISMATCH, "not finished");
    run_close(made);
    made = open_run("half", RUN_CREATE);
    assert_true(run_is_replay(made));
    assert_fails(run_execute(made, &one_job, &session, &err), &err, ERR_MISMATCH, "not finished");
    run_close(made);
    assert_done(replay("run", "half", &small_multiply_stage, 9, &err), &err);
    assert_true(scratch_holds("half/reports/total.csv", "amount\n882\n7182\n"));
}

static void a_damaged_run_is_replayed_from_the_stage_that_left_the_damage(void **state) {
    (void)state;
    run_fine("run", NULL);
    run_fine("calm", NULL);
    scratch_write("run/30-add/sums.arrow", "torn");
    struct err err = {0};
    assert_fails(replay("run", "late", &small_send_stage, 0, &err), &err, ERR_DAMAGED,
                 "run/30-add/sums.arrow");
    assert_false(scratch_exists("late"));
    assert_done(replay("run", "new", &small_add_stage, 0, &err), &err);
    assert_same_files("calm", "new", true);
}

static void a_replay_needs_the_stages_before_it(void **state) {
    (void)state;
    run_fine("run", &small_gather_stage);
    struct err err = {0};
    assert_fails(replay("run", "new", &small_add_stage, 0, &err), &err, ERR_MISMATCH,
                 "stage 'multiply' is not done in 'run'");
    assert_fails(replay("run", "new", &small_gather_stage, 0, &err), &err, ERR_USAGE,
                 "cannot begin at 'gather'");
    assert_done(replay("run", "new", &small_multiply_stage, 0, &err), &err);
}

/* --- moving aside --------------------------------------------------------------------------- */

static void a_run_is_moved_aside_to_the_first_free_name(void **state) {
    (void)state;
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    assert_done(run_move_aside(sys_real(), "run", small_list, moved_to, &err), &err);
    assert_string_equal(moved_to, "");
    for (int number = 1; number <= 3; number++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "run.%d", number);
        run_fine("run", &small_multiply_stage);
        assert_done(run_move_aside(sys_real(), "run//", small_list, moved_to, &err), &err);
        assert_string_equal(moved_to, expected);
        assert_false(scratch_exists("run"));
        struct run *run = open_run(moved_to, RUN_INSPECT);
        assert_ptr_equal(run_next_stage(run), &small_add_stage);
        run_close(run);
    }
    run_fine("run", NULL);
}

static void a_damaged_run_can_be_moved_aside(void **state) {
    (void)state;
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    run_fine("run", NULL);
    scratch_write("run/manifest.json", "torn");
    assert_done(run_move_aside(sys_real(), "run", small_list, moved_to, &err), &err);
    assert_string_equal(moved_to, "run.1");
    run_fine("run", NULL);
    assert_done(path_remove(sys_real(), "run/manifest.json", &err), &err);
    assert_done(run_move_aside(sys_real(), "run", small_list, moved_to, &err), &err);
    assert_string_equal(moved_to, "run.2");
}

static void a_run_that_has_not_begun_stays_where_it_is(void **state) {
    (void)state;
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    assert_done(directory_create_all(sys_real(), "run/lost+found", &err), &err);
    assert_done(run_move_aside(sys_real(), "run", small_list, moved_to, &err), &err);
    assert_string_equal(moved_to, "");
    run_fine("run", NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_replay_from_any_stage_gives_the_same_files),
        TEST(a_replay_of_a_replay_is_one_too),
        TEST(other_rates_answer_what_if_and_leave_the_origin_alone),
        TEST(the_same_replay_typed_again_goes_on_and_another_is_refused),
        TEST(a_replay_whose_tables_were_not_all_written_does_not_go_on),
        TEST(a_damaged_run_is_replayed_from_the_stage_that_left_the_damage),
        TEST(a_replay_needs_the_stages_before_it),
        TEST(a_run_is_moved_aside_to_the_first_free_name),
        TEST(a_damaged_run_can_be_moved_aside),
        TEST(a_run_that_has_not_begun_stays_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
