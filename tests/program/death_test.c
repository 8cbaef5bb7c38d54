/*
 * The three loops over the whole program: the process dies at every file operation of a close of
 * fixtures/acme, with unsynced writes dropped or torn; every operation fails once; every request
 * for memory fails once. Each time the close then goes on over a calm system, and every file of the
 * run directory (but lock and progress.json) must be, byte for byte, what a calm close leaves.
 *
 * The clock stands still, so that elapsed times are the same and operations repeat by number. Two
 * workers share the points of a loop. Many points leave the same on the disk (most requests for
 * memory lie between two operations): from each such state the close goes on once, and what was
 * proven is remembered by digest. DEATH_STRIDE=7 tries every seventh point only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/memory.h"
#include "describe_run.h"
#include "support/fault_sys.h"
#include "support/scratch.h"

enum { STATES_MAX = 16384 };

enum { WORKERS = 2, STORY_STATUS = ERR_SET_ASIDE, ARGUMENTS_MAX = 32, ARGS_BYTES_MAX = 4096 };

static char source_path[FILE_PATH_MAX];
static char args_text[ARGS_BYTES_MAX];
static char *arguments[ARGUMENTS_MAX + 1];
static int arguments_count;

static uint64_t stride = 1;

/* The real system, a clock that stands still, and no waiting for the disk. */
static struct sys calm_sys;
static struct buffer calm;

/*
 * Thousands of closes in one process: without these a quarter of the time goes into remembering
 * where each block was asked for and freed. Read by AddressSanitizer at start.
 */
const char *__asan_default_options(void);  /* NOLINT: the name is AddressSanitizer's */
const char *__asan_default_options(void) { /* NOLINT */
    return "malloc_context_size=5:quarantine_size_mb=16";
}

/* --- the close ----------------------------------------------------------------------------------
 */

static int64_t stand_still(void *self) {
    (void)self;
    return INT64_C(1767225600000000);
}

static int skip_sync(void *self, int fd) {
    (void)self;
    (void)fd;
    return 0;
}

static void add_argument(char *word) {
    if (arguments_count == ARGUMENTS_MAX) {
        (void)fprintf(stderr, "death_test: more arguments than expected\n");
        abort();
    }
    arguments[arguments_count++] = word;
}

/* The command line of the fixture: one word a line in its file args. */
static bool load_arguments(void) {
    static char fixed[][16] = {"periodclose", "run",      "--run-dir", "run",     "--jobs",
                               "1",           "--memory", "32M",       "--quiet", "--source"};
    char home[FILE_PATH_MAX - 64];
    FILE *file = fopen("fixtures/acme/args", "r");
    if (file == NULL || getcwd(home, sizeof home) == NULL) {
        perror("fixtures/acme/args (run this from the root of the repository)");
        return false;
    }
    size_t size = fread(args_text, 1, sizeof args_text - 1, file);
    (void)fclose(file);
    args_text[size] = '\0';
    for (size_t index = 0; index < sizeof fixed / sizeof fixed[0]; index++) {
        add_argument(fixed[index]);
    }
    (void)snprintf(source_path, sizeof source_path, "%s/fixtures/acme/dataset", home);
    add_argument(source_path);
    char *rest = NULL;
    for (char *word = strtok_r(args_text, "\n", &rest); word != NULL;
         word = strtok_r(NULL, "\n", &rest)) {
        add_argument(word);
    }
    return true;
}

static int close_period(const struct sys *sys) {
    struct sys still = *sys;
    still.now_us = stand_still;
    still.monotonic_us = stand_still;
    return cli_main(arguments_count, arguments, &still);
}

static bool close_body(const struct sys *sys, void *context) {
    (void)context;
    return close_period(sys) == STORY_STATUS;
}

/* --- going on -----------------------------------------------------------------------------------
 */

static _Noreturn void give_up(const char *what, uint64_t at) {
    (void)fprintf(stderr, "point %llu: %s\n", (unsigned long long)at, what);
    exit(1);
}

static void remove_run(void) {
    struct err err = {0};
    if (!path_remove_tree(sys_real(), "run", &err)) {
        give_up(err.message, 0);
    }
}

static void go_on(uint64_t at) {
    struct err err = {0};
    struct buffer text = {0};
    if (close_period(&calm_sys) != STORY_STATUS) {
        give_up("going on failed", at);
    }
    if (!describe_run("run", &text, &err)) {
        give_up(err.message, at);
    }
    if (!text_equals(buffer_text(&text), buffer_text(&calm))) {
        (void)fprintf(stderr, "going on left\n%.*s", (int)text.size_bytes, text.bytes);
        give_up("not what a calm close leaves", at);
    }
    buffer_release(&text);
}

/* --- states that the close was seen to go on from ------------------------------------------------
 */

struct states {
    uint64_t count;
    struct digest digests[STATES_MAX];
};

/* One per worker, shared with the parent, which keeps them from loop to loop. */
static struct states *states;

static void describe_state(struct digest *digest, uint64_t at) {
    struct err err = {0};
    struct buffer text = {0};
    enum path_kind kind;
    if (!path_kind(sys_real(), "run", &kind, &err) ||
        (kind != PATH_MISSING && !describe_run("run", &text, &err)) ||
        !digest_of(text.bytes, text.size_bytes, digest, &err)) {
        give_up(err.message, at);
    }
    buffer_release(&text);
}

static bool is_proven(const struct states *proven, const struct digest *state) {
    for (uint64_t index = 0; index < proven->count; index++) {
        if (digest_equals(&proven->digests[index], state)) {
            return true;
        }
    }
    return false;
}

static void prove(struct states *proven, uint64_t at) {
    struct digest state;
    describe_state(&state, at);
    if (is_proven(proven, &state)) {
        return;
    }
    go_on(at);
    if (proven->count < STATES_MAX) {
        proven->digests[proven->count++] = state;
    }
}

/* --- loops and their workers --------------------------------------------------------------------
 */

struct tally {
    uint64_t points;
    uint64_t stopped; /* of them, those that ended the close */
};

struct loop {
    /* Strikes point `at`; false when the close has no such point. Counts what it stopped. */
    bool (*strike)(const struct loop *loop, uint64_t at, struct tally *tally);
    struct fault_plan plan;
};

static void worker_run(const struct loop *loop, uint64_t number, struct tally *tally) {
    char folder[32];
    (void)snprintf(folder, sizeof folder, "worker-%llu", (unsigned long long)number);
    struct err err = {0};
    if (!directory_create(sys_real(), folder, &err) || chdir(folder) != 0) {
        give_up("no folder to work in", 0);
    }
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int log = open("log", O_CREAT | O_WRONLY | O_APPEND | O_TRUNC | O_CLOEXEC, 0644);
    if (null < 0 || log < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) {
        give_up("no log to write to", 0);
    }
    for (uint64_t at = 1 + number * stride;; at += WORKERS * stride) {
        remove_run();
        if (ftruncate(log, 0) != 0) {
            give_up("no log to write to", at);
        }
        if (!loop->strike(loop, at, tally)) {
            break;
        }
        tally->points++;
        prove(&states[number], at);
    }
    (void)close(null);
    (void)close(log);
    buffer_release(&calm);
    exit(0); /* and the leak checker has its say */
}

static void show_log(uint64_t number) {
    char path[32];
    char bytes[8192];
    (void)snprintf(path, sizeof path, "worker-%llu/log", (unsigned long long)number);
    FILE *file = fopen(path, "r");
    size_t size = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;
    (void)fwrite(bytes, 1, size, stderr);
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void make_calm_run(void) {
    struct err err = {0};
    remove_run();
    (void)fflush(NULL);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int out = dup(STDOUT_FILENO);
    int messages = dup(STDERR_FILENO);
    assert_true(null >= 0 && out >= 0 && messages >= 0);
    assert_true(dup2(null, STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0);
    int status = close_period(&calm_sys);
    assert_true(dup2(out, STDOUT_FILENO) >= 0 && dup2(messages, STDERR_FILENO) >= 0);
    (void)close(null);
    (void)close(out);
    (void)close(messages);
    assert_int_equal(status, STORY_STATUS);
    if (!describe_run("run", &calm, &err)) {
        fail_msg("%s", err.message);
    }
    assert_true(calm.size_bytes > 2000);
}

static struct tally loop_run(const struct loop *loop) {
    make_calm_run();
    struct tally *tallies = mmap(NULL, WORKERS * sizeof *tallies, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(tallies != MAP_FAILED);
    pid_t workers[WORKERS];
    (void)fflush(NULL);
    for (uint64_t number = 0; number < WORKERS; number++) {
        workers[number] = fork();
        assert_true(workers[number] >= 0);
        if (workers[number] == 0) {
            worker_run(loop, number, &tallies[number]);
        }
    }
    struct tally sum = {0};
    bool is_fine = true;
    for (uint64_t number = 0; number < WORKERS; number++) {
        int status = 0;
        assert_int_equal(waitpid(workers[number], &status, 0), workers[number]);
        if (status != 0) {
            is_fine = false;
            show_log(number);
        }
        sum.points += tallies[number].points;
        sum.stopped += tallies[number].stopped;
    }
    (void)munmap(tallies, WORKERS * sizeof *tallies);
    buffer_release(&calm);
    assert_true(is_fine);
    return sum;
}

/* --- dying --------------------------------------------------------------------------------------
 */

static bool die_at(const struct loop *loop, uint64_t at, struct tally *tally) {
    struct fault_plan plan = loop->plan;
    plan.at = at;
    enum fault_outcome outcome = fault_run(plan, close_body, NULL);
    tally->stopped += outcome == FAULT_OUTCOME_DIED ? 1 : 0;
    return outcome != FAULT_OUTCOME_CALM;
}

static void die_everywhere(enum fault_loss loss, const char *how) {
    struct loop loop = {.strike = die_at, .plan = {.mode = FAULT_DIE, .loss = loss}};
    struct tally tally = loop_run(&loop);
    printf("died at %llu operations, unsynced writes %s\n", (unsigned long long)tally.points, how);
    assert_int_equal(tally.stopped, tally.points);
    assert_true(tally.points * stride > 500);
}

static void a_close_that_dies_with_unsynced_writes_dropped_goes_on(void **state) {
    (void)state;
    die_everywhere(FAULT_LOSS_DROP, "dropped");
}

static void a_close_that_dies_with_unsynced_writes_torn_goes_on(void **state) {
    (void)state;
    die_everywhere(FAULT_LOSS_TEAR, "torn");
}

/* --- failing operations -------------------------------------------------------------------------
 */

static bool fail_at(const struct loop *loop, uint64_t at, struct tally *tally) {
    struct fault_sys fault;
    struct fault_plan plan = loop->plan;
    plan.at = at;
    fault_sys_init(&fault, plan);
    fault.inner = &calm_sys;
    int status = close_period(&fault.sys);
    bool has_fired = fault_sys_fired(&fault);
    fault_sys_release(&fault);
    /* An operation that does not matter (progress, scratch) may fail without a word. */
    bool may_stop = plan.mode == FAULT_FAIL_ONCE && plan.error != EINTR && has_fired;
    if (status != STORY_STATUS && !(may_stop && status == ERR_FILE)) {
        (void)fprintf(stderr, "exit status %d\n", status);
        give_up("the wrong exit status", at);
    }
    tally->stopped += status == STORY_STATUS ? 0 : 1;
    return has_fired;
}

static void fail_everywhere(enum fault_mode mode, int error, const char *how) {
    struct loop loop = {.strike = fail_at, .plan = {.mode = mode, .error = error}};
    struct tally tally = loop_run(&loop);
    printf("%s at %llu operations, which stopped the close %llu times\n", how,
           (unsigned long long)tally.points, (unsigned long long)tally.stopped);
    assert_true(tally.points * stride > 500);
    if (mode == FAULT_SHORT || error == EINTR) {
        assert_int_equal(tally.stopped, 0);
    } else {
        assert_true(tally.stopped * 2 > tally.points);
    }
}

static void a_disk_that_is_full_once_is_told_and_the_close_goes_on(void **state) {
    (void)state;
    fail_everywhere(FAULT_FAIL_ONCE, ENOSPC, "no space left");
}

static void a_disk_that_fails_once_is_told_and_the_close_goes_on(void **state) {
    (void)state;
    fail_everywhere(FAULT_FAIL_ONCE, EIO, "an input/output error");
}

static void an_interrupted_operation_is_tried_again(void **state) {
    (void)state;
    fail_everywhere(FAULT_FAIL_ONCE, EINTR, "an interruption");
}

static void an_operation_that_does_half_is_completed(void **state) {
    (void)state;
    fail_everywhere(FAULT_SHORT, 0, "half done");
}

/* --- failing requests for memory ----------------------------------------------------------------
 */

static uint64_t requests;
static uint64_t failing_request;

static bool fail_request(void) {
    requests++;
    return requests == failing_request;
}

static bool starve_at(const struct loop *loop, uint64_t at, struct tally *tally) {
    (void)loop;
    requests = 0;
    failing_request = at;
    mem_set_fault(fail_request);
    int status = close_period(&calm_sys);
    mem_set_fault(NULL);
    bool has_fired = requests >= at;
    if (status != STORY_STATUS && !(has_fired && status == ERR_MEMORY)) {
        (void)fprintf(stderr, "exit status %d\n", status);
        give_up("the wrong exit status", at);
    }
    tally->stopped += status == STORY_STATUS ? 0 : 1;
    return has_fired;
}

static void a_request_for_memory_that_fails_is_told_and_the_close_goes_on(void **state) {
    (void)state;
    struct loop loop = {.strike = starve_at};
    struct tally tally = loop_run(&loop);
    printf("%llu requests for memory failed, %llu of them stopped the close\n",
           (unsigned long long)tally.points, (unsigned long long)tally.stopped);
    assert_true(tally.points * stride > 500);
    assert_true(tally.stopped * 10 > tally.points * 9);
}

int main(void) {
    const char *asked = getenv("DEATH_STRIDE");
    stride = asked != NULL ? strtoull(asked, NULL, 10) : 1;
    if (stride == 0 || !load_arguments()) {
        return 2;
    }
    states = mmap(NULL, WORKERS * sizeof *states, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (states == MAP_FAILED) {
        perror("death_test");
        return 2;
    }
    /* Power is cut by simulation, so memory serves as the disk; ext4 spends a third of the time. */
    if (access("/dev/shm", W_OK | X_OK) == 0) {
        (void)setenv("TMPDIR", "/dev/shm", 0);
    }
    calm_sys = *sys_real();
    calm_sys.fsync = skip_sync;
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_close_that_dies_with_unsynced_writes_dropped_goes_on),
        TEST(a_close_that_dies_with_unsynced_writes_torn_goes_on),
        TEST(a_disk_that_is_full_once_is_told_and_the_close_goes_on),
        TEST(a_disk_that_fails_once_is_told_and_the_close_goes_on),
        TEST(an_interrupted_operation_is_tried_again),
        TEST(an_operation_that_does_half_is_completed),
        TEST(a_request_for_memory_that_fails_is_told_and_the_close_goes_on),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("# went on from %llu different states of the disk\n",
           (unsigned long long)(states[0].count + states[1].count));
    return failed;
}
