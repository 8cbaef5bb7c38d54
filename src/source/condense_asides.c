/*
 * Asides: what was read but not metered, by org, metric and kind: changes are summed; of a level's
 * sets the last one stands, with the changes since.
 */
#include <assert.h>

#include "condense.h"

static const char *const aside_names[ASIDES_KINDS_COUNT] = {
    [ASIDE_LATE] = "late",
    [ASIDE_LATE_EARLIER] = "late_earlier",
    [ASIDE_LATE_OPENING] = "late_opening",
    [ASIDE_UNPRICED] = "unpriced",
};

static const char SEATS_METRIC[] = "seats";

/* Of a prefix, from its end: is it a change? The kind, the metric's rank, the org's place. */
enum { CHANGE_BITS = 1, KIND_BITS = 2, RANK_BITS = 30 };

_Static_assert(ASIDES_KINDS_COUNT <= 1 << KIND_BITS, "a kind must fit the prefix");

static struct level_row set_of(const struct sorter_record *sorted) {
    struct aside_record record;
    memcpy(&record, sorted->bytes, sizeof record);
    return (struct level_row){
        .occurred_at.us = record.occurred_at_us,
        .is_set = true,
        .quantity = record.quantity,
        .event_id = {(const char *)sorted->bytes + sizeof record, record.event_id_bytes},
    };
}

/* The prefix has org, metric by name, kind by name and sets before changes, which only add up. */
static int compare_asides(const struct sorter_record *left, const struct sorter_record *right) {
    if ((left->prefix & 1) != 0) {
        return 0;
    }
    struct level_row left_row = set_of(left);
    struct level_row right_row = set_of(right);
    return level_row_compare(&left_row, &right_row);
}

sorter_compare *const condense_compare_asides = compare_asides;

static bool take_asides(struct condense *condense, struct spill_reader *reader, struct err *err) {
    const struct usage_bucket *bucket = &condense->usage->buckets[condense->bucket];
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        struct aside_record record;
        if (!spill_take(reader, sizeof record, &bytes, err)) {
            return false;
        }
        memcpy(&record, bytes, sizeof record);
        uint64_t prefix = (((uint64_t)(record.org - bucket->org_first) << RANK_BITS |
                            condense->usage->metric_ranks[record.metric])
                               << KIND_BITS |
                           record.kind)
                              << CHANGE_BITS |
                          record.is_change;
        struct sorter_record head = {prefix, (const unsigned char *)&record, sizeof record};
        if (!condense_sort(condense, condense->asides, &head, reader, record.event_id_bytes, err)) {
            return false;
        }
    }
    return true;
}

bool condense_load_asides(struct condense *condense, struct err *err) {
    sorter_reset(condense->asides);
    return condense_each_stream(condense, STREAM_ASIDES, take_asides, err) &&
           sorter_finish(condense->asides, err) &&
           sorter_next(condense->asides, &condense->asides_front, err);
}

struct aside {
    struct text metric;
    enum aside_kind kind;
    struct condense_events events; /* units: the last set's, if any, and those of changes since */
    int64_t set_at_us;             /* the last set's; INT64_MIN: none */
};

static bool write_aside(struct condense *condense, struct text org_id, const struct aside *aside,
                        struct err *err) {
    struct table_writer *writer = condense->writers->asides;
    struct decimal quantity;
    if (!tally_to_decimal(&aside->events.units, &quantity)) {
        return err_set(err, ERR_RANGE,
                       "org '%.*s', metric '%.*s': the %s usage adds up to more than 38 digits",
                       (int)org_id.size_bytes, org_id.bytes, (int)aside->metric.size_bytes,
                       aside->metric.bytes, aside_names[aside->kind]);
    }
    table_put_text(writer, ASIDES_ORG_ID, org_id);
    table_put_text(writer, ASIDES_METRIC, aside->metric);
    table_put_text(writer, ASIDES_KIND, text_from(aside_names[aside->kind]));
    table_put_int64(writer, ASIDES_EVENTS, (int64_t)aside->events.count);
    table_put_decimal(writer, ASIDES_QUANTITY, quantity);
    table_put_instant(writer, ASIDES_FIRST_AT, (struct instant){aside->events.first_us});
    table_put_instant(writer, ASIDES_LAST_AT, (struct instant){aside->events.last_us});
    return table_end_row(writer, err);
}

/* Sets come first, the last of them last; it stands before the changes of its own instant. */
static void take_aside(struct aside *aside, const struct aside_record *record) {
    aside->events.count++;
    condense_events_see(&aside->events, record->occurred_at_us);
    if (!record->is_change) {
        aside->set_at_us = record->occurred_at_us;
        aside->events.units = (struct tally){0};
    }
    if (record->occurred_at_us >= aside->set_at_us) {
        tally_add(&aside->events.units, record->quantity);
    }
}

/* All records of the front's org, metric and kind. */
static bool sum_front(struct condense *condense, struct aside *aside, struct err *err) {
    uint64_t prefix = condense->asides_front.prefix >> CHANGE_BITS;
    aside->events = CONDENSE_EVENTS_NONE;
    aside->set_at_us = INT64_MIN;
    while (condense->asides_front.bytes != NULL &&
           condense->asides_front.prefix >> CHANGE_BITS == prefix) {
        struct aside_record record;
        memcpy(&record, condense->asides_front.bytes, sizeof record);
        aside->metric = metric_names_text(condense->usage->names, record.metric);
        aside->kind = record.kind;
        take_aside(aside, &record);
        if (!sorter_next(condense->asides, &condense->asides_front, err)) {
            return false;
        }
    }
    return true;
}

bool condense_asides(struct condense *condense, uint32_t rank, const struct condense_seats *seats,
                     struct err *err) {
    const struct usage_bucket *bucket = &condense->usage->buckets[condense->bucket];
    struct text org_id = condense->usage->catalog->orgs[rank].org_id;
    uint64_t place = rank - bucket->org_first;
    while (condense->asides_front.bytes != NULL &&
           condense->asides_front.prefix >> (RANK_BITS + KIND_BITS + CHANGE_BITS) == place) {
        struct aside aside;
        if (!sum_front(condense, &aside, err)) {
            return false;
        }
        if (seats != NULL && text_compare(text_from(SEATS_METRIC), aside.metric) < 0) {
            if (!condense_asides_seats(condense, org_id, seats, err)) {
                return false;
            }
            seats = NULL;
        }
        if (!write_aside(condense, org_id, &aside, err)) {
            return false;
        }
    }
    return seats == NULL || condense_asides_seats(condense, org_id, seats, err);
}

/* Seats that the plan has no price for. They are no events of usage: their quantity says it. */
bool condense_asides_seats(struct condense *condense, struct text org_id,
                           const struct condense_seats *seats, struct err *err) {
    struct aside aside = {
        .metric = text_from(SEATS_METRIC),
        .kind = ASIDE_UNPRICED,
        .events = {.first_us = seats->first_us, .last_us = seats->last_us},
    };
    tally_add(&aside.events.units, seats->closing);
    return write_aside(condense, org_id, &aside, err);
}
