/* The clock: read once at start for `now`, and for progress. Stages never see it. */
#ifndef PERIODCLOSE_SYS_CLOCK_H
#define PERIODCLOSE_SYS_CLOCK_H

#include "core/instant.h"
#include "sys/sys.h"

struct instant clock_now(const struct sys *sys);
/* For waits, rates and time left: it stands still while the machine is suspended. */
int64_t clock_monotonic_us(const struct sys *sys);
/* For what ages elsewhere meanwhile: it does not. Not to be compared with the other one. */
int64_t clock_elapsed_us(const struct sys *sys);

#endif
