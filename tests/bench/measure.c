/*
 * Runs a command and says what it took.
 *
 *     measure RESULT COMMAND [ARGUMENT]...
 *
 * Writes one line of name=value pairs to the file RESULT: wall_us, cpu_us (user and system, with
 * the command's own children), anon_kb (the most anonymous memory seen) and hwm_kb (the most
 * resident memory, which counts the page cache of mapped files too). Exits as the command did; a
 * command that died of a signal counts as 128 + signal.
 *
 * Anonymous memory has no high-water mark in Linux, so it is sampled every few milliseconds: a peak
 * shorter than that is missed. Only the command itself is sampled, not its children.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SAMPLE_EVERY_NS = 2000000,
    STATUS_SIZE_MAX = 8192,
};

struct peaks {
    uint64_t anon_kb;
    uint64_t hwm_kb;
};

static void fail(const char *what) {
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    exit(125);
}

static uint64_t now_us(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        fail("clock");
    }
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The number after `name` in the text of /proc/PID/status, 0 when the line is not there. */
static uint64_t status_kb(const char *text, const char *name) {
    const char *line = strstr(text, name);
    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10);
}

/* The file stays open: read again from its start, it tells the state of that moment. */
static void sample(int status_file, struct peaks *peaks) {
    char text[STATUS_SIZE_MAX];
    ssize_t size = pread(status_file, text, sizeof text - 1, 0);
    if (size <= 0) {
        return;
    }
    text[size] = '\0';
    uint64_t anon_kb = status_kb(text, "\nRssAnon:");
    uint64_t hwm_kb = status_kb(text, "\nVmHWM:");
    peaks->anon_kb = anon_kb > peaks->anon_kb ? anon_kb : peaks->anon_kb;
    peaks->hwm_kb = hwm_kb > peaks->hwm_kb ? hwm_kb : peaks->hwm_kb;
}

static int open_status(pid_t child) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)child);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fail(path);
    }
    return file;
}

/* Samples until the command ends; the rusage is that of the command and of its children. */
static int wait_for(pid_t child, struct peaks *peaks, struct rusage *usage) {
    int status_file = open_status(child);
    int status = 0;
    for (;;) {
        sample(status_file, peaks);
        pid_t ended = wait4(child, &status, WNOHANG, usage);
        if (ended == child) {
            break;
        }
        if (ended < 0 && errno != EINTR) {
            fail("wait");
        }
        struct timespec pause = {.tv_nsec = SAMPLE_EVERY_NS};
        (void)nanosleep(&pause, NULL);
    }
    (void)close(status_file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static uint64_t timeval_us(const struct timeval *value) {
    return (uint64_t)value->tv_sec * 1000000 + (uint64_t)value->tv_usec;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fputs("usage: measure RESULT COMMAND [ARGUMENT]...\n", stderr);
        return 2;
    }
    uint64_t start_us = now_us();
    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        (void)execvp(argv[2], argv + 2);
        fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    struct peaks peaks = {0};
    struct rusage usage = {0};
    int exit_code = wait_for(child, &peaks, &usage);
    uint64_t wall_us = now_us() - start_us;
    uint64_t cpu_us = timeval_us(&usage.ru_utime) + timeval_us(&usage.ru_stime);
    FILE *result = fopen(argv[1], "w");
    if (result == NULL) {
        fail(argv[1]);
    }
    fprintf(result, "wall_us=%llu cpu_us=%llu anon_kb=%llu hwm_kb=%llu exit=%d\n",
            (unsigned long long)wall_us, (unsigned long long)cpu_us,
            (unsigned long long)peaks.anon_kb, (unsigned long long)peaks.hwm_kb, exit_code);
    if (fclose(result) != 0) {
        fail(argv[1]);
    }
    return exit_code;
}
