#include "sys/clock.h"

struct instant clock_now(const struct sys *sys) {
    return (struct instant){sys->now_us(sys->self)};
}

int64_t clock_monotonic_us(const struct sys *sys) {
    return sys->monotonic_us(sys->self);
}

int64_t clock_elapsed_us(const struct sys *sys) {
    return sys->elapsed_us(sys->self);
}
