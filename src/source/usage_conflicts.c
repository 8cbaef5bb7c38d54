#include "usage_conflicts.h"

void conflicts_add(struct conflicts *conflicts, const struct conflict *conflict) {
    size_t place = conflicts->count;
    while (place > 0 && conflicts->rows[place - 1].where > conflict->where) {
        place--;
    }
    if (place == CONFLICTS_MAX) {
        return;
    }
    if (conflicts->count < CONFLICTS_MAX) {
        conflicts->count++;
    }
    memmove(&conflicts->rows[place + 1], &conflicts->rows[place],
            (conflicts->count - 1 - place) * sizeof *conflict);
    conflicts->rows[place] = *conflict;
}

void conflicts_keep(struct conflicts *conflicts, uint64_t until) {
    size_t left = 0;
    for (size_t index = 0; index < conflicts->count; index++) {
        if (conflicts->rows[index].hash[1] <= until) {
            conflicts->rows[left++] = conflicts->rows[index];
        }
    }
    conflicts->count = left;
}

void conflicts_unite(struct conflicts *conflicts) {
    for (size_t index = 0; index < conflicts->count; index++) {
        struct conflict *conflict = &conflicts->rows[index];
        for (size_t same = 0; same < conflicts->count; same++) {
            const struct conflict *other = &conflicts->rows[same];
            if (memcmp(other->hash, conflict->hash, sizeof other->hash) == 0 &&
                other->other < conflict->other) {
                conflict->other = other->other;
            }
        }
    }
}
