/* Levels, and the unique keys of flows: rows in order of their slot. */
#include <assert.h>

#include "condense.h"

/* --- order -------------------------------------------------------------------------------------
 */

static struct series_record record_of(const struct sorter_record *sorted) {
    struct series_record record;
    memcpy(&record, sorted->bytes, sizeof record);
    return record;
}

static int compare_words(uint64_t left, uint64_t right) {
    return (left > right) - (left < right);
}

static int compare_keys(const struct series_record *left, const struct series_record *right) {
    int order = compare_words(left->value.key_hash[0], right->value.key_hash[0]);
    if (order == 0) {
        order = compare_words(left->value.key_hash[1], right->value.key_hash[1]);
    }
    return order != 0 ? order
                      : instant_compare((struct instant){left->occurred_at_us},
                                        (struct instant){right->occurred_at_us});
}

/*
 * The order of level_row_compare, as far as it can be told in a result: of the sets of an instant
 * the last one stands, and which of two with one id and one quantity comes last is all the same; of
 * the changes only the sum is read.
 */
static int compare_series(const struct sorter_record *left_sorted,
                          const struct sorter_record *right_sorted) {
    struct series_record left = record_of(left_sorted);
    struct series_record right = record_of(right_sorted);
    if (left.slot != right.slot) {
        return left.slot < right.slot ? -1 : 1;
    }
    if (left.kind == SERIES_KIND_KEY) {
        return compare_keys(&left, &right);
    }
    struct level_row left_row = {
        .occurred_at.us = left.occurred_at_us,
        .is_set = !left.is_change,
        .quantity = left.value.quantity,
        .event_id = {(const char *)left_sorted->bytes + sizeof left, left.event_id_bytes},
    };
    struct level_row right_row = {
        .occurred_at.us = right.occurred_at_us,
        .is_set = !right.is_change,
        .quantity = right.value.quantity,
        .event_id = {(const char *)right_sorted->bytes + sizeof right, right.event_id_bytes},
    };
    return level_row_compare(&left_row, &right_row);
}

sorter_compare *const condense_compare_series = compare_series;

/* --- loading -----------------------------------------------------------------------------------
 */

/*
 * Slot, then the instant in the period and sets before changes, or the key's first bits: a prefix
 * of the order above. Slots beyond what fits share the last value. What was before the start all
 * comes first, unsorted by the prefix.
 */
static uint64_t prefix_of(const struct condense *condense, const struct series_record *record) {
    enum { SLOT_SHIFT = PAIR_TIME_BITS + 1 };
    if (record->slot >= PAIR_SLOTS_MAX - 1) {
        return (uint64_t)(PAIR_SLOTS_MAX - 1) << SLOT_SHIFT;
    }
    uint64_t slot = (uint64_t)record->slot << SLOT_SHIFT;
    if (record->kind == SERIES_KIND_KEY) {
        return slot | record->value.key_hash[0] >> (64 - SLOT_SHIFT);
    }
    int64_t start_us = condense->starts_us[record->slot];
    if (record->occurred_at_us < start_us) {
        return slot;
    }
    return slot | (uint64_t)(record->occurred_at_us - start_us) << 1 | record->is_change;
}

bool condense_sort(struct condense *condense, struct sorter *sorter,
                   const struct sorter_record *head, struct spill_reader *reader,
                   size_t event_id_bytes, struct err *err) {
    if (event_id_bytes == 0) {
        return sorter_add(sorter, head->prefix, head->bytes, head->size_bytes, err);
    }
    const unsigned char *event_id;
    struct text text = {(const char *)head->bytes, head->size_bytes};
    buffer_clear(&condense->joined);
    if (!buffer_append(&condense->joined, text, err) ||
        !spill_take(reader, event_id_bytes, &event_id, err)) {
        return false;
    }
    text = (struct text){(const char *)event_id, event_id_bytes};
    return buffer_append(&condense->joined, text, err) &&
           sorter_add(sorter, head->prefix, condense->joined.bytes, condense->joined.size_bytes,
                      err);
}

static bool take_series(struct condense *condense, struct spill_reader *reader, struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        struct series_record record;
        if (!spill_take(reader, sizeof record, &bytes, err)) {
            return false;
        }
        memcpy(&record, bytes, sizeof record);
        struct sorter_record head = {prefix_of(condense, &record), (const unsigned char *)&record,
                                     sizeof record};
        if (!condense_sort(condense, condense->series, &head, reader, record.event_id_bytes, err)) {
            return false;
        }
    }
    return true;
}

static bool take_level_pairs(struct condense *condense, struct spill_reader *reader,
                             struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        size_t size_bytes;
        if (!spill_take_chunk(reader, &bytes, &size_bytes, err)) {
            return false;
        }
        for (size_t at = 0; at < size_bytes; at += SPILL_PAIR_BYTES) {
            uint64_t pair[2];
            memcpy(pair, bytes + at, sizeof pair);
            uint32_t slot = (uint32_t)(pair[0] >> (PAIR_TIME_BITS + 1));
            struct series_record record = {
                .value.quantity = packed_to_decimal((int64_t)pair[1]),
                .occurred_at_us =
                    condense->starts_us[slot] + (int64_t)(pair[0] >> 1 & PAIR_TIME_MASK),
                .slot = slot,
                .kind = SERIES_KIND_LEVEL,
                .is_change = pair[0] & 1,
                .is_metered = true,
            };
            if (!sorter_add(condense->series, prefix_of(condense, &record), &record, sizeof record,
                            err)) {
                return false;
            }
        }
    }
    return true;
}

bool condense_load_series(struct condense *condense, struct err *err) {
    sorter_reset(condense->series);
    return condense_each_stream(condense, STREAM_LEVELS, take_level_pairs, err) &&
           condense_each_stream(condense, STREAM_SERIES, take_series, err) &&
           sorter_finish(condense->series, err) &&
           sorter_next(condense->series, &condense->series_front, err);
}

static bool is_at_slot(const struct condense *condense, uint32_t slot) {
    if (condense->series_front.bytes == NULL) {
        return false;
    }
    struct series_record record = record_of(&condense->series_front);
    assert(record.slot >= slot);
    return record.slot == slot;
}

/* --- keys --------------------------------------------------------------------------------------
 */

bool condense_keys(struct condense *condense, const struct condense_series *series, int64_t number,
                   struct err *err) {
    const struct calendar *calendar = &series->org->calendar->calendar;
    uint64_t keys[CALENDAR_DAYS_MAX] = {0};
    uint64_t before[2] = {0};
    bool has_before = false;
    while (is_at_slot(condense, series->slot)) {
        struct series_record record = record_of(&condense->series_front);
        if (!has_before || memcmp(before, record.value.key_hash, sizeof before) != 0) {
            memcpy(before, record.value.key_hash, sizeof before);
            has_before = true;
            keys[condense_day(calendar, record.occurred_at_us)]++;
        }
        if (!sorter_next(condense->series, &condense->series_front, err)) {
            return false;
        }
    }
    struct table_writer *writer = condense->writers->keys;
    for (size_t day = 0; day < calendar->days_count; day++) {
        if (keys[day] == 0) {
            continue;
        }
        table_put_int64(writer, KEYS_SERIES, number);
        table_put_date(writer, KEYS_DAY, calendar->dates[day]);
        table_put_int64(writer, KEYS_KEYS, (int64_t)keys[day]);
        if (!table_end_row(writer, err)) {
            return false;
        }
    }
    return true;
}

/* --- levels ------------------------------------------------------------------------------------
 */

static bool write_runs(struct condense *condense, const struct condense_series *series,
                       int64_t number, const struct level_result *result, struct err *err) {
    const struct calendar *calendar = &series->org->calendar->calendar;
    struct table_writer *writer = condense->writers->levels;
    for (size_t index = 0; index < result->runs_count; index++) {
        const struct level_run *run = &result->runs[index];
        table_put_int64(writer, LEVELS_SERIES, number);
        table_put_date(writer, LEVELS_DAY, calendar->dates[run->first_day]);
        if (run->has_time) {
            table_put_decimal(writer, LEVELS_CLOSING, run->closing);
            table_put_decimal(writer, LEVELS_HIGHEST, run->highest);
        }
        table_put_decimal(writer, LEVELS_SHARE, run->share);
        table_put_int64(writer, LEVELS_SHARE_REMAINDER, run->share_remainder);
        if (!table_end_row(writer, err)) {
            return false;
        }
    }
    return true;
}

bool condense_write_level(struct condense *condense, const struct condense_series *series,
                          const struct condense_events *events, const struct level_result *result,
                          struct err *err) {
    int64_t number = condense_series_number(condense);
    if (!condense_begin_series(condense, series, events, err)) {
        return false;
    }
    struct table_writer *writer = condense->writers->series;
    table_put_decimal(writer, SERIES_OPENING_LEVEL, result->opening_level);
    table_put_decimal(writer, SERIES_CLOSING_LEVEL, result->closing_level);
    table_put_decimal(writer, SERIES_METERED_LEVEL, result->metered_level);
    return table_end_row(writer, err) && write_runs(condense, series, number, result, err);
}

static bool meter_row(struct level_meter *meter, struct condense_events *events,
                      const struct series_record *record) {
    if (record->is_metered) {
        events->count++;
        condense_events_see(events, record->occurred_at_us);
        if (record->is_change) {
            tally_add(&events->units, record->value.quantity);
        }
    }
    return level_meter_add(meter, (struct instant){record->occurred_at_us}, !record->is_change,
                           record->value.quantity);
}

bool condense_level(struct condense *condense, const struct condense_series *series,
                    struct err *err) {
    const struct calendar *calendar = &series->org->calendar->calendar;
    const struct decimal *recorded =
        catalog_find_opening(condense->usage->catalog, series->rank, series->price->metric);
    if (recorded == NULL && !is_at_slot(condense, series->slot)) {
        return true;
    }
    struct decimal opening = recorded != NULL ? *recorded : DECIMAL_ZERO;
    bool fits = true;
    struct condense_events events = CONDENSE_EVENTS_NONE;
    struct level_meter meter;
    struct level_result result;
    bool is_begun = false;
    const struct level_window window = {
        .calendar = calendar,
        .subscribed = series->org->subscribed,
        .subscribed_count = series->org->subscribed_count,
    };
    while (is_at_slot(condense, series->slot)) {
        struct series_record record = record_of(&condense->series_front);
        if (record.occurred_at_us < calendar->starts_us[0]) {
            fits = fits && level_fold(&opening, !record.is_change, record.value.quantity);
        } else {
            if (!is_begun) {
                level_meter_init(&meter, window, opening, &result);
                is_begun = true;
            }
            fits = fits && meter_row(&meter, &events, &record);
        }
        if (!sorter_next(condense->series, &condense->series_front, err)) {
            return false;
        }
    }
    if (!is_begun) {
        level_meter_init(&meter, window, opening, &result);
    }
    if (!fits || !level_meter_finish(&meter)) {
        return condense_out_of_range(series, err);
    }
    return condense_write_level(condense, series, &events, &result, err);
}
