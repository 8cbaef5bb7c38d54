#include <sys/wait.h>
#include <unistd.h>

#include "small_pipeline.h"
#include "support/assert_done.h"
#include "support/scratch.h"

static const struct run_options one_job = {.jobs = 1};

static void run_fine(const char *path) {
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    assert_done(small_run(sys_real(), path, &one_job, &session, &err), &err);
}

static struct run *open_run(enum run_mode mode) {
    struct err err = {0};
    struct run *run;
    assert_done(run_open(sys_real(), "run", small_list, mode, &run, &err), &err);
    return run;
}

static void assert_open_fails(enum run_mode mode, enum err_code code, const char *part) {
    struct err err = {0};
    struct run *run;
    assert_fails(run_open(sys_real(), "run", small_list, mode, &run, &err), &err, code, part);
    assert_null(run);
}

/* --- pins ----------------------------------------------------------------------------------- */

static void a_run_of_other_pins_is_refused_and_shows_both_values(void **state) {
    (void)state;
    run_fine("run");
    struct err err = {0};
    struct run *run = open_run(RUN_CREATE);
    assert_false(run_is_new(run));
    assert_fails(run_pin(run, PIN_OPTION, "period", "2026-10", true, &err), &err, ERR_MISMATCH,
                 "period: this directory was begun with '2026-09', now '2026-10'");
    assert_fails(run_pin(run, PIN_INPUT, "amounts.csv", "ffff", true, &err), &err, ERR_MISMATCH,
                 "amounts.csv: this directory was begun with '0a1b', now 'ffff'");
    assert_fails(run_pin(run, PIN_OPTION, "org", "o-1", true, &err), &err, ERR_MISMATCH,
                 "org: this directory was begun without it, now 'o-1'");
    assert_true(run_pin(run, PIN_OPTION, "period", "2026-09", true, &err));
    run_close(run);
}

static void a_default_leaves_what_is_pinned(void **state) {
    (void)state;
    run_fine("run");
    struct err err = {0};
    struct run *run = open_run(RUN_CREATE);
    assert_true(run_pin(run, PIN_OPTION, "now", "2031-01-01T00:00:00Z", false, &err));
    assert_string_equal(run_pinned(run, PIN_OPTION, "now"), "2026-10-01T00:00:00Z");
    assert_true(run_pin(run, PIN_OPTION, "limit", "5", false, &err));
    assert_null(run_pinned(run, PIN_OPTION, "limit"));
    assert_true(run_pin(run, PIN_VERSION, "program", "9.9.9", true, &err));
    assert_string_equal(run_pinned(run, PIN_VERSION, "program"), "0.1.0");
    assert_int_equal(run_pins_count(run, PIN_OPTION), 2);
    assert_string_equal(run_pin_name(run, PIN_OPTION, 0), "now");
    assert_string_equal(run_pin_name(run, PIN_OPTION, 1), "period");
    run_close(run);
}

static void a_pin_that_is_not_utf8_is_bad_input(void **state) {
    (void)state;
    struct err err = {0};
    struct run *run = open_run(RUN_CREATE);
    assert_fails(run_pin(run, PIN_INPUT, "us\xff", "ab", true, &err), &err, ERR_INPUT, "UTF-8");
    assert_fails(run_pin(run, PIN_INPUT, "usage", "\xc0\x80", true, &err), &err, ERR_INPUT,
                 "UTF-8");
    run_close(run);
}

static void pins_last_from_their_saving(void **state) {
    (void)state;
    struct err err = {0};
    struct run *run = open_run(RUN_CREATE);
    assert_true(run_is_new(run));
    assert_null(run_id(run));
    assert_true(run_pin(run, PIN_OPTION, "org", "Zoë \"quoted\" \n\x01", true, &err));
    assert_done(run_save(run, &err), &err);
    run_close(run);
    run = open_run(RUN_CREATE);
    assert_string_equal(run_pinned(run, PIN_OPTION, "org"), "Zoë \"quoted\" \n\x01");
    assert_null(run_id(run));
    run_close(run);
}

/* What is left to compute is refused; what only sends and reports goes on. */
static void a_stage_of_another_version_is_not_computed_on_from(void **state) {
    (void)state;
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    struct run_options options = {.jobs = 1, .until = &small_multiply_stage};
    assert_done(small_run(sys_real(), "run", &options, &session, &err), &err);
    struct stage newer = small_multiply_stage;
    newer.version = 4;
    const struct stage *stages[] = {&small_gather_stage, &newer, &small_add_stage,
                                    &small_send_stage, &small_tell_stage};
    struct stage_list list = {.stages = stages, .stages_count = 5};
    struct run *run;
    assert_done(run_open(sys_real(), "run", list, RUN_CREATE, &run, &err), &err);
    assert_fails(run_execute(run, &one_job, &session, &err), &err, ERR_MISMATCH,
                 "stage 'multiply': sealed by version 3 of it, this program has version 4");
    run_close(run);
    options.until = &small_add_stage;
    assert_done(small_run(sys_real(), "run", &options, &session, &err), &err);
    assert_int_equal(session.sent_count, 0);
    assert_done(run_open(sys_real(), "run", list, RUN_CREATE, &run, &err), &err);
    assert_done(run_execute(run, &one_job, &session, &err), &err);
    assert_null(run_next_stage(run));
    assert_int_equal(session.sent_count, SMALL_SHARDS);
    run_close(run);
}

/* --- damage --------------------------------------------------------------------------------- */

static const char *const sealed_files[] = {"run/10-gather/amounts.arrow",
                                           "run/10-gather/amounts.1.arrow",
                                           "run/10-gather/rates.arrow",
                                           "run/20-multiply/products.arrow",
                                           "run/20-multiply/products.1.arrow",
                                           "run/30-add/sums.arrow",
                                           "run/30-add/sums.1.arrow",
                                           "run/30-add/marks.arrow",
                                           "run/40-send/outcomes.arrow",
                                           "run/reports/total.csv",
                                           "run/manifest.json"};
enum { SEALED_FILES_COUNT = sizeof sealed_files / sizeof sealed_files[0] };

static void write_file(const char *path, struct text content) {
    struct err err = {0};
    assert_done(file_replace(sys_real(), path, content, &err), &err);
}

/* Whatever is done to one file: the next start names it, and changes nothing. */
static void assert_each_file_is_named(void (*damage)(const char *path, struct buffer *content)) {
    run_fine("run");
    struct err err = {0};
    struct buffer whole = {0};
    struct buffer content = {0};
    for (size_t index = 0; index < SEALED_FILES_COUNT; index++) {
        const char *path = sealed_files[index];
        assert_done(file_load(sys_real(), path, 1 << 20, &whole, &err), &err);
        buffer_clear(&content);
        assert_done(buffer_append(&content, buffer_text(&whole), &err), &err);
        damage(path, &content);
        assert_open_fails(RUN_INSPECT, ERR_DAMAGED, path);
        struct stage_session session = SMALL_SESSION;
        assert_fails(small_run(sys_real(), "run", &one_job, &session, &err), &err, ERR_DAMAGED,
                     path);
        assert_int_equal(session.sent_count, 0);
        write_file(path, buffer_text(&whole));
    }
    buffer_release(&content);
    buffer_release(&whole);
    run_close(open_run(RUN_INSPECT));
}

static void flip(const char *path, struct buffer *content) {
    content->bytes[content->size_bytes / 2] ^= 0x10;
    write_file(path, buffer_text(content));
}

static void cut(const char *path, struct buffer *content) {
    content->size_bytes--;
    write_file(path, buffer_text(content));
}

static void lengthen(const char *path, struct buffer *content) {
    struct err err = {0};
    assert_done(buffer_append(content, text_from("\n"), &err), &err);
    write_file(path, buffer_text(content));
}

static void take_away(const char *path, struct buffer *content) {
    (void)content;
    struct err err = {0};
    assert_done(path_remove(sys_real(), path, &err), &err);
}

static void put_another(const char *path, struct buffer *content) {
    (void)content;
    scratch_write(path, "another file\n");
}

static void a_flipped_bit_in_any_file_is_named(void **state) {
    (void)state;
    assert_each_file_is_named(flip);
}

static void a_truncated_file_is_named(void **state) {
    (void)state;
    assert_each_file_is_named(cut);
}

static void a_file_that_grew_is_named(void **state) {
    (void)state;
    assert_each_file_is_named(lengthen);
}

static void a_missing_file_is_named(void **state) {
    (void)state;
    assert_each_file_is_named(take_away);
}

static void a_foreign_file_is_named(void **state) {
    (void)state;
    assert_each_file_is_named(put_another);
}

static void a_folder_in_place_of_a_file_is_named(void **state) {
    (void)state;
    run_fine("run");
    struct err err = {0};
    assert_done(path_remove(sys_real(), "run/30-add/sums.arrow", &err), &err);
    assert_done(directory_create(sys_real(), "run/30-add/sums.arrow", &err), &err);
    assert_open_fails(RUN_INSPECT, ERR_DAMAGED, "run/30-add/sums.arrow' is not a regular file");
}

static void status_reads_no_files(void **state) {
    (void)state;
    run_fine("run");
    scratch_write("run/30-add/sums.arrow", "torn");
    struct run *run = open_run(RUN_STATUS);
    assert_null(run_next_stage(run));
    size_t files_count;
    const struct run_file *files = run_stage_files(run, &small_add_stage, &files_count);
    assert_int_equal(files_count, 3);
    assert_string_equal(files[1].path, "30-add/sums.1.arrow");
    assert_int_equal(files[1].rows_count, 1);
    assert_true(run_stage_elapsed_us(run, &small_add_stage) >= 0);
    run_close(run);
}

/* --- what is no run directory --------------------------------------------------------------- */

static void a_folder_with_other_files_is_left_alone(void **state) {
    (void)state;
    struct err err = {0};
    assert_done(directory_create(sys_real(), "run", &err), &err);
    scratch_write("run/photos.zip", "precious");
    for (int mode = RUN_CREATE; mode <= RUN_STATUS; mode++) {
        assert_open_fails((enum run_mode)mode, ERR_MISMATCH, "'run' is not a run directory");
    }
    assert_false(scratch_exists("run/lock"));
    char moved_to[FILE_PATH_MAX];
    assert_fails(run_move_aside(sys_real(), "run", small_list, moved_to, &err), &err, ERR_MISMATCH,
                 "not a run directory");
    assert_true(scratch_holds("run/photos.zip", "precious"));
}

static void a_file_in_its_place_is_refused(void **state) {
    (void)state;
    scratch_write("run", "x");
    for (int mode = RUN_CREATE; mode <= RUN_STATUS; mode++) {
        assert_open_fails((enum run_mode)mode, ERR_FILE, "'run' is a file");
    }
}

static void what_must_exist_and_does_not_is_told(void **state) {
    (void)state;
    for (int mode = RUN_UPDATE; mode <= RUN_STATUS; mode++) {
        assert_open_fails((enum run_mode)mode, ERR_FILE, "no run directory 'run'");
    }
    assert_false(scratch_exists("run"));
}

static void checkpoints_without_a_manifest_are_not_overwritten(void **state) {
    (void)state;
    run_fine("run");
    struct err err = {0};
    assert_done(path_remove(sys_real(), "run/manifest.json", &err), &err);
    assert_open_fails(RUN_CREATE, ERR_DAMAGED, "run/manifest.json");
    assert_true(scratch_exists("run/30-add/sums.arrow"));
}

/* --- the lock ------------------------------------------------------------------------------- */

/* A process that holds the run until its pipe is closed. */
struct holder {
    pid_t process;
    int release_fd;
};

static struct holder hold_run(void) {
    int ready[2];
    int release[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(release), 0);
    pid_t process = fork();
    if (process == 0) {
        (void)alarm(30);
        struct err err = {0};
        struct run *run;
        (void)close(release[1]);
        bool is_held = run_open(sys_real(), "run", small_list, RUN_CREATE, &run, &err) &&
                       run_tell_command(run, "periodclose run --period 2026-09", &err);
        char byte = is_held ? 'y' : 'n';
        bool is_told = write(ready[1], &byte, 1) == 1;
        bool is_released = read(release[0], &byte, 1) == 0; /* until the other end is closed */
        _exit(is_told && is_released ? 0 : 1); /* without closing the run: as if it died */
    }
    assert_true(process > 0);
    (void)close(release[0]);
    (void)close(ready[1]);
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    (void)close(ready[0]);
    return (struct holder){process, release[1]};
}

static void end_holder(struct holder holder) {
    (void)close(holder.release_fd);
    int status;
    assert_int_equal(waitpid(holder.process, &status, 0), holder.process);
    assert_int_equal(status, 0);
}

static void a_second_process_is_refused_and_told_who_is_first(void **state) {
    (void)state;
    run_fine("run");
    struct holder holder = hold_run();
    char who[64];
    (void)snprintf(who, sizeof who, "process %d on ", (int)holder.process);
    for (int mode = RUN_CREATE; mode <= RUN_UPDATE; mode++) {
        assert_open_fails((enum run_mode)mode, ERR_LOCKED, who);
        assert_open_fails((enum run_mode)mode, ERR_LOCKED, "periodclose run --period 2026-09");
    }
    struct err err = {0};
    char moved_to[FILE_PATH_MAX];
    assert_fails(run_move_aside(sys_real(), "run", small_list, moved_to, &err), &err, ERR_LOCKED,
                 who);
    /* Looking takes no lock. */
    run_close(open_run(RUN_INSPECT));
    struct run *run = open_run(RUN_STATUS);
    bool is_held;
    struct buffer text = {0};
    assert_done(run_lock_holder(run, &is_held, &text, &err), &err);
    assert_true(is_held);
    assert_memory_equal(text.bytes, who, strlen(who));
    /* The kernel gives the lock back however the holder ends; the file stays. */
    end_holder(holder);
    assert_done(run_lock_holder(run, &is_held, &text, &err), &err);
    assert_false(is_held);
    assert_int_equal(text.size_bytes, 0);
    buffer_release(&text);
    run_close(run);
    assert_true(scratch_exists("run/lock"));
    run_close(open_run(RUN_CREATE));
}

static void one_process_does_not_open_a_run_twice(void **state) {
    (void)state;
    struct run *run = open_run(RUN_CREATE);
    assert_open_fails(RUN_CREATE, ERR_LOCKED, "'run' is in use by process");
    run_close(run);
    run_close(open_run(RUN_CREATE));
}

static void a_strange_text_in_the_lock_does_not_reach_the_terminal(void **state) {
    (void)state;
    struct run *run = open_run(RUN_CREATE);
    scratch_write("run/lock", "\x1b[2Jme\x07\nand a second line");
    assert_open_fails(RUN_CREATE, ERR_LOCKED, "'run' is in use by ?[2Jme?");
    scratch_write("run/lock", "");
    assert_open_fails(RUN_CREATE, ERR_LOCKED, "a process that has not said who it is");
    run_close(run);
}

/* --- progress ------------------------------------------------------------------------------- */

static void look_at_progress(void *context, const struct run_event *event) {
    int *seen = context;
    if (event->kind != RUN_STAGE_GOES_ON || *seen > 0) {
        return;
    }
    struct err err = {0};
    struct run *run = open_run(RUN_STATUS);
    struct run_progress_text progress;
    bool is_found;
    assert_done(run_progress_load(run, &is_found, &progress, &err), &err);
    assert_true(is_found);
    assert_string_equal(progress.stage, "gather");
    assert_true(progress.done <= progress.total && progress.updated_at.us > 0);
    run_close(run);
    (*seen)++;
}

static void progress_can_be_read_while_a_run_goes_on(void **state) {
    (void)state;
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    int seen = 0;
    struct run_options options = {.jobs = 1, .observe = look_at_progress, .observe_context = &seen};
    assert_done(small_run(sys_real(), "run", &options, &session, &err), &err);
    assert_int_equal(seen, 1);
    struct run *run = open_run(RUN_STATUS);
    struct run_progress_text progress;
    bool is_found;
    assert_done(run_progress_load(run, &is_found, &progress, &err), &err);
    assert_false(is_found);
    scratch_write("run/progress.json", "{\"done\": 5, \"sta");
    assert_done(run_progress_load(run, &is_found, &progress, &err), &err);
    assert_false(is_found);
    scratch_write("run/progress.json",
                  "{\"done\":5,\"stage\":\"add\",\"total\":9,\"unit\":\"rows\","
                  "\"updated_at\":\"2026-10-01T00:00:01Z\"}");
    assert_done(run_progress_load(run, &is_found, &progress, &err), &err);
    assert_true(is_found);
    assert_int_equal(progress.done, 5);
    assert_int_equal(progress.total, 9);
    assert_string_equal(progress.unit, "rows");
    scratch_write("run/progress.json",
                  "{\"done\":-5,\"stage\":\"a name far longer than any stage of ours has\","
                  "\"total\":9,\"unit\":\"rows\",\"updated_at\":\"2026-10-01T00:00:01Z\"}");
    assert_done(run_progress_load(run, &is_found, &progress, &err), &err);
    assert_false(is_found);
    run_close(run);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_run_of_other_pins_is_refused_and_shows_both_values),
        TEST(a_default_leaves_what_is_pinned),
        TEST(a_pin_that_is_not_utf8_is_bad_input),
        TEST(pins_last_from_their_saving),
        TEST(a_stage_of_another_version_is_not_computed_on_from),
        TEST(a_flipped_bit_in_any_file_is_named),
        TEST(a_truncated_file_is_named),
        TEST(a_file_that_grew_is_named),
        TEST(a_missing_file_is_named),
        TEST(a_foreign_file_is_named),
        TEST(a_folder_in_place_of_a_file_is_named),
        TEST(status_reads_no_files),
        TEST(a_folder_with_other_files_is_left_alone),
        TEST(a_file_in_its_place_is_refused),
        TEST(what_must_exist_and_does_not_is_told),
        TEST(checkpoints_without_a_manifest_are_not_overwritten),
        TEST(a_second_process_is_refused_and_told_who_is_first),
        TEST(one_process_does_not_open_a_run_twice),
        TEST(a_strange_text_in_the_lock_does_not_reach_the_terminal),
        TEST(progress_can_be_read_while_a_run_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
