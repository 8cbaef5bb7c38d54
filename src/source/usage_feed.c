/*
 * One row of usage: judged, counted, and spread to where it is condensed.
 *
 * Two lanes. Most rows are changes of a flow, inside the period of a rated org, with a short
 * number: take_plain spills those as a pair. All others go the long way round, judged field by
 * field (usage_judge.c), through a feed_event.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "usage_state.h"

const int64_t packed_powers[DECIMAL_PLACES + 1] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
};

bool feed_append(struct usage_feed *feed, enum usage_stream stream, uint32_t bucket,
                 const void *bytes, size_t size_bytes, struct err *err) {
    return spill_append(feed->usage->spill, &feed->streams[stream][bucket], bytes, size_bytes, err);
}

void feed_hash(const struct usage *usage, struct text text, uint64_t hash[2]) {
    XXH128_hash_t result = XXH3_128bits_withSecret(text.bytes, text.size_bytes, usage->hash_secret,
                                                   sizeof usage->hash_secret);
    hash[0] = result.low64;
    hash[1] = result.high64;
}

/* --- the org and the price ---------------------------------------------------------------------
 */

void feed_look_at_org(struct usage_feed *feed, uint32_t rank) {
    const struct catalog_org *org = &feed->usage->catalog->orgs[rank];
    bool is_rated = org->plan != NULL && org->disposition == ORG_RATED;
    int64_t start_us = calendar_start(&org->calendar->calendar).us;
    feed->org = (struct feed_org){
        .rank = rank,
        .org = org,
        .start_us = start_us,
        .length_us = (uint64_t)(calendar_end(&org->calendar->calendar).us - start_us),
        .place = feed->usage->places[rank],
        .is_rated = is_rated,
    };
}

static inline const struct feed_route *find_route(struct usage_feed *feed,
                                                  const struct catalog_plan *plan,
                                                  const struct metric_entry *entry) {
    static const struct feed_route none = {0};
    if (plan == NULL) {
        return &none;
    }
    size_t plan_index = (size_t)((uintptr_t)plan / sizeof *plan);
    struct feed_route *route = &feed->routes[(plan_index + 61 * entry->metric) % FEED_ROUTES_COUNT];
    if (route->plan != plan || route->metric != entry->metric) {
        const struct catalog_org of_plan = {.plan = plan};
        *route = (struct feed_route){.plan = plan, .metric = entry->metric};
        route->price = catalog_find_price(&of_plan, entry->name, &route->slot);
        route->is_plain =
            route->price != NULL && (route->price->price.aggregation == AGGREGATION_SUM ||
                                     route->price->price.aggregation == AGGREGATION_COUNT);
    }
    return route;
}

bool feed_find_plain_slot(struct usage_feed *feed, const struct usage_org *org,
                          const struct metric_entry *entry, uint32_t *slot) {
    const struct feed_route *route = find_route(feed, org->plan, entry);
    *slot = org->slot_first + route->slot;
    return route->is_plain && *slot < PAIR_SLOTS_MAX;
}

static bool is_subscribed_at(const struct catalog_org *org, int64_t at_us) {
    if (org->is_whole_period) {
        return true;
    }
    for (uint32_t index = 0; index < org->subscribed_count; index++) {
        if (at_us >= org->subscribed[index].from.us && at_us < org->subscribed[index].until.us) {
            return true;
        }
    }
    return false;
}

bool feed_is_metered(const struct usage_feed *feed, const struct feed_event *event) {
    const struct feed_org *org = &feed->org;
    uint64_t offset_us = (uint64_t)event->occurred_at.us - (uint64_t)org->start_us;
    return org->is_rated && offset_us < org->length_us && !event->is_late &&
           is_subscribed_at(org->org, event->occurred_at.us);
}

/* --- where an event goes -----------------------------------------------------------------------
 */

/* is_set: no set is what only keeps records, as a reset. */
static bool append_aside(struct usage_feed *feed, uint32_t metric, const struct feed_event *event,
                         enum aside_kind kind, bool is_set, struct err *err) {
    uint32_t bucket = feed->org.place.bucket;
    struct text event_id = is_set ? event->event_id : (struct text){0};
    struct aside_record record = {
        .quantity = event->quantity,
        .occurred_at_us = event->occurred_at.us,
        .org = feed->org.rank,
        .metric = metric,
        .event_id_bytes = (uint32_t)event_id.size_bytes,
        .kind = (uint8_t)kind,
        .is_change = !is_set,
    };
    return feed_append(feed, STREAM_ASIDES, bucket, &record, sizeof record, err) &&
           feed_append(feed, STREAM_ASIDES, bucket, event_id.bytes, event_id.size_bytes, err);
}

static bool append_flow(struct usage_feed *feed, uint32_t slot, const struct feed_event *event,
                        const struct price *price, struct err *err) {
    uint32_t bucket = feed->org.place.bucket;
    uint64_t offset_us = (uint64_t)(event->occurred_at.us - feed->org.start_us);
    if (event->is_packed && slot < PAIR_SLOTS_MAX) {
        uint64_t pair[2] = {(uint64_t)slot << PAIR_TIME_BITS | offset_us, (uint64_t)event->packed};
        if (!feed_append(feed, STREAM_FLOWS, bucket, pair, sizeof pair, err)) {
            return false;
        }
    } else {
        int64_t at_us = event->occurred_at.us;
        struct flow_record record = {event->quantity, at_us, at_us, 1, slot, 0};
        if (!feed_append(feed, STREAM_FLOWS_WIDE, bucket, &record, sizeof record, err)) {
            return false;
        }
    }
    if (price->aggregation != AGGREGATION_UNIQUE) {
        return true;
    }
    struct series_record key = {
        .value.key_hash = {event->key_hash[0], event->key_hash[1]},
        .occurred_at_us = event->occurred_at.us,
        .slot = slot,
        .kind = SERIES_KIND_KEY,
    };
    return feed_append(feed, STREAM_SERIES, bucket, &key, sizeof key, err);
}

static bool append_level(struct usage_feed *feed, uint32_t slot, const struct feed_event *event,
                         bool is_metered, struct err *err) {
    uint32_t bucket = feed->org.place.bucket;
    struct text event_id = event->is_set ? event->event_id : (struct text){0};
    if (is_metered && event->is_packed && slot < PAIR_SLOTS_MAX && event_id.size_bytes == 0) {
        uint64_t offset_us = (uint64_t)(event->occurred_at.us - feed->org.start_us);
        uint64_t pair[2] = {(uint64_t)slot << (PAIR_TIME_BITS + 1) | offset_us << 1 |
                                !event->is_set,
                            (uint64_t)event->packed};
        return feed_append(feed, STREAM_LEVELS, bucket, pair, sizeof pair, err);
    }
    struct series_record record = {
        .value.quantity = event->quantity,
        .occurred_at_us = event->occurred_at.us,
        .slot = slot,
        .event_id_bytes = (uint32_t)event_id.size_bytes,
        .kind = SERIES_KIND_LEVEL,
        .is_change = !event->is_set,
        .is_metered = is_metered,
    };
    return feed_append(feed, STREAM_SERIES, bucket, &record, sizeof record, err) &&
           feed_append(feed, STREAM_SERIES, bucket, event_id.bytes, event_id.size_bytes, err);
}

/*
 * A row of a level counts by where it lies, but it moves the level wherever it lies before the end:
 * before the start it is part of the opening level, or, with a recorded one, only what that had not
 * seen.
 */
static bool take_level(struct usage_feed *feed, struct metric_entry *entry, uint32_t slot,
                       const struct feed_event *event, enum usage_category *category,
                       struct err *err) {
    const struct feed_org *org = &feed->org;
    int64_t at_us = event->occurred_at.us;
    *category = USAGE_OUTSIDE;
    if (at_us >= org->start_us + (int64_t)org->length_us) {
        return true;
    }
    if (at_us < org->start_us) {
        bool has_opening =
            catalog_find_opening(feed->usage->catalog, org->rank, entry->name) != NULL;
        if (event->is_late || event->is_reset || (has_opening && !event->is_after_start)) {
            return true;
        }
        return append_level(feed, slot, event, false, err) &&
               (!has_opening ||
                append_aside(feed, entry->metric, event, ASIDE_LATE_OPENING, event->is_set, err));
    }
    bool is_subscribed = is_subscribed_at(org->org, at_us);
    if (event->is_late) {
        *category = is_subscribed ? USAGE_LATE : USAGE_OUTSIDE;
        return !is_subscribed || append_aside(feed, entry->metric, event, ASIDE_LATE,
                                              event->is_set && !event->is_reset, err);
    }
    if (event->is_reset) {
        *category = is_subscribed ? USAGE_ADMINISTRATIVE : USAGE_OUTSIDE;
        return true;
    }
    *category = is_subscribed ? USAGE_METERED : USAGE_OUTSIDE;
    return append_level(feed, slot, event, is_subscribed, err);
}

static bool take_flow(struct usage_feed *feed, struct metric_entry *entry,
                      const struct feed_route *route, const struct feed_event *event,
                      enum usage_category *category, struct err *err) {
    const struct feed_org *org = &feed->org;
    uint64_t offset_us = (uint64_t)event->occurred_at.us - (uint64_t)org->start_us;
    if (offset_us >= org->length_us || !is_subscribed_at(org->org, event->occurred_at.us)) {
        *category = USAGE_OUTSIDE;
        return true;
    }
    bool is_administrative = event->is_reset || event->is_migration;
    if (event->is_late) {
        *category = USAGE_LATE;
        return append_aside(feed, entry->metric, event, ASIDE_LATE,
                            event->is_set && !is_administrative, err);
    }
    if (is_administrative) {
        *category = USAGE_ADMINISTRATIVE;
        return true;
    }
    if (route->price == NULL) {
        *category = USAGE_UNPRICED;
        return append_aside(feed, entry->metric, event, ASIDE_UNPRICED, event->is_set, err);
    }
    *category = USAGE_METERED;
    return append_flow(feed, org->place.slot_first + route->slot, event, &route->price->price, err);
}

static void count_event(struct metric_entry *entry, enum usage_category category,
                        const struct feed_event *event) {
    entry->totals.events[category]++;
    if (!event->is_set) {
        tally_add(&entry->totals.units[category], event->quantity);
    }
}

bool feed_list_earlier(struct usage_feed *feed, struct metric_entry *entry,
                       const struct feed_event *event, bool is_counted, struct err *err) {
    if (is_counted) {
        entry->totals.events_read++;
        if (!event->is_set) {
            tally_add(&entry->totals.units_read, event->quantity);
        }
        count_event(entry, USAGE_OUTSIDE, event);
    }
    return append_aside(feed, entry->metric, event, ASIDE_LATE_EARLIER, event->is_set, err);
}

bool feed_event(struct usage_feed *feed, struct metric_entry *entry, const struct feed_event *event,
                struct err *err) {
    const struct feed_org *org = &feed->org;
    enum usage_category category = USAGE_SET_ASIDE;
    if (org->is_rated) {
        const struct feed_route *route = find_route(feed, org->org->plan, entry);
        bool is_level =
            route->price != NULL && aggregation_table[route->price->price.aggregation].is_level;
        bool is_done = is_level ? take_level(feed, entry, org->place.slot_first + route->slot,
                                             event, &category, err)
                                : take_flow(feed, entry, route, event, &category, err);
        if (!is_done) {
            return false;
        }
    } else if (org->org->plan == NULL) {
        uint64_t offset_us = (uint64_t)event->occurred_at.us - (uint64_t)org->start_us;
        if (offset_us < org->length_us && !event->is_reset && !event->is_migration) {
            catalog_mark_active(feed->usage->catalog, org->rank);
        }
    }
    if (category != USAGE_METERED) { /* those are counted from what was condensed */
        count_event(entry, category, event);
    }
    return true;
}

const struct price *feed_find_price(struct usage_feed *feed, const struct metric_entry *entry) {
    const struct catalog_price *price = find_route(feed, feed->org.org->plan, entry)->price;
    return price != NULL ? &price->price : NULL;
}

void feed_count_unselected(struct metric_entry *entry, const struct feed_event *event) {
    count_event(entry, USAGE_NOT_SELECTED, event);
}

/* --- a row ----------------------------------------------------------------------------------- */

/*
 * The plain lane. Nothing is changed unless the row is taken: what is not goes the long way from
 * its start. False is a failure.
 */
static inline bool take_plain(struct usage_feed *feed, const struct feed_line *line, bool *is_taken,
                              struct err *err) {
    const struct text *fields = line->fields;
    *is_taken = false;
    feed->fold.is_ready = false;
    int64_t packed;
    int64_t seconds;
    struct parse_date *date;
    struct instant occurred_at;
    uint32_t entry_index;
    if ((fields[USAGE_COLUMN_EVENT_ID].size_bytes | fields[USAGE_COLUMN_KIND].size_bytes |
         fields[USAGE_COLUMN_UNIQUE_KEY].size_bytes |
         fields[USAGE_COLUMN_RECORDED_AT].size_bytes) != 0 ||
        !parse_quantity_short(fields[USAGE_COLUMN_QUANTITY], &packed) ||
        !parse_instant_seen(fields[USAGE_COLUMN_OCCURRED_AT], &feed->dates, &date, &seconds,
                            &occurred_at)) {
        return true;
    }
    if (line->rank >= CATALOG_NOT_SELECTED) {
        return true;
    }
    struct text metric = fields[USAGE_COLUMN_METRIC];
    if (metric.size_bytes == 0 || metric.size_bytes > CATALOG_METRIC_BYTES_MAX) {
        return true;
    }
    if (!metric_table_find_short(&feed->metrics, metric, &entry_index, err)) {
        return false;
    }
    const struct usage_org *org = &feed->usage->orgs[line->rank];
    struct metric_entry *entry = &feed->metrics.entries[entry_index];
    uint64_t offset_us = (uint64_t)occurred_at.us - (uint64_t)org->start_us;
    if (org->plan == NULL || offset_us >= org->length_us || entry->refusal != NULL) {
        return true;
    }
    const struct feed_route *route = find_route(feed, org->plan, entry);
    uint32_t slot = org->slot_first + route->slot;
    if (!route->is_plain || slot >= PAIR_SLOTS_MAX) {
        return true;
    }
    *is_taken = true;
    feed->fold.is_ready = true;
    feed->fold.rank = line->rank;
    feed->fold.entry = entry_index;
    feed->fold.slot = slot;
    feed->fold.date = date;
    feed->fold.occurred_at_us = occurred_at.us;
    feed->fold.packed = packed;
    feed->fold.is_word = false;
    metric_entry_read(entry, packed);
    struct spill *spill = feed->usage->spill;
    size_t chunk_bytes = feed->usage->chunk_bytes;
    uint64_t word;
    if (flow_word_pack(slot, offset_us, packed, &word)) {
        feed->fold.is_word = true;
        struct spill_stream *stream = &feed->streams[STREAM_FLOWS_SHORT][org->bucket];
        return spill_append_word(spill, stream, chunk_bytes, word, err);
    }
    uint64_t pair[2] = {(uint64_t)slot << PAIR_TIME_BITS | offset_us, (uint64_t)packed};
    return spill_append_pair(spill, &feed->streams[STREAM_FLOWS][org->bucket], chunk_bytes, pair,
                             err);
}

bool feed_row(struct usage_feed *feed, const struct feed_line *line, bool is_padded,
              struct err *err) {
    bool is_taken = false;
    if (is_padded && !take_plain(feed, line, &is_taken, err)) {
        return false;
    }
    return is_taken || feed_judge_row(feed, line, is_padded, err);
}
