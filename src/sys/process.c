#include "sys/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- signals -------------------------------------------------------------------------------- */

static atomic_bool interrupted;

_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "a handler may only touch a lock-free flag");

static void on_interrupt(int signal_number) {
    (void)signal_number;
    atomic_store_explicit(&interrupted, true, memory_order_relaxed);
}

static void set_handler(int signal_number, void (*handler)(int)) {
    /* Without SA_RESTART: a long wait must wake up to see the flag. */
    struct sigaction action = {.sa_handler = handler};
    (void)sigemptyset(&action.sa_mask);
    int result = sigaction(signal_number, &action, NULL);
    assert(result == 0);
    (void)result;
}

void interrupt_install(void) {
    set_handler(SIGINT, on_interrupt);
    set_handler(SIGTERM, on_interrupt);
    set_handler(SIGPIPE, SIG_IGN);
}

bool interrupt_pending(void) {
    return atomic_load_explicit(&interrupted, memory_order_relaxed);
}

bool interrupt_check(struct err *err) {
    if (!interrupt_pending()) {
        return true;
    }
    (void)err_set(err, ERR_INTERRUPTED, "stopped by a signal");
    return err_hint(err, "type the same command again to go on where it stopped");
}

void interrupt_clear(void) {
    atomic_store_explicit(&interrupted, false, memory_order_relaxed);
}

/* --- who and where -------------------------------------------------------------------------- */

bool process_is_terminal(int fd) {
    return isatty(fd) == 1;
}

size_t process_terminal_columns(int fd) {
    struct winsize size = {0};
    const char *kind = getenv("TERM");
    if (!process_is_terminal(fd) || kind == NULL || strcmp(kind, "dumb") == 0) {
        return 0;
    }
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

int process_id(void) {
    return (int)getpid();
}

void process_host_name(char *name, size_t size_bytes) {
    assert(size_bytes > 0);
    char full[256] = "";
    /* A name that fills the whole array comes without its end. */
    if (gethostname(full, sizeof full - 1) != 0 || full[0] == '\0') {
        (void)snprintf(full, sizeof full, "unknown");
    }
    (void)snprintf(name, size_bytes, "%s", full);
}

size_t process_processors_count(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0) {
        return (size_t)CPU_COUNT(&allowed);
    }
    /* More processors than the set has bits for. */
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

/* Reads a small file of /proc whole, as a string; empty when it cannot. */
static void read_proc(const char *path, char *content, size_t size_bytes) {
    size_t done = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && done < size_bytes - 1) {
        ssize_t result = read(fd, content + done, size_bytes - 1 - done);
        if (result < 0 && errno == EINTR) {
            continue;
        }
        if (result <= 0) {
            break;
        }
        done += (size_t)result;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    content[done] = '\0';
}

uint64_t process_anonymous_bytes(void) {
    static _Atomic uint64_t highest;
    static const char LABEL[] = "\nRssAnon:";
    char status[16 * 1024];
    read_proc("/proc/self/status", status, sizeof status);
    uint64_t bytes = 0;
    const char *digit = strstr(status, LABEL);
    if (digit != NULL) {
        digit += sizeof LABEL - 1;
        digit += strspn(digit, " \t");
        for (; *digit >= '0' && *digit <= '9'; digit++) {
            bytes = bytes * 10 + (uint64_t)(*digit - '0');
        }
        bytes *= 1024; /* the kernel says kB and means 1,024 bytes */
    }
    uint64_t known = atomic_load(&highest);
    while (bytes > known && !atomic_compare_exchange_weak(&highest, &known, bytes)) {
    }
    return bytes > known ? bytes : known;
}

/* --- worker threads ------------------------------------------------------------------------- */

enum { PARALLEL_THREADS_MAX = 256 };

struct parallel {
    size_t count;
    bool (*work)(void *context, size_t index, struct err *err);
    void *context;
    pthread_mutex_t mutex; /* guards what follows */
    size_t next;
    size_t failed_index;
    bool has_failed;
    struct err err;
};

/* Takes the next index; false when there is none, or when some index failed. */
static bool parallel_take(struct parallel *parallel, size_t *index) {
    (void)pthread_mutex_lock(&parallel->mutex);
    bool is_taken = !parallel->has_failed && parallel->next < parallel->count;
    if (is_taken) {
        *index = parallel->next++;
    }
    (void)pthread_mutex_unlock(&parallel->mutex);
    return is_taken;
}

/* Keeps err when it belongs to the lowest index that failed so far, releases it otherwise. */
static void parallel_fail(struct parallel *parallel, size_t index, struct err *err) {
    (void)pthread_mutex_lock(&parallel->mutex);
    if (!parallel->has_failed || index < parallel->failed_index) {
        err_release(&parallel->err);
        parallel->err = *err;
        parallel->failed_index = index;
        parallel->has_failed = true;
    } else {
        err_release(err);
    }
    (void)pthread_mutex_unlock(&parallel->mutex);
}

static void *parallel_run(void *argument) {
    struct parallel *parallel = argument;
    size_t index;
    while (parallel_take(parallel, &index)) {
        struct err err = {0};
        if (!parallel->work(parallel->context, index, &err)) {
            assert(err.code != ERR_NONE);
            parallel_fail(parallel, index, &err);
        }
    }
    return NULL;
}

/* sys NULL: the operating system's own threads. */
static bool parallel_start(const struct sys *sys, struct parallel *parallel, pthread_t *thread) {
    return sys == NULL ? pthread_create(thread, NULL, parallel_run, parallel) == 0
                       : sys->thread_start(sys->self, parallel_run, parallel, thread) == 0;
}

static void parallel_join(const struct sys *sys, pthread_t thread) {
    if (sys == NULL) {
        (void)pthread_join(thread, NULL);
    } else {
        sys->thread_join(sys->self, thread);
    }
}

/* On the calling thread and helpers_max others. */
static bool parallel_do(struct parallel *parallel, const struct sys *sys, size_t helpers_max,
                        struct err *err) {
    (void)pthread_mutex_init(&parallel->mutex, NULL);
    pthread_t threads[PARALLEL_THREADS_MAX];
    size_t threads_count = 0;
    size_t useful = parallel->count > 0 ? parallel->count - 1 : 0;
    size_t helpers = helpers_max < useful ? helpers_max : useful;
    if (helpers > PARALLEL_THREADS_MAX) {
        helpers = PARALLEL_THREADS_MAX;
    }
    /* A thread that cannot be had only makes it slower: the others do its share. */
    while (threads_count < helpers && parallel_start(sys, parallel, &threads[threads_count])) {
        threads_count++;
    }
    (void)parallel_run(parallel);
    for (size_t index = 0; index < threads_count; index++) {
        parallel_join(sys, threads[index]);
    }
    (void)pthread_mutex_destroy(&parallel->mutex);
    if (parallel->has_failed) {
        assert(err->code == ERR_NONE);
        *err = parallel->err;
        return false;
    }
    return true;
}

bool process_parallel(size_t jobs, size_t count,
                      bool (*work)(void *context, size_t index, struct err *err), void *context,
                      struct err *err) {
    assert(jobs >= 1);
    struct parallel parallel = {.count = count, .work = work, .context = context};
    return parallel_do(&parallel, NULL, jobs - 1, err);
}

bool process_parallel_beside(const struct sys *sys, size_t jobs, size_t count,
                             bool (*work)(void *context, size_t index, struct err *err),
                             void *context, struct err *err) {
    assert(jobs >= 1);
    struct parallel parallel = {.count = count, .work = work, .context = context};
    return jobs > 1 ? parallel_do(&parallel, NULL, jobs - 1, err)
                    : parallel_do(&parallel, sys, 1, err);
}
