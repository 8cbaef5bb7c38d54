/*
 * An operating system that fails on command: the struct sys that tests hand to the program in place
 * of sys_real().
 *
 * Every file call made through it has a number, from 1 on. The clock has none, and is the real one.
 * The plan says what happens at call number `at`:
 *
 *   FAULT_NONE        nothing; only counts
 *   FAULT_FAIL_ONCE   that call fails with `error` (ENOSPC, EIO, EINTR, ENOMEM, …), later ones work
 *   FAULT_FAIL_FROM   that call and all later ones fail with `error` (not EINTR: it is tried again)
 *   FAULT_SHORT       that call, if it reads or writes more than one byte, does half of them
 *   FAULT_DIE         the process ends with _exit(FAULT_DIED_STATUS) in place of the call
 *
 * A failing call has no effect, but close still closes and unmap still unmaps. With FAULT_DIE,
 * `loss` says what the machine does to the disk at that moment:
 *
 *   FAULT_LOSS_NONE   nothing: only the process died
 *   FAULT_LOSS_DROP   power cut: what was not synced is gone (power_cut.h says what that means)
 *   FAULT_LOSS_TEAR   power cut: of unsynced bytes the first half made it to the disk
 *
 * Paths under one of may_be_lost (NULL-terminated, or NULL; spelled as the program spells them) are
 * spared by a power cut: for scratch files whose loss nobody would notice.
 *
 * The loop over a whole program, in a fresh folder each time:
 *
 *     for (uint64_t at = 1;; at++) {
 *         prepare the folder
 *         struct fault_plan plan = {.mode = FAULT_DIE, .at = at, .loss = FAULT_LOSS_TEAR};
 *         enum fault_outcome outcome = fault_run(plan, body, context);
 *         if (outcome == FAULT_OUTCOME_CALM) {
 *             break;                      call number `at` was never made: all have been tried
 *         }
 *         run body again over sys_real(); everything must be as after a calm run
 *     }
 *
 * Numbers repeat from run to run when one thread makes the calls. With several it works and does
 * not deadlock, but which call gets which number varies.
 */
#ifndef PERIODCLOSE_TESTS_SUPPORT_FAULT_SYS_H
#define PERIODCLOSE_TESTS_SUPPORT_FAULT_SYS_H

#include <stdatomic.h>

#include "support/power_cut.h"
#include "sys/sys.h"

enum { FAULT_DIED_STATUS = 77 };

enum fault_mode { FAULT_NONE, FAULT_FAIL_ONCE, FAULT_FAIL_FROM, FAULT_SHORT, FAULT_DIE };

enum fault_loss { FAULT_LOSS_NONE, FAULT_LOSS_DROP, FAULT_LOSS_TEAR };

struct fault_plan {
    enum fault_mode mode;
    uint64_t at; /* from 1 on */
    int error;   /* FAULT_FAIL_*: an errno, positive */
    enum fault_loss loss;
    const char *const *may_be_lost;
};

struct fault_sys {
    struct sys sys; /* hand &fault.sys to the program; the struct must not move meanwhile */
    struct fault_plan plan;
    _Atomic uint64_t calls;
    struct power *power;     /* NULL unless the plan has a loss */
    const struct sys *inner; /* what does the calls */
};

void fault_sys_init(struct fault_sys *fault, struct fault_plan plan);
void fault_sys_release(struct fault_sys *fault);
uint64_t fault_sys_calls(const struct fault_sys *fault); /* made so far */
bool fault_sys_fired(const struct fault_sys *fault);     /* call number `at` was made */

enum fault_outcome {
    FAULT_OUTCOME_CALM,     /* body was fine, and never made call number `at` */
    FAULT_OUTCOME_FINE,     /* body was fine in spite of the fault */
    FAULT_OUTCOME_REPORTED, /* body returned false after the fault */
    FAULT_OUTCOME_DIED,     /* FAULT_DIE struck */
};

/*
 * Runs body in a child process with a fault_sys made after the plan. body returns whether all went
 * well, and must not use the assertions of cmocka (they would run on in the child). A child that
 * fails without a fault, crashes or takes longer than FAULT_RUN_SECONDS_MAX stops the test program
 * with a message: none of these is ever right.
 */
enum { FAULT_RUN_SECONDS_MAX = 60 };

enum fault_outcome fault_run(struct fault_plan plan,
                             bool (*body)(const struct sys *sys, void *context), void *context);

#endif
