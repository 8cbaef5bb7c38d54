/*
 * Assignments of one user may overlap, touch or repeat; their union is what counts.
 */
#include "rating/seats.h"

#include <assert.h>

int seat_movement_compare(const struct seat_movement *left, const struct seat_movement *right) {
    int order = instant_compare(left->at, right->at);
    return order != 0 ? order : (left->change > right->change) - (left->change < right->change);
}

static bool assignment_is_empty(const struct seat_assignment *assignment) {
    return assignment->has_revoked_at &&
           instant_compare(assignment->revoked_at, assignment->assigned_at) <= 0;
}

size_t seats_to_movements(const struct seat_assignment *assignments, size_t assignments_count,
                          struct seat_movement *movements) {
    size_t movements_count = 0;
    size_t next = 0;
    while (next < assignments_count) {
        const struct seat_assignment *first = &assignments[next++];
        if (assignment_is_empty(first)) {
            continue;
        }
        bool ends = first->has_revoked_at;
        struct instant end = first->revoked_at;
        /* Takes in whatever of the same user begins before this stretch is over, or at its end. */
        for (; next < assignments_count; next++) {
            const struct seat_assignment *other = &assignments[next];
            if (!text_equals(other->user_id, first->user_id)) {
                break;
            }
            assert(instant_compare(assignments[next - 1].assigned_at, other->assigned_at) <= 0);
            if (assignment_is_empty(other)) {
                continue;
            }
            if (ends && instant_compare(other->assigned_at, end) > 0) {
                break;
            }
            if (!other->has_revoked_at) {
                ends = false;
            } else if (ends && instant_compare(other->revoked_at, end) > 0) {
                end = other->revoked_at;
            }
        }
        movements[movements_count++] =
            (struct seat_movement){.at = first->assigned_at, .change = 1};
        if (ends) {
            movements[movements_count++] = (struct seat_movement){.at = end, .change = -1};
        }
    }
    return movements_count;
}
