/*
 * Seats: the level made by assignments. A seat is a distinct user of the org, active in the union
 * of its [assigned_at, revoked_at) intervals.
 *
 * Assignments come sorted by (user, assigned_at); each user's union gives movements of +1 and -1,
 * which the caller sorts by instant (seat_movement_compare) and feeds to a level meter as deltas.
 */
#ifndef PERIODCLOSE_RATING_SEATS_H
#define PERIODCLOSE_RATING_SEATS_H

#include "core/instant.h"

struct seat_assignment {
    struct text user_id;
    struct instant assigned_at;
    bool has_revoked_at;
    struct instant revoked_at;
};

struct seat_movement {
    struct instant at;
    int change; /* +1 or -1 */
};

int seat_movement_compare(const struct seat_movement *left, const struct seat_movement *right);

/*
 * assignments sorted by user_id, then assigned_at; movements has room for 2 x count. Empty
 * intervals (revoked at the instant of assignment) count for nothing; touching ones are one.
 * Returns the number of movements, in order of user; not yet sorted by instant.
 */
size_t seats_to_movements(const struct seat_assignment *assignments, size_t assignments_count,
                          struct seat_movement *movements);

#endif
