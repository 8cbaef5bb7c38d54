/*
 * Flows: quantities added up by slot and day.
 *
 * Most cells hold a sum of mantissas that have one number of decimal places, in 64 bits: so the
 * cells of a window stay near the processor, and a decimal is made once for each. Sums that do not
 * fit go on in 192 bits, in a list of few.
 */
#include <assert.h>

#include "condense.h"
#include "core/memory.h"

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

/* --- cells --------------------------------------------------------------------------------------
 */

enum { CELL_WIDE = 255 }; /* as places: what was added is in wide[mantissas] */

/* Events of one slot and day. Instants are microseconds since the period's start. */
struct addend {
    int64_t mantissa;
    unsigned places;
    uint64_t count;
    uint64_t first_us;
    uint64_t last_us;
};

static inline struct cell *cells_of(const struct condense *condense, uint32_t slot) {
    return &condense->cells[(size_t)(slot - condense->window_from) * CALENDAR_DAYS_MAX];
}

static inline bool is_in_window(const struct condense *condense, uint32_t slot) {
    return slot - condense->window_from < condense->window_until - condense->window_from;
}

static inline int128 units_of(int64_t mantissa, unsigned places) {
    return (int128)mantissa * packed_powers[DECIMAL_PLACES - places];
}

/* Whatever the cell holds goes on in the list. */
static bool cell_widen(struct condense *condense, struct cell *cell, struct err *err) {
    if (condense->wide_count == condense->wide_capacity) {
        size_t capacity = condense->wide_capacity == 0 ? 64 : 2 * condense->wide_capacity;
        struct wide_cell *wide = mem_realloc(condense->wide, capacity * sizeof *wide);
        if (wide == NULL) {
            return err_memory(err, capacity * sizeof *wide);
        }
        condense->wide = wide;
        condense->wide_capacity = capacity;
    }
    struct wide_cell *wide = &condense->wide[condense->wide_count];
    *wide = (struct wide_cell){.count = cell->count};
    tally_add(&wide->sum, (struct decimal){units_of(cell->mantissas, cell->places)});
    *cell = (struct cell){.mantissas = (int64_t)condense->wide_count++, .places = CELL_WIDE};
    return true;
}

static bool cell_add_wide(struct condense *condense, struct cell *cell, struct decimal sum,
                          uint64_t count, struct err *err) {
    if (cell->places != CELL_WIDE && !cell_widen(condense, cell, err)) {
        return false;
    }
    struct wide_cell *wide = &condense->wide[cell->mantissas];
    tally_add(&wide->sum, sum);
    wide->count += count;
    return true;
}

/* False: it does not fit; then nothing is changed. */
static inline bool cell_add_same(struct cell *cell, const struct addend *addend) {
    int64_t mantissas;
    uint32_t count;
    if (cell->places != addend->places ||
        __builtin_add_overflow(cell->mantissas, addend->mantissa, &mantissas) ||
        __builtin_add_overflow(cell->count, addend->count, &count)) {
        return false;
    }
    cell->mantissas = mantissas;
    cell->count = count;
    return true;
}

/* Other places than the cell's, or too much. */
static bool cell_add_other(struct condense *condense, struct cell *cell,
                           const struct addend *addend, struct err *err) {
    struct addend same = *addend;
    if (cell->places < addend->places) {
        int64_t mantissas;
        if (!__builtin_mul_overflow(cell->mantissas, packed_powers[addend->places - cell->places],
                                    &mantissas)) {
            cell->mantissas = mantissas;
            cell->places = (uint8_t)addend->places;
        }
    } else if (cell->places != CELL_WIDE &&
               !__builtin_mul_overflow(addend->mantissa,
                                       packed_powers[cell->places - addend->places],
                                       &same.mantissa)) {
        same.places = cell->places;
    }
    return cell_add_same(cell, &same) ||
           cell_add_wide(condense, cell,
                         (struct decimal){units_of(addend->mantissa, addend->places)},
                         addend->count, err);
}

static inline size_t day_of(const struct slot_state *state, uint64_t offset_us) {
    return state->is_even
               ? (size_t)(offset_us / INSTANT_DAY_US)
               : condense_day(state->calendar, state->calendar->starts_us[0] + (int64_t)offset_us);
}

static inline void see_events(struct slot_state *state, size_t day, uint64_t first_us,
                              uint64_t last_us) {
    state->days |= UINT32_C(1) << day;
    state->first_us = first_us < state->first_us ? first_us : state->first_us;
    state->last_us = last_us > state->last_us ? last_us : state->last_us;
}

static inline bool take_addend(struct condense *condense, uint32_t slot,
                               const struct addend *addend, struct err *err) {
    if (!is_in_window(condense, slot)) {
        return true;
    }
    struct slot_state *state = &condense->slots[slot - condense->window_from];
    size_t day = day_of(state, addend->first_us);
    assert(day < CALENDAR_DAYS_MAX);
    struct cell *cell = &cells_of(condense, slot)[day];
    see_events(state, day, addend->first_us, addend->last_us);
    return cell_add_same(cell, addend) || cell_add_other(condense, cell, addend, err);
}

/* --- streams ------------------------------------------------------------------------------------
 */

/* Asks for the cell of an event that comes later: cells are more than the nearest cache holds. */
static inline void prefetch_cell(const struct condense *condense, uint32_t slot,
                                 uint64_t offset_us) {
    if (is_in_window(condense, slot)) {
        size_t day = (size_t)(offset_us / INSTANT_DAY_US);
        __builtin_prefetch(&cells_of(condense, slot)[day], 1);
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
            const struct addend addend = {packed_mantissa(packed), packed_places(packed), 1,
                                          offset_us, offset_us};
            if (!take_addend(condense, slot, &addend, err)) {
                return false;
            }
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
            int64_t packed = (int64_t)pair[1];
            uint64_t offset_us = pair[0] & PAIR_TIME_MASK;
            const struct addend addend = {packed_mantissa(packed), packed_places(packed), 1,
                                          offset_us, offset_us};
            if (!take_addend(condense, (uint32_t)(pair[0] >> PAIR_TIME_BITS), &addend, err)) {
                return false;
            }
        }
    }
    return true;
}

static bool take_sums(struct condense *condense, struct spill_reader *reader, struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        size_t size_bytes;
        if (!spill_take_chunk(reader, &bytes, &size_bytes, err)) {
            return false;
        }
        for (size_t at = 0; at < size_bytes; at += SPILL_PAIR_BYTES) {
            uint64_t pair[2];
            if (at + AHEAD_COUNT * sizeof pair < size_bytes) {
                memcpy(pair, bytes + at + AHEAD_COUNT * sizeof pair, sizeof pair);
                struct flow_sum later = flow_sum_unpack(pair);
                prefetch_cell(condense, later.slot, later.first_us);
            }
            memcpy(pair, bytes + at, sizeof pair);
            struct flow_sum sum = flow_sum_unpack(pair);
            const struct addend addend = {packed_mantissa(sum.packed), packed_places(sum.packed),
                                          sum.count, sum.first_us, sum.last_us};
            if (!take_addend(condense, sum.slot, &addend, err)) {
                return false;
            }
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
        if (!is_in_window(condense, record.slot)) {
            continue;
        }
        struct slot_state *state = &condense->slots[record.slot - condense->window_from];
        int64_t start_us = state->calendar->starts_us[0];
        size_t day = condense_day(state->calendar, record.first_us);
        see_events(state, day, (uint64_t)(record.first_us - start_us),
                   (uint64_t)(record.last_us - start_us));
        if (!cell_add_wide(condense, &cells_of(condense, record.slot)[day], record.sum,
                           record.count, err)) {
            return false;
        }
    }
    return true;
}

/* --- windows ------------------------------------------------------------------------------------
 */

static bool is_even(const struct calendar *calendar) {
    for (size_t day = 0; day < calendar->days_count; day++) {
        if (calendar->starts_us[day + 1] - calendar->starts_us[day] != INSTANT_DAY_US) {
            return false;
        }
    }
    return true;
}

/* Every slot's calendar, from the orgs of the bucket whose slots lie in the window. */
static void reset_slots(struct condense *condense) {
    const struct usage *usage = condense->usage;
    const struct usage_bucket *bucket = &usage->buckets[condense->bucket];
    struct slot_state fresh = {.first_us = UINT64_MAX};
    for (uint32_t index = 0; index < bucket->orgs_count; index++) {
        uint32_t rank = bucket->org_first + index;
        const struct catalog_org *org = &usage->catalog->orgs[rank];
        uint32_t from = usage->places[rank].slot_first;
        uint32_t until = from + (org->plan != NULL ? org->plan->prices_count : 0);
        from = from < condense->window_from ? condense->window_from : from;
        until = until > condense->window_until ? condense->window_until : until;
        if (fresh.calendar != &org->calendar->calendar) {
            fresh.calendar = &org->calendar->calendar;
            fresh.is_even = is_even(fresh.calendar);
        }
        for (uint32_t slot = from; slot < until; slot++) {
            condense->slots[slot - condense->window_from] = fresh;
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
    condense->wide_count = 0;
    reset_slots(condense);
    return condense_each_stream(condense, STREAM_FLOWS_SHORT, take_words, err) &&
           condense_each_stream(condense, STREAM_FLOWS, take_pairs, err) &&
           condense_each_stream(condense, STREAM_FLOWS_SUMS, take_sums, err) &&
           condense_each_stream(condense, STREAM_FLOWS_WIDE, take_wide, err);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static inline bool cell_total(const struct condense *condense, const struct cell *cell,
                              struct decimal *sum, uint64_t *count) {
    if (cell->places != CELL_WIDE) {
        sum->units = units_of(cell->mantissas, cell->places);
        *count = cell->count;
        return true;
    }
    const struct wide_cell *wide = &condense->wide[cell->mantissas];
    *count = wide->count;
    return tally_to_decimal(&wide->sum, sum);
}

/* Adds up the days in events. Leaves the cells zero, for the next window. */
static bool write_days(struct condense *condense, const struct condense_series *series,
                       uint32_t days_used, struct condense_events *events, struct err *err) {
    const struct calendar *calendar = &series->org->calendar->calendar;
    struct table_writer *days = condense->writers->days;
    struct cell *cells = cells_of(condense, series->slot);
    int64_t number = condense_series_number(condense);
    while (days_used != 0) {
        size_t rows_count = table_rows_room(days, (size_t)__builtin_popcount(days_used));
        int64_t *numbers = table_rows_int64(days, DAYS_SERIES);
        int32_t *dates = table_rows_date(days, DAYS_DAY);
        struct decimal *sums = table_rows_decimal(days, DAYS_SUM);
        int64_t *counts = table_rows_int64(days, DAYS_COUNT);
        for (size_t row = 0; row < rows_count; row++, days_used &= days_used - 1) {
            size_t day = (size_t)__builtin_ctz(days_used);
            uint64_t count;
            if (!cell_total(condense, &cells[day], &sums[row], &count)) {
                return condense_out_of_range(series, err);
            }
            numbers[row] = number;
            dates[row] = calendar->dates[day];
            counts[row] = (int64_t)count;
            events->count += count;
            tally_add(&events->units, sums[row]);
            cells[day] = (struct cell){0};
        }
        if (!table_end_rows(days, rows_count, err)) {
            return false;
        }
    }
    return true;
}

bool condense_flow(struct condense *condense, const struct condense_series *series,
                   struct err *err) {
    const struct slot_state *state = &condense->slots[series->slot - condense->window_from];
    if (state->days == 0) {
        return true;
    }
    int64_t start_us = state->calendar->starts_us[0];
    struct condense_events events = {
        .first_us = start_us + (int64_t)state->first_us,
        .last_us = start_us + (int64_t)state->last_us,
    };
    int64_t number = condense_series_number(condense);
    return write_days(condense, series, state->days, &events, err) &&
           condense_begin_series(condense, series, &events, err) &&
           table_end_row(condense->writers->series, err) &&
           (series->price->price.aggregation != AGGREGATION_UNIQUE ||
            condense_keys(condense, series, number, err));
}
