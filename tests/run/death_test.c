/*
 * The three loops: every call of a run fails once, the process dies at every call, every request
 * for memory fails. Then the run goes on and must be, byte for byte, what a calm run is.
 */
#include <errno.h>

#include "core/memory.h"
#include "small_pipeline.h"
#include "support/assert_done.h"
#include "support/fault_sys.h"
#include "support/scratch.h"

static const struct run_options one_job = {.jobs = 1};

static struct buffer calm;

/* The real system without waiting for the disk: no power fails between the loops. */
static struct sys fast;

static int skip_sync(void *self, int fd) {
    (void)self;
    (void)fd;
    return 0;
}

static void make_calm_run(void) {
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    assert_done(small_run(&fast, "calm", &one_job, &session, &err), &err);
    assert_done(small_describe("calm", &calm, &err), &err);
    assert_true(calm.size_bytes > 500);
}

static void assert_like_calm(const char *path) {
    struct err err = {0};
    struct buffer text = {0};
    assert_done(small_describe(path, &text, &err), &err);
    assert_true(text_equals(buffer_text(&text), buffer_text(&calm)));
    buffer_release(&text);
}

static void remove_run(const char *path) {
    struct err err = {0};
    assert_done(path_remove_tree(sys_real(), path, &err), &err);
}

static void assert_nothing_left_over(const char *path) {
    static const char *const names[] = {"scratch", "manifest.json.tmp", "progress.json",
                                        "progress.json.tmp", "reports/total.csv.tmp"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char left_over[FILE_PATH_MAX];
        (void)snprintf(left_over, sizeof left_over, "%s/%s", path, names[index]);
        assert_false(scratch_exists(left_over));
    }
}

/* Goes on, and now and then once more: nothing must be left to do then. */
static void go_on(const char *path) {
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    assert_done(small_run(&fast, path, &one_job, &session, &err), &err);
    static unsigned times;
    if (times++ % 8 == 0) {
        session.sent_count = 0;
        assert_done(small_run(&fast, path, &one_job, &session, &err), &err);
        assert_int_equal(session.sent_count, 0);
    }
    assert_like_calm(path);
    assert_nothing_left_over(path);
}

static bool run_body(const struct sys *sys, void *context) {
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    bool is_fine = small_run(sys, context, &one_job, &session, &err);
    err_release(&err);
    return is_fine;
}

static void a_run_that_dies_at_any_call_goes_on(void **state) {
    (void)state;
    make_calm_run();
    static const enum fault_loss losses[] = {FAULT_LOSS_NONE, FAULT_LOSS_DROP, FAULT_LOSS_TEAR};
    uint64_t points = 0;
    for (size_t index = 0; index < 3; index++) {
        for (uint64_t at = 1;; at++) {
            remove_run("run");
            struct fault_plan plan = {.mode = FAULT_DIE, .at = at, .loss = losses[index]};
            if (fault_run(plan, run_body, "run") == FAULT_OUTCOME_CALM) {
                break;
            }
            points++;
            go_on("run");
        }
    }
    printf("died at %llu points\n", (unsigned long long)points);
    assert_true(points > 600);
    buffer_release(&calm);
}

/* The calls of going on are other ones: cleaning up, verifying. */
static void a_run_that_dies_again_while_going_on_goes_on(void **state) {
    (void)state;
    make_calm_run();
    uint64_t points = 0;
    for (uint64_t first = 40;; first += 45) {
        remove_run("run");
        struct fault_plan plan = {.mode = FAULT_DIE, .at = first, .loss = FAULT_LOSS_DROP};
        if (fault_run(plan, run_body, "run") == FAULT_OUTCOME_CALM) {
            break;
        }
        for (uint64_t at = 1;; at += 3) {
            struct fault_plan again = {.mode = FAULT_DIE, .at = at, .loss = FAULT_LOSS_TEAR};
            if (fault_run(again, run_body, "run") == FAULT_OUTCOME_CALM) {
                break;
            }
            points++;
        }
        go_on("run");
    }
    printf("died twice at %llu points\n", (unsigned long long)points);
    assert_true(points > 50);
    buffer_release(&calm);
}

static bool is_expected(enum err_code code, int error) {
    return error == ENOMEM ? code == ERR_MEMORY || code == ERR_FILE : code == ERR_FILE;
}

static void a_call_that_fails_stops_the_run_with_its_code(void **state) {
    (void)state;
    make_calm_run();
    static const int errors[] = {EIO, ENOSPC, EINTR, ENOMEM};
    uint64_t points = 0;
    uint64_t failures = 0;
    for (size_t index = 0; index < 4; index++) {
        bool has_fired = true;
        for (uint64_t at = 1; has_fired; at++) {
            remove_run("run");
            struct fault_sys fault;
            fault_sys_init(&fault, (struct fault_plan){
                                       .mode = FAULT_FAIL_ONCE, .at = at, .error = errors[index]});
            struct err err = {0};
            struct stage_session session = SMALL_SESSION;
            bool is_fine = small_run(&fault.sys, "run", &one_job, &session, &err);
            has_fired = fault_sys_fired(&fault);
            fault_sys_release(&fault);
            points += has_fired;
            assert_true(is_fine || has_fired);
            if (errors[index] == EINTR) {
                assert_done(is_fine, &err);
            }
            if (!is_fine) {
                failures++;
                if (!is_expected(err.code, errors[index])) {
                    fail_msg("call %llu: code %d: %s", (unsigned long long)at, (int)err.code,
                             err.message);
                }
                err_release(&err);
            }
            go_on("run");
        }
    }
    printf("%llu calls failed, %llu of them stopped the run\n", (unsigned long long)points,
           (unsigned long long)failures);
    assert_true(failures > 400);
    buffer_release(&calm);
}

static void a_disk_that_stays_full_is_told_and_the_run_goes_on_later(void **state) {
    (void)state;
    make_calm_run();
    uint64_t points = 0;
    bool has_fired = true;
    for (uint64_t at = 1; has_fired; at += 7) {
        remove_run("run");
        struct fault_sys fault;
        fault_sys_init(&fault,
                       (struct fault_plan){.mode = FAULT_FAIL_FROM, .at = at, .error = ENOSPC});
        struct err err = {0};
        struct stage_session session = SMALL_SESSION;
        bool is_fine = small_run(&fault.sys, "run", &one_job, &session, &err);
        has_fired = fault_sys_fired(&fault);
        fault_sys_release(&fault);
        if (!is_fine) {
            points++;
            assert_int_equal(err.code, ERR_FILE);
            assert_non_null(strstr(err.hint, "free space"));
            err_release(&err);
        }
        go_on("run");
    }
    printf("the disk was full from %llu points on\n", (unsigned long long)points);
    assert_true(points > 20);
    buffer_release(&calm);
}

static uint64_t requests;
static uint64_t failing_request;

static bool fail_request(void) {
    requests++;
    return requests == failing_request;
}

static void a_request_for_memory_that_fails_stops_the_run(void **state) {
    (void)state;
    make_calm_run();
    uint64_t points = 0;
    uint64_t failures = 0;
    bool has_fired = true;
    for (uint64_t at = 1; has_fired; at++) {
        remove_run("run");
        requests = 0;
        failing_request = at;
        mem_set_fault(fail_request);
        struct err err = {0};
        struct stage_session session = SMALL_SESSION;
        bool is_fine = small_run(&fast, "run", &one_job, &session, &err);
        mem_set_fault(NULL);
        has_fired = requests >= at;
        points += has_fired;
        assert_true(is_fine || has_fired);
        if (!is_fine) {
            failures++;
            if (err.code != ERR_MEMORY) {
                fail_msg("request %llu: code %d: %s", (unsigned long long)at, (int)err.code,
                         err.message);
            }
            err_release(&err);
        }
        go_on("run");
    }
    printf("%llu requests for memory failed, %llu of them stopped the run\n",
           (unsigned long long)points, (unsigned long long)failures);
    assert_true(failures > 200);
    buffer_release(&calm);
}

/* Reading what is there: the manifest and every check of it. */
static void memory_that_fails_while_a_finished_run_is_opened_is_told(void **state) {
    (void)state;
    make_calm_run();
    uint64_t points = 0;
    bool has_fired = true;
    for (uint64_t at = 1; has_fired; at++) {
        requests = 0;
        failing_request = at;
        mem_set_fault(fail_request);
        struct err err = {0};
        struct run *run = NULL;
        bool is_fine = run_open(sys_real(), "calm", small_list, RUN_INSPECT, &run, &err);
        mem_set_fault(NULL);
        has_fired = requests >= at;
        points += has_fired;
        assert_true(is_fine || (has_fired && err.code == ERR_MEMORY));
        err_release(&err);
        run_close(run);
    }
    printf("%llu requests for memory failed while opening\n", (unsigned long long)points);
    assert_true(points > 50);
    buffer_release(&calm);
}

static bool replay_with_rate(const struct sys *sys, const char *path, int rate, struct err *err) {
    struct run *run;
    struct run *replay;
    static const struct table_schema *const replaced[] = {&small_rates};
    struct stage_session session = SMALL_SESSION;
    if (!run_open(sys, "calm", small_list, RUN_STATUS, &run, err)) {
        return false;
    }
    bool is_fine = run_replay(run, path, &small_multiply_stage, replaced, 1, &replay, err);
    run_close(run);
    if (!is_fine) {
        return false;
    }
    struct table_writer *writer;
    is_fine = run_replay_create(replay, &small_rates, &writer, err);
    if (is_fine) {
        is_fine = small_put(writer, "rate", small_decimal(rate), err);
        if (!is_fine) {
            table_writer_destroy(writer);
        }
        is_fine = is_fine && run_replay_commit(replay, &small_rates, writer, err);
    }
    is_fine = is_fine && run_execute(replay, &one_job, &session, err);
    assert(session.sent_count == 0);
    run_close(replay);
    return is_fine;
}

static bool replay_body(const struct sys *sys, void *context) {
    struct err err = {0};
    bool is_fine = replay_with_rate(sys, context, 9, &err);
    err_release(&err);
    return is_fine;
}

static void a_replay_that_dies_at_any_call_goes_on(void **state) {
    (void)state;
    make_calm_run();
    struct err err = {0};
    struct buffer origin = {0};
    assert_done(buffer_append(&origin, buffer_text(&calm), &err), &err);
    assert_done(replay_with_rate(&fast, "calm-replay", 9, &err), &err);
    assert_done(small_describe("calm-replay", &calm, &err), &err);
    assert_false(text_equals(buffer_text(&calm), buffer_text(&origin)));
    uint64_t points = 0;
    for (uint64_t at = 1;; at++) {
        remove_run("replay");
        struct fault_plan plan = {.mode = FAULT_DIE, .at = at, .loss = FAULT_LOSS_TEAR};
        if (fault_run(plan, replay_body, "replay") == FAULT_OUTCOME_CALM) {
            break;
        }
        points++;
        assert_done(replay_with_rate(&fast, "replay", 9, &err), &err);
        assert_like_calm("replay");
    }
    /* Its hard links never let the origin come to harm. */
    struct buffer after = {0};
    assert_done(small_describe("calm", &after, &err), &err);
    assert_true(text_equals(buffer_text(&after), buffer_text(&origin)));
    printf("a replay died at %llu points\n", (unsigned long long)points);
    assert_true(points > 150);
    buffer_release(&after);
    buffer_release(&origin);
    buffer_release(&calm);
}

int main(void) {
    fast = *sys_real();
    fast.fsync = skip_sync;
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_run_that_dies_at_any_call_goes_on),
        TEST(a_run_that_dies_again_while_going_on_goes_on),
        TEST(a_call_that_fails_stops_the_run_with_its_code),
        TEST(a_disk_that_stays_full_is_told_and_the_run_goes_on_later),
        TEST(a_request_for_memory_that_fails_stops_the_run),
        TEST(memory_that_fails_while_a_finished_run_is_opened_is_told),
        TEST(a_replay_that_dies_at_any_call_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
