#include <signal.h>

#include "small_pipeline.h"
#include "support/assert_done.h"
#include "support/scratch.h"

static const struct run_options one_job = {.jobs = 1};

static void run_fine(const char *path, const struct run_options *options) {
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    assert_done(small_run(sys_real(), path, options, &session, &err), &err);
}

static void assert_same_runs(const char *left_path, const char *right_path) {
    struct err err = {0};
    struct buffer left = {0};
    struct buffer right = {0};
    assert_done(small_describe(left_path, &left, &err), &err);
    assert_done(small_describe(right_path, &right, &err), &err);
    assert_true(left.size_bytes > 500);
    assert_true(text_equals(buffer_text(&left), buffer_text(&right)));
    buffer_release(&left);
    buffer_release(&right);
}

static void a_run_leaves_every_table_and_its_reports(void **state) {
    (void)state;
    run_fine("calm", &one_job);
    static const char *const files[] = {"calm/manifest.json",
                                        "calm/lock",
                                        "calm/10-gather/amounts.arrow",
                                        "calm/10-gather/amounts.1.arrow",
                                        "calm/10-gather/rates.arrow",
                                        "calm/20-multiply/products.arrow",
                                        "calm/20-multiply/products.1.arrow",
                                        "calm/30-add/sums.arrow",
                                        "calm/30-add/sums.1.arrow",
                                        "calm/30-add/marks.arrow",
                                        "calm/40-send/outcomes.arrow",
                                        "calm/reports/total.csv"};
    for (size_t index = 0; index < sizeof files / sizeof files[0]; index++) {
        assert_true(scratch_exists(files[index]));
    }
    assert_false(scratch_exists("calm/scratch"));
    assert_false(scratch_exists("calm/progress.json"));
    assert_false(scratch_exists("calm/30-add/marks.1.arrow"));
    /* 7 x (11 + … + 17) and 7 x (111 + … + 117) */
    assert_true(scratch_holds("calm/reports/total.csv", "amount\n686\n5586\n"));
}

static void a_run_goes_on_after_every_stage(void **state) {
    (void)state;
    run_fine("calm", &one_job);
    for (size_t first = 0; first < SMALL_STAGES_COUNT; first++) {
        struct err err = {0};
        assert_done(path_remove_tree(sys_real(), "again", &err), &err);
        struct run_options options = {.jobs = 1, .until = small_stages[first]};
        run_fine("again", &options);
        struct run *run;
        assert_done(run_open(sys_real(), "again", small_list, RUN_STATUS, &run, &err), &err);
        for (size_t index = 0; index < SMALL_STAGES_COUNT; index++) {
            assert_int_equal(run_stage_is_done(run, small_stages[index]), index <= first);
        }
        assert_ptr_equal(run_next_stage(run),
                         first + 1 < SMALL_STAGES_COUNT ? small_stages[first + 1] : NULL);
        assert_non_null(run_id(run));
        run_close(run);
        run_fine("again", &one_job);
        assert_same_runs("calm", "again");
    }
}

static void the_bytes_do_not_depend_on_the_number_of_jobs(void **state) {
    (void)state;
    run_fine("one", &one_job);
    run_fine("four", &(struct run_options){.jobs = 4});
    assert_same_runs("one", "four");
}

static void a_pure_table_says_what_it_was_computed_from(void **state) {
    (void)state;
    run_fine("calm", &one_job);
    struct err err = {0};
    struct run *run;
    assert_done(run_open(sys_real(), "calm", small_list, RUN_INSPECT, &run, &err), &err);
    size_t files_count;
    const struct run_file *files = run_stage_files(run, &small_gather_stage, &files_count);
    assert_int_equal(files_count, 3);
    assert_string_equal(files[0].path, "10-gather/amounts.1.arrow");
    char amounts[DIGEST_TEXT_MAX];
    char rates[DIGEST_TEXT_MAX];
    digest_format(&files[0].digest, amounts);
    digest_format(&files[2].digest, rates);
    char lines[256];
    (void)snprintf(lines, sizeof lines, "%s  amounts.1.arrow\n%s  rates.arrow\n", amounts, rates);
    struct digest digest;
    char expected[DIGEST_TEXT_MAX];
    assert_done(digest_of(lines, strlen(lines), &digest, &err), &err);
    digest_format(&digest, expected);
    struct table *products;
    assert_done(run_input_open(run, &small_products, 1, &products, &err), &err);
    assert_string_equal(table_metadata_value(products, "input_sha256"), expected);
    assert_string_equal(table_metadata_value(products, "stage"), "multiply");
    assert_string_equal(table_metadata_value(products, "stage_version"), "3");
    table_close(products);
    struct table *gathered;
    assert_done(run_input_open(run, &small_rates, 0, &gathered, &err), &err);
    assert_null(table_metadata_value(gathered, "input_sha256"));
    table_close(gathered);
    run_close(run);
}

static void a_stage_that_fails_is_not_sealed_and_is_done_again(void **state) {
    (void)state;
    run_fine("calm", &one_job);
    static const char *const failing[] = {"gather", "send", "tell"};
    for (size_t index = 0; index < 3; index++) {
        struct err err = {0};
        assert_done(path_remove_tree(sys_real(), "again", &err), &err);
        struct stage_session session = SMALL_SESSION;
        session.failing_stage = failing[index];
        assert_fails(small_run(sys_real(), "again", &one_job, &session, &err), &err, ERR_DATABASE,
                     failing[index]);
        struct run *run;
        assert_done(run_open(sys_real(), "again", small_list, RUN_STATUS, &run, &err), &err);
        assert_string_equal(run_next_stage(run)->name, failing[index]);
        /* What the failed stage pinned is not kept. */
        assert_int_equal(run_pinned(run, PIN_INPUT, "amounts.csv") == NULL, index == 0);
        assert_int_equal(run_shards_count(run), index == 0 ? 0 : SMALL_SHARDS);
        run_close(run);
        run_fine("again", &one_job);
        assert_same_runs("calm", "again");
    }
}

static void totals_that_do_not_agree_stop_the_run(void **state) {
    (void)state;
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    session.unequal_stage = "send";
    assert_fails(small_run(sys_real(), "again", &one_job, &session, &err), &err, ERR_CONTROL,
                 "3 on the left, 0 on the right");
    struct run *run;
    assert_done(run_open(sys_real(), "again", small_list, RUN_STATUS, &run, &err), &err);
    assert_string_equal(run_next_stage(run)->name, "send");
    run_close(run);
}

static void what_was_left_over_is_removed_but_journals_and_notes_stay(void **state) {
    (void)state;
    run_fine("calm", &one_job);
    run_fine("again", &(struct run_options){.jobs = 1, .until = &small_add_stage});
    struct err err = {0};
    assert_done(directory_create_all(sys_real(), "again/40-send", &err), &err);
    assert_done(directory_create_all(sys_real(), "again/reports", &err), &err);
    assert_done(directory_create_all(sys_real(), "again/scratch/deep", &err), &err);
    scratch_write("again/scratch/deep/spill", "x");
    scratch_write("again/10-gather/foreign.arrow", "x");
    scratch_write("again/40-send/outcomes.arrow", "torn");
    scratch_write("again/40-send/journal", "sent 1\n");
    scratch_write("again/reports/torn.csv.tmp", "x");
    scratch_write("again/reports/notes.csv", "org,why\n");
    scratch_write("again/reports/notes.txt", "ours");
    scratch_write("again/30-add/sums.arrow.tmp", "x");
    scratch_write("again/manifest.json.tmp", "x");
    run_fine("again", &one_job);
    assert_false(scratch_exists("again/scratch"));
    assert_false(scratch_exists("again/10-gather/foreign.arrow"));
    assert_false(scratch_exists("again/reports/torn.csv.tmp"));
    assert_true(scratch_holds("again/reports/notes.csv", "org,why\n"));
    assert_false(scratch_exists("again/30-add/sums.arrow.tmp"));
    assert_false(scratch_exists("again/manifest.json.tmp"));
    assert_true(scratch_holds("again/40-send/journal", "sent 1\n"));
    assert_true(scratch_holds("again/reports/notes.txt", "ours"));
    assert_same_runs("calm", "again");
}

static void a_dry_run_reports_and_touches_nothing_outside(void **state) {
    (void)state;
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    struct run_options options = {.jobs = 1, .is_dry = true};
    for (int time = 0; time < 2; time++) {
        assert_done(small_run(sys_real(), "run/dry-run", &options, &session, &err), &err);
        assert_int_equal(session.sent_count, 0);
        assert_true(scratch_holds("run/dry-run/reports/total.csv", "amount\n686\n5586\n"));
        struct run *run;
        assert_done(run_open(sys_real(), "run/dry-run", small_list, RUN_INSPECT, &run, &err), &err);
        assert_string_equal(run_next_stage(run)->name, "send");
        run_close(run);
    }
    /* The real run beside it begins as if there had been none. */
    assert_done(small_run(sys_real(), "run", &one_job, &session, &err), &err);
    assert_int_equal(session.sent_count, SMALL_SHARDS);
    assert_true(scratch_exists("run/dry-run/reports/total.csv"));
}

static void stages_that_are_done_are_not_done_again(void **state) {
    (void)state;
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    assert_done(small_run(sys_real(), "run", &one_job, &session, &err), &err);
    assert_done(small_run(sys_real(), "run", &one_job, &session, &err), &err);
    assert_int_equal(session.sent_count, SMALL_SHARDS);
}

struct witness {
    enum run_event_kind kinds[64];
    const struct stage *stages[64];
    size_t events_count;
    const struct stage *interrupted; /* a signal comes when this stage begins */
};

static void witness_event(void *context, const struct run_event *event) {
    struct witness *witness = context;
    assert_true(witness->events_count < 64);
    witness->kinds[witness->events_count] = event->kind;
    witness->stages[witness->events_count++] = event->stage;
    assert_true(event->done <= event->total && event->elapsed_us >= 0);
    if (event->kind == RUN_STAGE_BEGINS && event->stage == witness->interrupted) {
        (void)raise(SIGTERM);
    }
}

static void a_signal_stops_between_shards_and_the_run_goes_on_later(void **state) {
    (void)state;
    run_fine("calm", &one_job);
    interrupt_install();
    for (size_t index = 0; index < SMALL_STAGES_COUNT; index++) {
        struct err err = {0};
        assert_done(path_remove_tree(sys_real(), "again", &err), &err);
        struct stage_session session = SMALL_SESSION;
        struct witness witness = {.interrupted = small_stages[index]};
        struct run_options options = {
            .jobs = 1, .observe = witness_event, .observe_context = &witness};
        bool is_fine = small_run(sys_real(), "again", &options, &session, &err);
        interrupt_clear();
        if (small_stages[index] == &small_tell_stage) {
            assert_done(is_fine, &err); /* nothing comes after it */
        } else {
            assert_false(is_fine);
            assert_int_equal(err.code, ERR_INTERRUPTED);
            assert_non_null(strstr(err.hint, "same command again"));
            err_release(&err);
        }
        run_fine("again", &one_job);
        assert_same_runs("calm", "again");
    }
}

static void the_observer_is_told_of_every_stage(void **state) {
    (void)state;
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    run_fine("run", &(struct run_options){.jobs = 1, .until = &small_gather_stage});
    struct witness witness = {0};
    struct run_options options = {.jobs = 2, .observe = witness_event, .observe_context = &witness};
    assert_done(small_run(sys_real(), "run", &options, &session, &err), &err);
    assert_int_equal(witness.kinds[0], RUN_STAGE_SKIPPED);
    assert_ptr_equal(witness.stages[0], &small_gather_stage);
    size_t begins = 0;
    size_t ends = 0;
    for (size_t index = 0; index < witness.events_count; index++) {
        begins += witness.kinds[index] == RUN_STAGE_BEGINS;
        ends += witness.kinds[index] == RUN_STAGE_ENDS;
    }
    assert_int_equal(begins, 4);
    assert_int_equal(ends, 4);
    assert_int_equal(witness.kinds[witness.events_count - 1], RUN_STAGE_ENDS);
    assert_ptr_equal(witness.stages[witness.events_count - 1], &small_tell_stage);
}

static void reports_can_be_written_before_their_turn_and_again_after_it(void **state) {
    (void)state;
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    run_fine("calm", &one_job);
    run_fine("run", &(struct run_options){.jobs = 1, .until = &small_add_stage});
    struct run *run;
    assert_done(run_open(sys_real(), "run", small_list, RUN_UPDATE, &run, &err), &err);
    assert_done(run_perform_reports(run, &small_tell_stage, &one_job, &session, &err), &err);
    assert_false(run_stage_is_done(run, &small_tell_stage));
    run_close(run);
    assert_true(scratch_holds("run/reports/total.csv", "amount\n"));
    run_fine("run", &one_job);
    assert_same_runs("calm", "run");

    scratch_write("run/reports/total.csv", "edited\n");
    assert_fails(run_open(sys_real(), "run", small_list, RUN_CREATE, &run, &err), &err, ERR_DAMAGED,
                 "reports/total.csv");
    assert_done(run_open(sys_real(), "run", small_list, RUN_UPDATE, &run, &err), &err);
    assert_done(run_unseal_reports(run, &err), &err);
    assert_false(scratch_exists("run/reports/total.csv"));
    assert_done(run_execute(run, &one_job, &session, &err), &err);
    run_close(run);
    assert_int_equal(session.sent_count, 0);
    assert_same_runs("calm", "run");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_run_leaves_every_table_and_its_reports),
        TEST(a_run_goes_on_after_every_stage),
        TEST(the_bytes_do_not_depend_on_the_number_of_jobs),
        TEST(a_pure_table_says_what_it_was_computed_from),
        TEST(a_stage_that_fails_is_not_sealed_and_is_done_again),
        TEST(totals_that_do_not_agree_stop_the_run),
        TEST(what_was_left_over_is_removed_but_journals_and_notes_stay),
        TEST(a_dry_run_reports_and_touches_nothing_outside),
        TEST(stages_that_are_done_are_not_done_again),
        TEST(a_signal_stops_between_shards_and_the_run_goes_on_later),
        TEST(the_observer_is_told_of_every_stage),
        TEST(reports_can_be_written_before_their_turn_and_again_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
