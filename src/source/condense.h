/*
 * Condensing one bucket: from its streams to rows of the tables, org by org and slot by slot.
 *
 *     flows    added up in cells, one per (slot, day), for a window of slots at a time; streams of
 *              pairs are read once per window, mostly once in all
 *     series   rows of levels, and unique keys, sorted by slot: taken as their slot comes
 *     asides   sorted by org, metric, kind
 *     seats    sorted by org, user, time
 *
 * Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_CONDENSE_H
#define PERIODCLOSE_SOURCE_CONDENSE_H

#include "usage_state.h"

/* What one slot has on one day: see condense_flows.c. */
struct cell {
    int64_t mantissas; /* a sum, times ten to the places */
    uint32_t count;    /* of events */
    uint8_t places;
    uint8_t padding[3];
};

/* The same where it does not fit. */
struct wide_cell {
    struct tally sum;
    uint64_t count;
};

/* What a slot of the window has, beyond its cells. */
struct slot_state {
    const struct calendar *calendar;
    uint64_t first_us; /* of its events, since the period's start */
    uint64_t last_us;
    uint32_t days; /* bit per day with events; the cells of all others are zero */
    bool is_even;  /* every day of the calendar has 24 hours */
};

_Static_assert(CALENDAR_DAYS_MAX <= 32, "a bit per day");

/* Metric of a price, looked up before. */
struct condense_metric {
    const struct catalog_price *price;
    uint32_t metric;
};

enum { CONDENSE_METRICS_COUNT = 64 };

struct condense {
    struct usage *usage;
    const struct usage_writers *writers;
    size_t shard_index;
    uint32_t bucket;

    struct cell *cells; /* [slot - window_from][day], CALENDAR_DAYS_MAX days */
    struct slot_state *slots;
    struct wide_cell *wide;
    size_t wide_count;
    size_t wide_capacity;
    uint32_t window_from;
    uint32_t window_until;
    uint32_t window_capacity;
    int64_t *starts_us; /* of the org's period, by slot of the bucket */
    size_t starts_capacity;

    struct sorter *series;
    struct sorter_record series_front;
    struct buffer joined; /* a record and what follows it */
    struct sorter *asides;
    struct sorter_record asides_front;
    struct sorter *seats;
    struct sorter_record seats_front;
    struct sorter *movements;            /* of the seats of one org */
    struct seat_assignment *assignments; /* of one user */
    struct seat_movement *user_movements;
    size_t assignments_capacity;
    struct buffer user_id;

    struct metric_totals *metered; /* by metric */
    struct condense_metric metrics[CONDENSE_METRICS_COUNT];
};

/* The org and price being written. */
struct condense_series {
    uint32_t rank;
    const struct catalog_org *org;
    const struct catalog_price *price;
    uint32_t slot; /* in the bucket */
};

/* What a row of `series` tells of a flow's or level's metered events. */
struct condense_events {
    uint64_t count;
    struct tally units; /* of changes */
    int64_t first_us;
    int64_t last_us;
};

#define CONDENSE_EVENTS_NONE ((struct condense_events){.first_us = INT64_MAX, .last_us = INT64_MIN})

static inline void condense_events_see(struct condense_events *events, int64_t at_us) {
    events->first_us = at_us < events->first_us ? at_us : events->first_us;
    events->last_us = at_us > events->last_us ? at_us : events->last_us;
}

bool condense_out_of_range(const struct condense_series *series, struct err *err);

/* Calls take for each stream of the bucket, one per feed, that is not empty. */
bool condense_each_stream(struct condense *condense, enum usage_stream stream,
                          bool (*take)(struct condense *condense, struct spill_reader *reader,
                                       struct err *err),
                          struct err *err);

/* How the records of each sorter are ordered. */
extern sorter_compare *const condense_compare_series;
extern sorter_compare *const condense_compare_asides;
extern sorter_compare *const condense_compare_seats;
extern sorter_compare *const condense_compare_movements;

/* Index of the day that holds an instant of the period. */
size_t condense_day(const struct calendar *calendar, int64_t at_us);

/* The number that the next row of series has. */
static inline int64_t condense_series_number(const struct condense *condense) {
    return (int64_t)((uint64_t)condense->shard_index << 32 |
                     table_writer_rows_count(condense->writers->series));
}
/* Begins a row of series; the caller adds levels, if any, and ends it. */
bool condense_begin_series(struct condense *condense, const struct condense_series *series,
                           const struct condense_events *events, struct err *err);

/* flows */
bool condense_open_window(struct condense *condense, uint32_t slot, struct err *err);
bool condense_flow(struct condense *condense, const struct condense_series *series,
                   struct err *err);

/* levels and keys */
/* Adds the record with the event_id that follows it in the stream, if any. */
bool condense_sort(struct condense *condense, struct sorter *sorter,
                   const struct sorter_record *head, struct spill_reader *reader,
                   size_t event_id_bytes, struct err *err);
bool condense_load_series(struct condense *condense, struct err *err);
bool condense_keys(struct condense *condense, const struct condense_series *series, int64_t number,
                   struct err *err);
bool condense_level(struct condense *condense, const struct condense_series *series,
                    struct err *err);
bool condense_write_level(struct condense *condense, const struct condense_series *series,
                          const struct condense_events *events, const struct level_result *result,
                          struct err *err);

/* seats; unpriced: what an org without a price for seats has at its period's end */
struct condense_seats {
    bool has_any; /* active at some time in the period */
    struct decimal opening;
    struct decimal closing;
    int64_t first_us; /* of the assignments active in the period, by assigned_at */
    int64_t last_us;
};

bool condense_load_seats(struct condense *condense, struct err *err);
/* Writes the org's rows of seats and makes its movements ready for condense_seat_level. */
bool condense_take_seats(struct condense *condense, uint32_t rank, struct condense_seats *seats,
                         struct err *err);
bool condense_seat_level(struct condense *condense, const struct condense_series *series,
                         const struct condense_seats *seats, struct err *err);

/* asides; seats: those to be told as unpriced, or NULL */
bool condense_load_asides(struct condense *condense, struct err *err);
bool condense_asides(struct condense *condense, uint32_t rank, const struct condense_seats *seats,
                     struct err *err);
bool condense_asides_seats(struct condense *condense, struct text org_id,
                           const struct condense_seats *seats, struct err *err);

#endif
