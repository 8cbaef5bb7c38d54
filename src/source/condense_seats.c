/*
 * Seats: the table of assignments, and the level they make. One org's movements are kept in a
 * sorter too, since an org may have millions; of one user's assignments all are in memory.
 */
#include <assert.h>

#include "condense.h"
#include "core/memory.h"
#include "rating/seats.h"

/* A sorted record: struct seat_record, user_id, role. */
struct seat_view {
    struct seat_record record;
    struct text user_id;
    struct text role;
};

static inline struct seat_view view_of(const struct sorter_record *sorted) {
    struct seat_view view;
    memcpy(&view.record, sorted->bytes, sizeof view.record);
    const char *texts = (const char *)sorted->bytes + sizeof view.record;
    view.user_id = (struct text){texts, view.record.user_id_bytes};
    view.role = (struct text){texts + view.record.user_id_bytes, view.record.role_bytes};
    return view;
}

/* The order of the table, and role last so that it does not depend on the input's. */
static int compare_seats(const struct sorter_record *left_sorted,
                         const struct sorter_record *right_sorted) {
    struct seat_view left = view_of(left_sorted);
    struct seat_view right = view_of(right_sorted);
    int order = text_compare(left.user_id, right.user_id);
    if (order == 0) {
        order = instant_compare((struct instant){left.record.assigned_at_us},
                                (struct instant){right.record.assigned_at_us});
    }
    if (order == 0) {
        order = instant_compare((struct instant){left.record.revoked_at_us},
                                (struct instant){right.record.revoked_at_us});
    }
    return order != 0 ? order : text_compare(left.role, right.role);
}

sorter_compare *const condense_compare_seats = compare_seats;

static int compare_movements(const struct sorter_record *left_sorted,
                             const struct sorter_record *right_sorted) {
    struct seat_movement left;
    struct seat_movement right;
    memcpy(&left, left_sorted->bytes, sizeof left);
    memcpy(&right, right_sorted->bytes, sizeof right);
    return seat_movement_compare(&left, &right);
}

sorter_compare *const condense_compare_movements = compare_movements;

enum { PREFIX_USER_BYTES = 6 };

_Static_assert(BUCKET_ORGS_MAX <= 1 << (64 - 8 * PREFIX_USER_BYTES), "an org must fit before them");

/* The org, then the first bytes of the user. */
static uint64_t prefix_of(const struct condense *condense, uint32_t org, struct text user_id) {
    uint64_t prefix = org - condense->usage->buckets[condense->bucket].org_first;
    for (size_t index = 0; index < PREFIX_USER_BYTES; index++) {
        prefix =
            prefix << 8 | (index < user_id.size_bytes ? (unsigned char)user_id.bytes[index] : 0);
    }
    return prefix;
}

/* Copies into joined what does not lie together in the stream's chunk. */
static bool join_seat(struct condense *condense, const struct seat_record *record,
                      struct text texts, struct err *err) {
    buffer_clear(&condense->joined);
    return buffer_append(&condense->joined, (struct text){(const char *)record, sizeof *record},
                         err) &&
           buffer_append(&condense->joined, texts, err);
}

static bool take_seats(struct condense *condense, struct spill_reader *reader, struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *whole;
        const unsigned char *bytes;
        struct seat_record record;
        if (!spill_take(reader, sizeof record, &whole, err)) {
            return false;
        }
        memcpy(&record, whole, sizeof record);
        struct text texts = {.size_bytes = (size_t)record.user_id_bytes + record.role_bytes};
        if (!spill_take(reader, texts.size_bytes, &bytes, err)) {
            return false;
        }
        texts.bytes = (const char *)bytes;
        if (bytes != whole + sizeof record) {
            if (!join_seat(condense, &record, texts, err)) {
                return false;
            }
            whole = (const unsigned char *)condense->joined.bytes;
        }
        uint64_t prefix =
            prefix_of(condense, record.org, (struct text){texts.bytes, record.user_id_bytes});
        if (!sorter_add(condense->seats, prefix, whole, sizeof record + texts.size_bytes, err)) {
            return false;
        }
    }
    return true;
}

bool condense_load_seats(struct condense *condense, struct err *err) {
    sorter_reset(condense->seats);
    return condense_each_stream(condense, STREAM_SEATS, take_seats, err) &&
           sorter_finish(condense->seats, err) &&
           sorter_next(condense->seats, &condense->seats_front, err);
}

/* --- one user ----------------------------------------------------------------------------------
 */

static bool grow_assignments(struct condense *condense, struct err *err) {
    size_t capacity = condense->assignments_capacity == 0 ? 64 : 2 * condense->assignments_capacity;
    struct seat_assignment *assignments =
        mem_realloc(condense->assignments, capacity * sizeof *assignments);
    if (assignments == NULL) {
        return err_memory(err, capacity * sizeof *assignments);
    }
    condense->assignments = assignments;
    struct seat_movement *movements =
        mem_realloc(condense->user_movements, 2 * capacity * sizeof *movements);
    if (movements == NULL) {
        return err_memory(err, 2 * capacity * sizeof *movements);
    }
    condense->user_movements = movements;
    condense->assignments_capacity = capacity;
    return true;
}

static bool write_seat(struct condense *condense, const struct seat_view *seat, struct err *err) {
    struct table_writer *writer = condense->writers->seats;
    table_put_text(writer, SEATS_ORG_ID, condense->usage->catalog->orgs[seat->record.org].org_id);
    table_put_text(writer, SEATS_USER_ID, seat->user_id);
    if (seat->role.size_bytes > 0) {
        table_put_text(writer, SEATS_ROLE, seat->role);
    }
    table_put_instant(writer, SEATS_ASSIGNED_AT, (struct instant){seat->record.assigned_at_us});
    if (seat->record.revoked_at_us != INT64_MAX) {
        table_put_instant(writer, SEATS_REVOKED_AT, (struct instant){seat->record.revoked_at_us});
    }
    return table_end_row(writer, err);
}

static void see_seat(const struct calendar *calendar, const struct seat_record *seat,
                     struct condense_seats *seats) {
    if (seat->assigned_at_us >= seat->revoked_at_us ||
        seat->assigned_at_us >= calendar_end(calendar).us ||
        seat->revoked_at_us <= calendar_start(calendar).us) {
        return;
    }
    seats->has_any = true;
    seats->first_us =
        seat->assigned_at_us < seats->first_us ? seat->assigned_at_us : seats->first_us;
    seats->last_us = seat->assigned_at_us > seats->last_us ? seat->assigned_at_us : seats->last_us;
}

/* Writes the rows of the front's user, and collects them in assignments[]. */
static bool take_user(struct condense *condense, const struct calendar *calendar,
                      struct condense_seats *seats, size_t *count, struct err *err) {
    struct seat_view seat = view_of(&condense->seats_front);
    uint32_t org = seat.record.org;
    buffer_clear(&condense->user_id);
    if (!buffer_append(&condense->user_id, seat.user_id, err)) {
        return false;
    }
    struct text user_id = buffer_text(&condense->user_id);
    *count = 0;
    while (condense->seats_front.bytes != NULL) {
        seat = view_of(&condense->seats_front);
        if (seat.record.org != org || !text_equals(seat.user_id, user_id)) {
            return true;
        }
        if (*count == condense->assignments_capacity && !grow_assignments(condense, err)) {
            return false;
        }
        condense->assignments[(*count)++] = (struct seat_assignment){
            .user_id = user_id,
            .assigned_at.us = seat.record.assigned_at_us,
            .has_revoked_at = seat.record.revoked_at_us != INT64_MAX,
            .revoked_at.us = seat.record.revoked_at_us,
        };
        see_seat(calendar, &seat.record, seats);
        if (!write_seat(condense, &seat, err) ||
            !sorter_next(condense->seats, &condense->seats_front, err)) {
            return false;
        }
    }
    return true;
}

/* --- one org -----------------------------------------------------------------------------------
 */

static bool add_movements(struct condense *condense, const struct calendar *calendar, size_t count,
                          int64_t *opening, int64_t *closing, struct err *err) {
    size_t movements_count =
        seats_to_movements(condense->assignments, count, condense->user_movements);
    for (size_t index = 0; index < movements_count; index++) {
        const struct seat_movement *movement = &condense->user_movements[index];
        if (movement->at.us >= calendar_end(calendar).us) {
            continue;
        }
        *closing += movement->change;
        if (movement->at.us < calendar_start(calendar).us) {
            *opening += movement->change;
            continue;
        }
        uint64_t prefix = (uint64_t)(movement->at.us - calendar_start(calendar).us);
        if (!sorter_add(condense->movements, prefix, movement, sizeof *movement, err)) {
            return false;
        }
    }
    return true;
}

bool condense_take_seats(struct condense *condense, uint32_t rank, struct condense_seats *seats,
                         struct err *err) {
    const struct calendar *calendar = &condense->usage->catalog->orgs[rank].calendar->calendar;
    *seats = (struct condense_seats){.first_us = INT64_MAX, .last_us = INT64_MIN};
    sorter_reset(condense->movements);
    int64_t opening = 0;
    int64_t closing = 0;
    while (condense->seats_front.bytes != NULL &&
           view_of(&condense->seats_front).record.org == rank) {
        size_t count;
        if (!take_user(condense, calendar, seats, &count, err) ||
            !add_movements(condense, calendar, count, &opening, &closing, err)) {
            return false;
        }
    }
    (void)decimal_from_int64(opening, &seats->opening);
    (void)decimal_from_int64(closing, &seats->closing);
    return sorter_finish(condense->movements, err);
}

bool condense_seat_level(struct condense *condense, const struct condense_series *series,
                         const struct condense_seats *seats, struct err *err) {
    if (!seats->has_any) {
        return true;
    }
    struct level_meter meter;
    struct level_result result;
    const struct level_window window = {
        .calendar = &series->org->calendar->calendar,
        .subscribed = series->org->subscribed,
        .subscribed_count = series->org->subscribed_count,
    };
    level_meter_init(&meter, window, seats->opening, &result);
    for (;;) {
        struct sorter_record sorted;
        if (!sorter_next(condense->movements, &sorted, err)) {
            return false;
        }
        if (sorted.bytes == NULL) {
            break;
        }
        struct seat_movement movement;
        struct decimal change;
        memcpy(&movement, sorted.bytes, sizeof movement);
        (void)decimal_from_int64(movement.change, &change);
        if (!level_meter_add(&meter, movement.at, false, change)) {
            return condense_out_of_range(series, err);
        }
    }
    if (!level_meter_finish(&meter)) {
        return condense_out_of_range(series, err);
    }
    /* Assignments are no events of usage: the row counts none. */
    struct condense_events none = CONDENSE_EVENTS_NONE;
    return condense_write_level(condense, series, &none, &result, err);
}
