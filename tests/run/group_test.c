/*
 * Stages that only compute, performed together: what overlaps, what is told of failures, and that
 * nothing of it shows in what a run leaves.
 *
 *   10-gather  source    seeds (4 shards)
 *   20-first   pure      seeds → ones (4 shards)
 *   30-second  pure      seeds → twos (4 shards); it does not read what first leaves
 *   40-third   pure      ones, twos → threes (4 shards), marks (1)
 *   50-last    database  threes, marks → fours (4 shards); or only computes
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "run/run.h"
#include "support/assert_done.h"
#include "support/fault_sys.h"
#include "support/scratch.h"

enum { SHARDS = 4, SHARDS_MANY = 32, WAIT_S = 20 };

static const struct table_column columns[] = {{.name = "key", .type = TABLE_UTF8},
                                              {.name = "amount", .type = TABLE_DECIMAL}};

#define TABLE(table)                                                                               \
    static const struct table_schema table = {                                                     \
        .name = #table, .columns = columns, .columns_count = 2, .key_columns_count = 1}
TABLE(seeds);
TABLE(ones);
TABLE(twos);
TABLE(threes);
TABLE(marks);
TABLE(fours);

/* What a test asks of one shard of a stage. */
struct order {
    const char *stage;
    size_t shard_index;
    const char *waits_for; /* until a shard of this stage has got so far, or failed */
    size_t waits_for_shard;
    bool fails;
};

struct stage_session {
    bool is_touching; /* the last stage is performed */
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const struct order *orders;
    size_t orders_count;
    bool is_reached[64][SHARDS_MANY]; /* by number of the stage */
    bool is_late;                     /* something was waited for that did not come */
    const char *unequal_stage;
    int performed_count;
    size_t shards_count;
} plan = {.shards_count = SHARDS,
          .mutex = PTHREAD_MUTEX_INITIALIZER,
          .changed = PTHREAD_COND_INITIALIZER};

static const struct stage *stage_named(const char *name);

static void reach(const struct stage *stage, size_t shard_index) {
    (void)pthread_mutex_lock(&plan.mutex);
    plan.is_reached[stage->number][shard_index] = true;
    (void)pthread_cond_broadcast(&plan.changed);
    (void)pthread_mutex_unlock(&plan.mutex);
}

static void wait_for(const struct stage *stage, size_t shard_index) {
    struct timespec deadline;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    (void)pthread_mutex_lock(&plan.mutex);
    while (!plan.is_reached[stage->number][shard_index] && !plan.is_late) {
        plan.is_late = pthread_cond_timedwait(&plan.changed, &plan.mutex, &deadline) != 0;
    }
    (void)pthread_mutex_unlock(&plan.mutex);
}

static bool obey(const char *stage, size_t shard_index, struct err *err) {
    bool fails = false;
    for (size_t index = 0; index < plan.orders_count; index++) {
        const struct order *order = &plan.orders[index];
        if (strcmp(order->stage, stage) == 0 && order->shard_index == shard_index) {
            if (order->waits_for != NULL) {
                wait_for(stage_named(order->waits_for), order->waits_for_shard);
            }
            fails = order->fails;
        }
    }
    reach(stage_named(stage), shard_index);
    return !fails || err_set(err, ERR_RANGE, "%s %zu does not fit", stage, shard_index);
}

static struct decimal whole(int64_t value) {
    struct decimal result;
    (void)decimal_from_int64(value, &result);
    return result;
}

static bool put(struct table_writer *writer, struct decimal amount, struct err *err) {
    table_put_text(writer, 0, text_from("key"));
    table_put_decimal(writer, 1, amount);
    return table_end_row(writer, err);
}

static bool gather(struct run *run, const struct stage *stage, struct stage_session *session,
                   struct err *err) {
    (void)stage;
    (void)session;
    run_set_shards_count(run, plan.shards_count);
    for (size_t shard_index = 0; shard_index < plan.shards_count; shard_index++) {
        struct table_writer *writer;
        if (!run_output_create(run, &seeds, shard_index, &writer, err)) {
            return false;
        }
        if (!put(writer, whole(7 + 10 * (int64_t)shard_index), err)) {
            table_writer_destroy(writer);
            return false;
        }
        if (!run_output_commit(run, &seeds, shard_index, writer, err)) {
            return false;
        }
    }
    return true;
}

/* Each amount of the inputs plus this; and what the test ordered. */
static bool add(const struct stage_shard *shard, const char *stage, size_t inputs_count,
                int64_t more, struct err *err) {
    struct decimal sum = whole(more);
    for (size_t index = 0; index < inputs_count; index++) {
        struct table_cursor cursor = table_cursor_start(shard->inputs[index]);
        while (table_cursor_next(&cursor)) {
            if (!decimal_add(sum, table_get_decimal(&cursor, 1), &sum)) {
                return err_set(err, ERR_RANGE, "a sum does not fit");
            }
        }
    }
    bool is_unequal = plan.unequal_stage != NULL && strcmp(plan.unequal_stage, stage) == 0;
    return put(shard->outputs[0], sum, err) &&
           totals_add_left(shard->totals, stage, text_from("pieces"), sum, err) &&
           (is_unequal || totals_add_right(shard->totals, stage, text_from("pieces"), sum, err)) &&
           obey(stage, shard->shard_index, err);
}

static bool compute_first(const struct stage_shard *shard, struct err *err) {
    return add(shard, "first", 1, 100, err);
}

static bool compute_second(const struct stage_shard *shard, struct err *err) {
    return add(shard, "second", 1, 200, err);
}

static bool compute_third(const struct stage_shard *shard, struct err *err) {
    return (shard->outputs[1] == NULL || put(shard->outputs[1], whole(3), err)) &&
           add(shard, "third", 2, 300, err);
}

static bool compute_last(const struct stage_shard *shard, struct err *err) {
    return add(shard, "last", 2, 400, err);
}

static bool perform_last(struct run *run, const struct stage *stage, struct stage_session *session,
                         struct err *err) {
    (void)stage;
    (void)session;
    plan.performed_count++;
    for (size_t shard_index = 0; shard_index < plan.shards_count; shard_index++) {
        struct table_writer *writer;
        if (!run_output_create(run, &fours, shard_index, &writer, err) ||
            !run_output_commit(run, &fours, shard_index, writer, err)) {
            return false;
        }
    }
    return true;
}

static bool last_touches(const struct run *run, const struct stage_session *session) {
    (void)run;
    return session->is_touching;
}

static bool last_only_computes(const struct run *run, const struct stage_session *session) {
    return !last_touches(run, session);
}

#define INPUTS(...)                                                                                \
    .inputs = (const struct table_schema *const[]){__VA_ARGS__},                                   \
    .inputs_count = sizeof((const struct table_schema *const[]){__VA_ARGS__}) / sizeof(void *)
#define OUTPUTS(count, ...)                                                                        \
    .outputs = (const struct stage_output[]){__VA_ARGS__}, .outputs_count = (count)

static const struct stage gather_stage = {.name = "gather",
                                          .number = 10,
                                          .version = 1,
                                          .effect = EFFECT_SOURCE,
                                          OUTPUTS(1, {&seeds, true}),
                                          .perform = gather};
static const struct stage first_stage = {.name = "first",
                                         .number = 20,
                                         .version = 1,
                                         .effect = EFFECT_NONE,
                                         INPUTS(&seeds),
                                         OUTPUTS(1, {&ones, true}),
                                         .compute = compute_first};
static const struct stage second_stage = {.name = "second",
                                          .number = 30,
                                          .version = 1,
                                          .effect = EFFECT_NONE,
                                          INPUTS(&seeds),
                                          OUTPUTS(1, {&twos, true}),
                                          .compute = compute_second};
static const struct stage third_stage = {.name = "third",
                                         .number = 40,
                                         .version = 1,
                                         .effect = EFFECT_NONE,
                                         INPUTS(&ones, &twos),
                                         OUTPUTS(2, {&threes, true}, {&marks, false}),
                                         .compute = compute_third};
static const struct stage last_stage = {.name = "last",
                                        .number = 50,
                                        .version = 1,
                                        .effect = EFFECT_DATABASE,
                                        INPUTS(&threes, &marks),
                                        OUTPUTS(1, {&fours, true}),
                                        .compute = compute_last,
                                        .perform = perform_last,
                                        .only_computes = last_only_computes,
                                        .touches = last_touches};

static const struct stage *const stages[] = {&gather_stage, &first_stage, &second_stage,
                                             &third_stage, &last_stage};
enum { STAGES_COUNT = sizeof stages / sizeof stages[0] };
static const struct stage_list list = {.stages = stages, .stages_count = STAGES_COUNT};

static const struct stage *stage_named(const char *name) {
    return stage_find(list, name);
}

static void set_orders(const struct order *orders, size_t orders_count) {
    plan.orders = orders;
    plan.orders_count = orders_count;
    plan.is_late = false;
    memset(plan.is_reached, 0, sizeof plan.is_reached);
}

static bool go(const struct sys *sys, const char *path, const struct run_options *options,
               struct stage_session *session, struct err *err) {
    struct run *run;
    if (!run_open_jobs(sys, path, list, RUN_CREATE, options->jobs, &run, err)) {
        return false;
    }
    bool is_fine = run_pin(run, PIN_OPTION, "period", "2026-09", true, err) &&
                   (!run_is_new(run) || run_save(run, err)) &&
                   run_execute(run, options, session, err);
    run_close(run);
    return is_fine;
}

static bool go_jobs(const struct sys *sys, const char *path, size_t jobs, struct err *err) {
    return go(sys, path, &(struct run_options){.jobs = jobs}, &(struct stage_session){0}, err);
}

static void describe(const char *path, struct buffer *text) {
    struct err err = {0};
    struct run *run;
    assert_done(run_open(sys_real(), path, list, RUN_INSPECT, &run, &err), &err);
    for (size_t index = 0; index < STAGES_COUNT; index++) {
        size_t files_count;
        size_t rows_count;
        const struct run_file *files = run_stage_files(run, stages[index], &files_count);
        for (size_t row = 0; row < files_count; row++) {
            char digest[DIGEST_TEXT_MAX];
            digest_format(&files[row].digest, digest);
            assert_done(buffer_append_format(text, &err, "%s %s\n", digest, files[row].path), &err);
        }
        const struct totals_row *rows = run_stage_totals(run, stages[index], &rows_count);
        for (size_t row = 0; row < rows_count; row++) {
            char left[DECIMAL_TEXT_MAX];
            (void)decimal_format(rows[row].left, left);
            assert_done(buffer_append_format(text, &err, "%s %s\n", rows[row].name, left), &err);
        }
    }
    run_close(run);
}

static void assert_same(const char *left_path, const char *right_path) {
    struct buffer left = {0};
    struct buffer right = {0};
    describe(left_path, &left);
    describe(right_path, &right);
    assert_true(left.size_bytes > 1000);
    assert_true(text_equals(buffer_text(&left), buffer_text(&right)));
    buffer_release(&left);
    buffer_release(&right);
}

/* Which stage comes next in what was left, and that going on from there gives what a calm run is.
 */
static void assert_goes_on_from(const char *next) {
    struct err err = {0};
    struct run *run;
    assert_done(run_open(sys_real(), "run", list, RUN_STATUS, &run, &err), &err);
    assert_string_equal(run_next_stage(run)->name, next);
    run_close(run);
    set_orders(NULL, 0);
    plan.unequal_stage = NULL;
    assert_done(go_jobs(sys_real(), "calm", 1, &err), &err);
    assert_done(go_jobs(sys_real(), "run", 2, &err), &err);
    assert_same("calm", "run");
    assert_done(path_remove_tree(sys_real(), "run", &err), &err);
}

static void a_later_stage_does_not_wait_for_an_earlier_one_that_it_does_not_read(void **state) {
    (void)state;
    struct err err = {0};
    static const struct order orders[] = {
        {.stage = "first", .shard_index = 2, .waits_for = "second", .waits_for_shard = 3}};
    set_orders(orders, 1);
    assert_done(go_jobs(sys_real(), "run", 2, &err), &err);
    assert_false(plan.is_late);
    set_orders(NULL, 0);
    assert_done(go_jobs(sys_real(), "calm", 1, &err), &err);
    assert_same("calm", "run");
}

static void a_shard_waits_for_those_that_it_reads_alone(void **state) {
    (void)state;
    struct err err = {0};
    /* A worker is kept by shard 3 of second, and shards 0 to 2 of third are computed meanwhile. */
    static const struct order orders[] = {
        {.stage = "second", .shard_index = 3, .waits_for = "third", .waits_for_shard = 2}};
    set_orders(orders, 1);
    assert_done(go_jobs(sys_real(), "run", 2, &err), &err);
    assert_false(plan.is_late);
    set_orders(NULL, 0);
    assert_done(go_jobs(sys_real(), "calm", 1, &err), &err);
    assert_same("calm", "run");
}

static void the_first_failure_in_order_is_told_whichever_came_first(void **state) {
    (void)state;
    static const struct order orders[] = {
        {.stage = "first", .shard_index = 3, .waits_for = "second", .fails = true},
        {.stage = "second", .shard_index = 0, .fails = true}};
    for (size_t jobs = 1; jobs <= 3; jobs++) {
        struct err err = {0};
        set_orders(orders + (jobs == 1), 2 - (jobs == 1));
        bool is_fine = go_jobs(sys_real(), "run", jobs, &err);
        assert_false(plan.is_late);
        assert_fails(is_fine, &err, ERR_RANGE,
                     jobs == 1 ? "stage 'second': second 0 does not fit"
                               : "stage 'first': first 3 does not fit");
        assert_goes_on_from(jobs == 1 ? "second" : "first");
    }
}

static void a_stage_before_the_one_that_fails_is_sealed(void **state) {
    (void)state;
    /* First goes on long after second has failed, and is whole in the end. */
    static const struct order orders[] = {
        {.stage = "first", .shard_index = 3, .waits_for = "second", .waits_for_shard = 1},
        {.stage = "second", .shard_index = 1, .fails = true}};
    struct err err = {0};
    set_orders(orders, 2);
    bool is_fine = go_jobs(sys_real(), "run", 2, &err);
    assert_false(plan.is_late);
    assert_fails(is_fine, &err, ERR_RANGE, "stage 'second': second 1 does not fit");
    assert_goes_on_from("second");
}

static void totals_of_an_earlier_stage_are_told_before_a_later_failure(void **state) {
    (void)state;
    static const struct order orders[] = {
        {.stage = "first", .shard_index = 3, .waits_for = "third", .waits_for_shard = 1},
        {.stage = "third", .shard_index = 1, .fails = true}};
    for (size_t jobs = 1; jobs <= 2; jobs++) {
        struct err err = {0};
        set_orders(orders, jobs == 1 ? 0 : 2);
        plan.unequal_stage = "first";
        bool is_fine = go_jobs(sys_real(), "run", jobs, &err);
        assert_false(plan.is_late);
        assert_fails(is_fine, &err, ERR_CONTROL, "stage 'first'");
        assert_goes_on_from("first");
    }
}

/* --- files --------------------------------------------------------------------------------------
 */

/* The real system, on which one file cannot be written. */
static const char *unwritable;
static atomic_int unwritable_fd = -1;

static int open_noting(void *self, const char *path, int flags, mode_t mode) {
    int fd = sys_real()->open(self, path, flags, mode);
    if (fd >= 0 && unwritable != NULL && strstr(path, unwritable) != NULL) {
        atomic_store(&unwritable_fd, fd);
    }
    return fd;
}

static ssize_t write_refusing(void *self, int fd, const void *bytes, size_t size_bytes) {
    return fd == atomic_load(&unwritable_fd) ? -ENOSPC
                                             : sys_real()->write(self, fd, bytes, size_bytes);
}

static int close_noting(void *self, int fd) {
    int expected = fd;
    (void)atomic_compare_exchange_strong(&unwritable_fd, &expected, -1);
    return sys_real()->close(self, fd);
}

static void a_file_that_cannot_be_written_is_a_failure_of_the_stage_that_left_it(void **state) {
    (void)state;
    static const char *const files[][2] = {{"20-first/ones.1", "first"},
                                           {"20-first/ones.3", "first"},
                                           {"30-second/twos.arrow", "second"},
                                           {"40-third/marks", "third"}};
    struct sys sys = *sys_real();
    sys.open = open_noting;
    sys.write = write_refusing;
    sys.close = close_noting;
    for (size_t time = 0; time < 12; time++) {
        struct err err = {0};
        char message[64];
        unwritable = files[time % 4][0];
        (void)snprintf(message, sizeof message, "stage '%s': ", files[time % 4][1]);
        set_orders(NULL, 0);
        bool is_fine = go_jobs(&sys, "run", 1 + time % 3, &err);
        unwritable = NULL;
        assert_non_null(strstr(err.hint, "free space"));
        assert_fails(is_fine, &err, ERR_FILE, message);
        assert_goes_on_from(files[time % 4][1]);
    }
}

static int fsync_refusing(void *self, int fd) {
    return fd == atomic_load(&unwritable_fd) ? -EIO : sys_real()->fsync(self, fd);
}

/* With more tables at once than there is room for, somebody else waits for it. */
static void a_file_that_is_not_durable_is_told_whoever_meets_it(void **state) {
    (void)state;
    struct sys sys = *sys_real();
    sys.open = open_noting;
    sys.fsync = fsync_refusing;
    sys.close = close_noting;
    plan.shards_count = SHARDS_MANY;
    for (size_t time = 0; time < 3; time++) {
        struct err err = {0};
        bool is_first = time == 2;
        unwritable = is_first ? "20-first/ones.30" : "10-gather/seeds.2.";
        set_orders(NULL, 0);
        bool is_fine = go_jobs(&sys, "run", 1 + (time > 0), &err);
        unwritable = NULL;
        assert_fails(is_fine, &err, ERR_FILE,
                     is_first ? "stage 'first': cannot flush" : "stage 'gather': cannot flush");
        assert_goes_on_from("gather"); /* which was not sealed when the disk was met with */
    }
    plan.shards_count = SHARDS;
}

static bool run_body(const struct sys *sys, void *context) {
    struct err err = {0};
    bool is_fine = go_jobs(sys, context, 2, &err);
    err_release(&err);
    return is_fine;
}

/* Which call has which number varies with two threads; that all goes on after each does not.
 * Nothing is lost from the disk: it would be from under the thread that does not die first. */
static void a_run_of_two_jobs_that_dies_goes_on(void **state) {
    (void)state;
    struct err err = {0};
    uint64_t points = 0;
    set_orders(NULL, 0);
    assert_done(go_jobs(sys_real(), "calm", 1, &err), &err);
    for (uint64_t at = 60;; at += 9) {
        assert_done(path_remove_tree(sys_real(), "run", &err), &err);
        struct fault_plan death = {.mode = FAULT_DIE, .at = at, .loss = FAULT_LOSS_NONE};
        if (fault_run(death, run_body, "run") == FAULT_OUTCOME_CALM) {
            break;
        }
        points++;
        assert_done(go_jobs(sys_real(), "run", 1 + points % 2, &err), &err);
        assert_same("calm", "run");
    }
    assert_true(points > 30);
}

/* --- what is told ------------------------------------------------------------------------------
 */

struct witness {
    size_t stages_count; /* that began */
    bool is_open;
    int64_t elapsed_us;
};

static void witness_event(void *context, const struct run_event *event) {
    struct witness *witness = context;
    assert_true(event->done <= event->total && event->elapsed_us >= 0);
    if (event->kind == RUN_STAGE_BEGINS) {
        assert_false(witness->is_open);
        assert_ptr_equal(event->stage, stages[witness->stages_count++]);
    } else {
        assert_true(witness->is_open);
        assert_ptr_equal(event->stage, stages[witness->stages_count - 1]);
    }
    witness->is_open = event->kind != RUN_STAGE_ENDS;
    witness->elapsed_us += event->kind == RUN_STAGE_ENDS ? event->elapsed_us : 0;
}

static void stages_are_told_one_after_the_other_and_their_times_add_up(void **state) {
    (void)state;
    for (size_t jobs = 1; jobs <= 3; jobs++) {
        struct err err = {0};
        struct witness witness = {0};
        struct run_options options = {
            .jobs = jobs, .observe = witness_event, .observe_context = &witness};
        set_orders(NULL, 0);
        assert_done(path_remove_tree(sys_real(), "run", &err), &err);
        int64_t before_us = sys_real()->monotonic_us(sys_real()->self);
        assert_done(go(sys_real(), "run", &options, &(struct stage_session){0}, &err), &err);
        assert_true(witness.elapsed_us <= sys_real()->monotonic_us(sys_real()->self) - before_us);
        assert_int_equal(witness.stages_count, STAGES_COUNT);
        assert_false(witness.is_open);
    }
}

static void a_stage_with_both_functions_computes_when_it_says_so(void **state) {
    (void)state;
    for (int is_touching = 0; is_touching < 2; is_touching++) {
        struct err err = {0};
        struct run *run;
        struct table *table;
        struct run_options options = {.jobs = 2};
        struct stage_session session = {.is_touching = is_touching == 1};
        set_orders(NULL, 0);
        plan.performed_count = 0;
        assert_done(path_remove_tree(sys_real(), "run", &err), &err);
        assert_done(go(sys_real(), "run", &options, &session, &err), &err);
        assert_int_equal(plan.performed_count, is_touching);
        assert_done(run_open(sys_real(), "run", list, RUN_INSPECT, &run, &err), &err);
        assert_done(run_input_open(run, &fours, 3, &table, &err), &err);
        assert_int_equal(table_rows_count(table), 1 - is_touching);
        assert_null(table_metadata_value(table, "input_sha256"));
        table_close(table);
        run_close(run);
    }
}

static void only_the_stages_up_to_until_are_computed(void **state) {
    (void)state;
    struct err err = {0};
    struct run_options options = {.jobs = 2, .until = &second_stage};
    set_orders(NULL, 0);
    assert_done(go(sys_real(), "run", &options, &(struct stage_session){0}, &err), &err);
    assert_false(plan.is_reached[third_stage.number][0]);
    assert_goes_on_from("third");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_later_stage_does_not_wait_for_an_earlier_one_that_it_does_not_read),
        TEST(a_shard_waits_for_those_that_it_reads_alone),
        TEST(the_first_failure_in_order_is_told_whichever_came_first),
        TEST(a_stage_before_the_one_that_fails_is_sealed),
        TEST(totals_of_an_earlier_stage_are_told_before_a_later_failure),
        TEST(a_file_that_cannot_be_written_is_a_failure_of_the_stage_that_left_it),
        TEST(a_file_that_is_not_durable_is_told_whoever_meets_it),
        TEST(a_run_of_two_jobs_that_dies_goes_on),
        TEST(stages_are_told_one_after_the_other_and_their_times_add_up),
        TEST(a_stage_with_both_functions_computes_when_it_says_so),
        TEST(only_the_stages_up_to_until_are_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
