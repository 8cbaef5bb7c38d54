/* The clock: read once at start for `now`, and for progress. Stages never see it. */
#ifndef PERIODCLOSE_SYS_CLOCK_H
#define PERIODCLOSE_SYS_CLOCK_H

#include "core/instant.h"
#include "sys/sys.h"

struct instant clock_now(const struct sys *sys);
int64_t clock_monotonic_us(const struct sys *sys);

#endif
