/*
 * The whole program inside a test: cli_main with the real operating system, but for what it writes
 * to stdout and stderr, which is kept. Each test program closes fixtures/acme once, in a folder of
 * its own, as the run "close".
 */
#ifndef PERIODCLOSE_TESTS_CLI_PROGRAM_H
#define PERIODCLOSE_TESTS_CLI_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "support/scratch.h"
#include "sys/files.h"

enum { PROGRAM_WORDS_MAX = 24 };

struct program {
    struct sys sys; /* the real one, but for write */
    struct buffer out;
    struct buffer told; /* stderr */
};

static struct program program;
static char fixture[FILE_PATH_MAX - 64]; /* fixtures/acme, from wherever the test works */

static ssize_t program_write(void *self, int fd, const void *bytes, size_t size_bytes) {
    struct err err = {0};
    (void)self;
    if (fd != STDOUT_FILENO && fd != STDERR_FILENO) {
        return sys_real()->write(sys_real()->self, fd, bytes, size_bytes);
    }
    struct buffer *buffer = fd == STDOUT_FILENO ? &program.out : &program.told;
    assert_true(buffer_append(buffer, (struct text){bytes, size_bytes}, &err));
    return (ssize_t)size_bytes;
}

/* Words end with NULL. Returns the exit status; output stands in program.out and .told. */
static int program_run(const char *first, ...) {
    char *words[PROGRAM_WORDS_MAX] = {"periodclose"};
    int count = 1;
    struct err err = {0};
    va_list arguments;
    va_start(arguments, first);
    for (const char *word = first; word != NULL; word = va_arg(arguments, const char *)) {
        assert_true(count < PROGRAM_WORDS_MAX);
        words[count++] = (char *)(uintptr_t)word;
    }
    va_end(arguments);
    program.sys = *sys_real();
    program.sys.write = program_write;
    buffer_clear(&program.out);
    buffer_clear(&program.told);
    int status = cli_main(count, words, &program.sys);
    assert_true(buffer_append(&program.out, (struct text){"", 1}, &err)); /* terminated */
    assert_true(buffer_append(&program.told, (struct text){"", 1}, &err));
    return status;
}

#define assert_status(expected, ...)                                                               \
    do {                                                                                           \
        int actual_status = program_run(__VA_ARGS__, NULL);                                        \
        if (actual_status != (expected)) {                                                         \
            fail_msg("status %d instead of %d\n%s%s", actual_status, (int)(expected),              \
                     program.out.bytes, program.told.bytes);                                       \
        }                                                                                          \
    } while (0)

#define assert_says(buffer, expected)                                                              \
    do {                                                                                           \
        if (strstr((buffer).bytes, (expected)) == NULL) {                                          \
            fail_msg("'%s' is not in:\n%s", (expected), (buffer).bytes);                           \
        }                                                                                          \
    } while (0)

static int program_setup(void **state) {
    char folder[FILE_PATH_MAX / 2];
    char dataset[FILE_PATH_MAX];
    if (getcwd(folder, sizeof folder) == NULL || scratch_setup(state) != 0) {
        return -1;
    }
    (void)snprintf(fixture, sizeof fixture, "%s/fixtures/acme", folder);
    (void)snprintf(dataset, sizeof dataset, "%s/dataset", fixture);
    int status = program_run("run", "--period", "2024-02", "--cutoff", "2024-03-31T02:00:00Z",
                             "--now", "2024-05-01T00:00:00Z", "--source", dataset, "--run-dir",
                             "close", "--jobs", "1", NULL);
    if (status != ERR_SET_ASIDE) {
        (void)printf("closing fixtures/acme failed: %d\n%s", status, program.told.bytes);
        return -1;
    }
    return 0;
}

static int program_teardown(void **state) {
    buffer_release(&program.out);
    buffer_release(&program.told);
    return scratch_teardown(state);
}

#endif
