/*
 * The process: signals, terminals, host and process names, worker threads, memory in use.
 *
 * SIGINT and SIGTERM set one flag; long loops ask interrupt_pending() (a relaxed atomic load) and
 * stop at the next safe point with ERR_INTERRUPTED through interrupt_check.
 */
#ifndef PERIODCLOSE_SYS_PROCESS_H
#define PERIODCLOSE_SYS_PROCESS_H

#include "core/err.h"
#include "sys/sys.h"

void interrupt_install(void); /* handlers for SIGINT and SIGTERM; SIGPIPE ignored */
bool interrupt_pending(void);
bool interrupt_check(struct err *err); /* false and ERR_INTERRUPTED when one is pending */
void interrupt_clear(void);            /* tests */

bool process_is_terminal(int fd);
/* 0: no terminal, or one that cannot draw over a line (TERM=dumb); 80 when it does not say. */
size_t process_terminal_columns(int fd);
int process_id(void);
void process_host_name(char *name, size_t size_bytes);
size_t process_processors_count(void);
/* Highest anonymous memory so far, from /proc/self/status (RssAnon is sampled); 0 if unknown. */
uint64_t process_anonymous_bytes(void);

/*
 * Runs work(context, index) for each index 0 … count - 1 on at most jobs threads (the calling one
 * included; jobs == 1 makes no thread and goes in order). Indices are taken in ascending order. The
 * first failure (lowest index) is returned in err and stops the handing out of further indices;
 * those under way are finished.
 */
bool process_parallel(size_t jobs, size_t count,
                      bool (*work)(void *context, size_t index, struct err *err), void *context,
                      struct err *err);
/*
 * The same for work that is only hashing and reading: with one job it has one thread more than
 * that, as savers have theirs, where sys lets it have one.
 */
bool process_parallel_beside(const struct sys *sys, size_t jobs, size_t count,
                             bool (*work)(void *context, size_t index, struct err *err),
                             void *context, struct err *err);

#endif
