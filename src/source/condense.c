/* A shard's buckets, one after the other. */
#include "condense.h"

#include <assert.h>

#include "core/memory.h"
#include "sys/process.h"

static const char SEATS_METRIC[] = "seats";

/* --- what the parts share ----------------------------------------------------------------------
 */

bool condense_out_of_range(const struct condense_series *series, struct err *err) {
    struct text org_id = series->org->org_id;
    struct text metric = series->price->metric;
    return err_set(err, ERR_RANGE,
                   "org '%.*s', metric '%.*s': the usage adds up to more than 38 digits",
                   (int)org_id.size_bytes, org_id.bytes, (int)metric.size_bytes, metric.bytes);
}

bool condense_each_stream(struct condense *condense, enum usage_stream stream,
                          bool (*take)(struct condense *condense, struct spill_reader *reader,
                                       struct err *err),
                          struct err *err) {
    const struct usage *usage = condense->usage;
    for (size_t job = 0; job < usage->jobs; job++) {
        const struct spill_stream *written = &usage->feeds[job].streams[stream][condense->bucket];
        if (spill_is_empty(written)) {
            continue;
        }
        struct spill_reader reader;
        bool is_done =
            spill_reader_open(&reader, usage->spill, written, err) && take(condense, &reader, err);
        spill_reader_close(&reader);
        if (!is_done) {
            return false;
        }
    }
    return true;
}

/* The number of a metric that has events. The prices of a few plans come again and again. */
static uint32_t metric_of(struct condense *condense, const struct catalog_price *price) {
    size_t place = (uintptr_t)price / sizeof *price % CONDENSE_METRICS_COUNT;
    struct condense_metric *kept = &condense->metrics[place];
    if (kept->price != price) {
        bool is_known = metric_names_find(condense->usage->names, price->metric, &kept->metric);
        assert(is_known);
        kept->price = price;
    }
    return kept->metric;
}

bool condense_begin_series(struct condense *condense, const struct condense_series *series,
                           const struct condense_events *events, struct err *err) {
    struct table_writer *writer = condense->writers->series;
    struct decimal units;
    if (!tally_to_decimal(&events->units, &units)) {
        return condense_out_of_range(series, err);
    }
    table_put_text(writer, SERIES_ORG_ID, series->org->org_id);
    table_put_text(writer, SERIES_METRIC, series->price->metric);
    table_put_int64(writer, SERIES_SERIES, condense_series_number(condense));
    table_put_int64(writer, SERIES_EVENTS, (int64_t)events->count);
    table_put_decimal(writer, SERIES_UNITS, units);
    if (events->count == 0) {
        return true;
    }
    table_put_instant(writer, SERIES_FIRST_AT, (struct instant){events->first_us});
    table_put_instant(writer, SERIES_LAST_AT, (struct instant){events->last_us});
    uint32_t metric = metric_of(condense, series->price);
    condense->metered[metric].events[USAGE_METERED] += events->count;
    tally_merge(&condense->metered[metric].units[USAGE_METERED], &events->units);
    return true;
}

/* --- one org -----------------------------------------------------------------------------------
 */

static bool condense_slot(struct condense *condense, const struct condense_series *series,
                          const struct condense_seats *seats, struct err *err) {
    enum aggregation aggregation = series->price->price.aggregation;
    if (condense->usage->catalog->has_seats_file &&
        text_equals(series->price->metric, text_from(SEATS_METRIC))) {
        assert(aggregation_table[aggregation].is_level);
        return condense_seat_level(condense, series, seats, err);
    }
    if (aggregation_table[aggregation].is_level) {
        return condense_level(condense, series, err);
    }
    if (series->slot >= condense->window_until &&
        !condense_open_window(condense, series->slot, err)) {
        return false;
    }
    return condense_flow(condense, series, err);
}

static bool condense_org(struct condense *condense, uint32_t rank, struct err *err) {
    const struct catalog *catalog = condense->usage->catalog;
    const struct catalog_org *org = &catalog->orgs[rank];
    struct condense_seats seats;
    if (!condense_take_seats(condense, rank, &seats, err)) {
        return false;
    }
    if (org->disposition != ORG_RATED || org->plan == NULL) {
        return condense_asides(condense, rank, NULL, err); /* of its earlier periods */
    }
    bool has_seats_price = false;
    for (uint32_t index = 0; index < org->plan->prices_count; index++) {
        struct condense_series series = {
            .rank = rank,
            .org = org,
            .price = &org->plan->prices[index],
            .slot = condense->usage->places[rank].slot_first + index,
        };
        has_seats_price |= text_equals(series.price->metric, text_from(SEATS_METRIC));
        if (!condense_slot(condense, &series, &seats, err)) {
            return false;
        }
    }
    bool is_unpriced = seats.has_any && !has_seats_price;
    return condense_asides(condense, rank, is_unpriced ? &seats : NULL, err);
}

/* --- one bucket --------------------------------------------------------------------------------
 */

static bool find_starts(struct condense *condense, struct err *err) {
    const struct usage *usage = condense->usage;
    const struct usage_bucket *bucket = &usage->buckets[condense->bucket];
    if (bucket->slots_count > condense->starts_capacity) {
        int64_t *starts_us =
            mem_realloc(condense->starts_us, bucket->slots_count * sizeof *starts_us);
        if (starts_us == NULL) {
            return err_memory(err, bucket->slots_count * sizeof *starts_us);
        }
        condense->starts_us = starts_us;
        condense->starts_capacity = bucket->slots_count;
    }
    for (uint32_t index = 0; index < bucket->orgs_count; index++) {
        uint32_t rank = bucket->org_first + index;
        const struct catalog_org *org = &usage->catalog->orgs[rank];
        uint32_t slots = org->plan != NULL ? org->plan->prices_count : 0;
        for (uint32_t slot = 0; slot < slots; slot++) {
            condense->starts_us[usage->places[rank].slot_first + slot] =
                calendar_start(&org->calendar->calendar).us;
        }
    }
    return true;
}

static bool condense_bucket(struct condense *condense, uint32_t bucket, struct err *err) {
    const struct usage_bucket *orgs = &condense->usage->buckets[bucket];
    condense->bucket = bucket;
    condense->window_from = 0;
    condense->window_until = 0;
    if (!find_starts(condense, err) || !condense_load_series(condense, err) ||
        !condense_load_asides(condense, err) || !condense_load_seats(condense, err)) {
        return false;
    }
    for (uint32_t index = 0; index < orgs->orgs_count; index++) {
        if (!condense_org(condense, orgs->org_first + index, err)) {
            return false;
        }
    }
    assert(condense->series_front.bytes == NULL);
    assert(condense->asides_front.bytes == NULL);
    assert(condense->seats_front.bytes == NULL);
    return true;
}

/* --- one shard ---------------------------------------------------------------------------------
 */

/* Of a job's memory: a quarter for cells, a quarter for levels, an eighth for all else sorted. */
static bool condense_init(struct condense *condense, struct usage *usage, struct err *err) {
    const size_t slot_bytes = CALENDAR_DAYS_MAX * sizeof *condense->cells + sizeof *condense->slots;
    uint32_t slots_most = 1;
    for (uint32_t bucket = 0; bucket < usage->buckets_count; bucket++) {
        uint32_t slots = usage->buckets[bucket].slots_count;
        slots_most = slots > slots_most ? slots : slots_most;
    }
    size_t capacity = (size_t)(usage->memory_bytes / 4) / slot_bytes;
    capacity = capacity > slots_most ? slots_most : capacity;
    condense->window_capacity = (uint32_t)(capacity < 1 ? 1 : capacity);
    size_t cells_bytes = condense->window_capacity * CALENDAR_DAYS_MAX * sizeof *condense->cells;
    size_t metrics_count = metric_names_count(usage->names) + (size_t)1;
    condense->cells = mem_alloc(cells_bytes);
    condense->slots = mem_alloc(condense->window_capacity * sizeof *condense->slots);
    condense->metered = mem_alloc(metrics_count * sizeof *condense->metered);
    if (condense->cells == NULL || condense->slots == NULL || condense->metered == NULL) {
        return err_memory(err, cells_bytes);
    }
    struct spill *spill = usage->spill;
    size_t memory = (size_t)usage->memory_bytes;
    return sorter_create(spill, memory / 4, condense_compare_series, &condense->series, err) &&
           sorter_create(spill, memory / 16, condense_compare_asides, &condense->asides, err) &&
           sorter_create(spill, memory / 8, condense_compare_seats, &condense->seats, err) &&
           sorter_create(spill, memory / 16, condense_compare_movements, &condense->movements, err);
}

static void condense_release(struct condense *condense) {
    sorter_destroy(condense->series);
    sorter_destroy(condense->asides);
    sorter_destroy(condense->seats);
    sorter_destroy(condense->movements);
    buffer_release(&condense->joined);
    buffer_release(&condense->user_id);
    mem_free(condense->assignments);
    mem_free(condense->user_movements);
    mem_free(condense->starts_us);
    mem_free(condense->cells);
    mem_free(condense->slots);
    mem_free(condense->wide);
    mem_free(condense->metered);
}

static void add_metered(struct condense *condense) {
    struct usage *usage = condense->usage;
    uint32_t count = metric_names_count(usage->names);
    (void)pthread_mutex_lock(&usage->metered_mutex);
    for (uint32_t metric = 0; metric < count; metric++) {
        struct metric_totals *into = &usage->metered[metric];
        const struct metric_totals *from = &condense->metered[metric];
        into->events[USAGE_METERED] += from->events[USAGE_METERED];
        tally_merge(&into->units[USAGE_METERED], &from->units[USAGE_METERED]);
    }
    (void)pthread_mutex_unlock(&usage->metered_mutex);
}

bool usage_condense(struct usage *usage, size_t shard_index, const struct usage_writers *writers,
                    struct err *err) {
    assert(usage->is_sealed);
    struct condense condense = {
        .usage = usage,
        .writers = writers,
        .shard_index = shard_index,
    };
    bool is_done = condense_init(&condense, usage, err);
    for (uint32_t bucket = 0; is_done && bucket < usage->buckets_count; bucket++) {
        if (usage->buckets[bucket].org_first / CHECKPOINT_SHARD_ORGS == shard_index) {
            is_done = interrupt_check(err) && condense_bucket(&condense, bucket, err);
        }
    }
    if (is_done) {
        add_metered(&condense);
    }
    condense_release(&condense);
    return is_done;
}
