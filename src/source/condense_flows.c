/* Flows: quantities added up by slot and day. */
#include <assert.h>

#include "condense.h"

size_t condense_day(const struct calendar *calendar, int64_t at_us) {
    int64_t offset_us = at_us - calendar->starts_us[0];
    size_t day = (size_t)(offset_us / INSTANT_DAY_US);
    day = day < calendar->days_count ? day : calendar->days_count - 1;
    /* Days of 23 and 25 hours put the guess off by one. */
    while (day > 0 && at_us < calendar->starts_us[day]) {
        day--;
    }
    while (day + 1 < calendar->days_count && at_us >= calendar->starts_us[day + 1]) {
        day++;
    }
    return day;
}

static inline struct cell *cells_of(const struct condense *condense, uint32_t slot) {
    return &condense->cells[(size_t)(slot - condense->window_from) * CALENDAR_DAYS_MAX];
}

/* count events of one day. */
static inline void add_to_cell(struct condense *condense, uint32_t slot, int64_t first_us,
                               int64_t last_us, struct decimal sum, uint64_t count) {
    struct slot_state *state = &condense->slots[slot - condense->window_from];
    size_t day = condense_day(state->calendar, first_us);
    struct cell *cell = &cells_of(condense, slot)[day];
    tally_add(&cell->sum, sum);
    cell->count += count;
    state->days |= UINT64_C(1) << day;
    state->first_us = first_us < state->first_us ? first_us : state->first_us;
    state->last_us = last_us > state->last_us ? last_us : state->last_us;
}

/* Asks for the cell of an event that comes later: cells are more than the nearest cache holds. */
static inline void prefetch_cell(const struct condense *condense, uint32_t slot,
                                 uint64_t offset_us) {
    if (slot >= condense->window_from && slot < condense->window_until) {
        size_t day = (size_t)(offset_us / INSTANT_DAY_US);
        __builtin_prefetch(&cells_of(condense, slot)[day], 1);
    }
}

static inline void take_event(struct condense *condense, uint32_t slot, uint64_t offset_us,
                              int64_t packed) {
    if (slot >= condense->window_from && slot < condense->window_until) {
        const struct calendar *calendar = condense->slots[slot - condense->window_from].calendar;
        int64_t at_us = calendar->starts_us[0] + (int64_t)offset_us;
        add_to_cell(condense, slot, at_us, at_us, packed_to_decimal(packed), 1);
    }
}

enum { AHEAD_COUNT = 16 };

static bool take_words(struct condense *condense, struct spill_reader *reader, struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        size_t size_bytes;
        if (!spill_take_chunk(reader, &bytes, &size_bytes, err)) {
            return false;
        }
        uint64_t word;
        uint32_t slot;
        uint64_t offset_us;
        int64_t packed;
        for (size_t at = 0; at < size_bytes; at += sizeof word) {
            if (at + AHEAD_COUNT * sizeof word < size_bytes) {
                memcpy(&word, bytes + at + AHEAD_COUNT * sizeof word, sizeof word);
                flow_word_unpack(word, &slot, &offset_us, &packed);
                prefetch_cell(condense, slot, offset_us);
            }
            memcpy(&word, bytes + at, sizeof word);
            flow_word_unpack(word, &slot, &offset_us, &packed);
            take_event(condense, slot, offset_us, packed);
        }
    }
    return true;
}

static bool take_pairs(struct condense *condense, struct spill_reader *reader, struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        size_t size_bytes;
        if (!spill_take_chunk(reader, &bytes, &size_bytes, err)) {
            return false;
        }
        for (size_t at = 0; at < size_bytes; at += SPILL_PAIR_BYTES) {
            uint64_t pair[2];
            memcpy(pair, bytes + at, sizeof pair);
            take_event(condense, (uint32_t)(pair[0] >> PAIR_TIME_BITS), pair[0] & PAIR_TIME_MASK,
                       (int64_t)pair[1]);
        }
    }
    return true;
}

static bool take_wide(struct condense *condense, struct spill_reader *reader, struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        struct flow_record record;
        if (!spill_take(reader, sizeof record, &bytes, err)) {
            return false;
        }
        memcpy(&record, bytes, sizeof record);
        if (record.slot >= condense->window_from && record.slot < condense->window_until) {
            add_to_cell(condense, record.slot, record.first_us, record.last_us, record.sum,
                        record.count);
        }
    }
    return true;
}

/* Every slot's calendar, from the orgs of the bucket whose slots lie in the window. */
static void reset_slots(struct condense *condense) {
    const struct usage *usage = condense->usage;
    const struct usage_bucket *bucket = &usage->buckets[condense->bucket];
    for (uint32_t index = 0; index < bucket->orgs_count; index++) {
        uint32_t rank = bucket->org_first + index;
        const struct catalog_org *org = &usage->catalog->orgs[rank];
        uint32_t from = usage->places[rank].slot_first;
        uint32_t until = from + (org->plan != NULL ? org->plan->prices_count : 0);
        from = from < condense->window_from ? condense->window_from : from;
        until = until > condense->window_until ? condense->window_until : until;
        for (uint32_t slot = from; slot < until; slot++) {
            condense->slots[slot - condense->window_from] = (struct slot_state){
                .calendar = &org->calendar->calendar,
                .first_us = INT64_MAX,
                .last_us = INT64_MIN,
            };
        }
    }
}

bool condense_open_window(struct condense *condense, uint32_t slot, struct err *err) {
    const struct usage_bucket *bucket = &condense->usage->buckets[condense->bucket];
    assert(slot < bucket->slots_count);
    uint32_t left = bucket->slots_count - slot;
    uint32_t count = left < condense->window_capacity ? left : condense->window_capacity;
    condense->window_from = slot;
    condense->window_until = slot + count;
    reset_slots(condense);
    return condense_each_stream(condense, STREAM_FLOWS_SHORT, take_words, err) &&
           condense_each_stream(condense, STREAM_FLOWS, take_pairs, err) &&
           condense_each_stream(condense, STREAM_FLOWS_WIDE, take_wide, err);
}

/* Leaves the cells zero, for the next window. */
static bool write_days(struct condense *condense, const struct condense_series *series,
                       uint64_t days_used, int64_t number, struct err *err) {
    const struct calendar *calendar = &series->org->calendar->calendar;
    struct table_writer *days = condense->writers->days;
    struct cell *cells = cells_of(condense, series->slot);
    for (uint64_t left = days_used; left != 0; left &= left - 1) {
        size_t day = (size_t)__builtin_ctzll(left);
        struct decimal sum;
        if (!tally_to_decimal(&cells[day].sum, &sum)) {
            return condense_out_of_range(series, err);
        }
        table_put_int64(days, DAYS_SERIES, number);
        table_put_date(days, DAYS_DAY, calendar->dates[day]);
        table_put_decimal(days, DAYS_SUM, sum);
        table_put_int64(days, DAYS_COUNT, (int64_t)cells[day].count);
        if (!table_end_row(days, err)) {
            return false;
        }
        cells[day] = (struct cell){0};
    }
    return true;
}

bool condense_flow(struct condense *condense, const struct condense_series *series,
                   struct err *err) {
    const struct slot_state *state = &condense->slots[series->slot - condense->window_from];
    if (state->first_us == INT64_MAX) {
        return true;
    }
    const struct cell *cells = cells_of(condense, series->slot);
    struct condense_events events = {.first_us = state->first_us, .last_us = state->last_us};
    for (uint64_t left = state->days; left != 0; left &= left - 1) {
        size_t day = (size_t)__builtin_ctzll(left);
        events.count += cells[day].count;
        tally_merge(&events.units, &cells[day].sum);
    }
    int64_t number;
    return condense_begin_series(condense, series, &events, &number, err) &&
           table_end_row(condense->writers->series, err) &&
           write_days(condense, series, state->days, number, err) &&
           (series->price->price.aggregation != AGGREGATION_UNIQUE ||
            condense_keys(condense, series, number, err));
}
