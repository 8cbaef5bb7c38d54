/* Usage that comes added up: into the same categories and records as its events would. */
#include "condense.h"
#include "usage_state.h"

static bool fail_sum(const struct metric_entry *entry, const char *reason, struct err *err) {
    return err_set(err, ERR_CONTROL, "usage of '%.*s' came added up, but %s",
                   (int)entry->name.size_bytes, entry->name.bytes, reason);
}

static bool is_subscribed_through(const struct catalog_org *org, const struct feed_sum *sum) {
    bool is_through = org->is_whole_period;
    for (uint32_t index = 0; index < org->subscribed_count; index++) {
        is_through = is_through || (sum->first_at.us >= org->subscribed[index].from.us &&
                                    sum->last_at.us < org->subscribed[index].until.us);
    }
    return is_through;
}

static bool take_metered(struct usage_feed *feed, const struct metric_entry *entry,
                         const struct feed_sum *sum, struct err *err) {
    const struct feed_org *org = &feed->org;
    const struct calendar *calendar = &org->org->calendar->calendar;
    uint32_t slot;
    const struct catalog_price *price = catalog_find_price(org->org, entry->name, &slot);
    if (price == NULL || (price->price.aggregation != AGGREGATION_SUM &&
                          price->price.aggregation != AGGREGATION_COUNT)) {
        return fail_sum(entry, "the org's plan does not add it up", err);
    }
    if (!is_subscribed_through(org->org, sum)) {
        return fail_sum(entry, "the org was not subscribed all that time", err);
    }
    if (condense_day(calendar, sum->first_at.us) != condense_day(calendar, sum->last_at.us)) {
        return fail_sum(entry, "over more than one day", err);
    }
    const struct flow_record record = {.sum = sum->quantity,
                                       .first_us = sum->first_at.us,
                                       .last_us = sum->last_at.us,
                                       .count = sum->events_count,
                                       .slot = org->place.slot_first + slot};
    return feed_append(feed, STREAM_FLOWS_WIDE, org->place.bucket, &record, sizeof record, err);
}

bool feed_add_sum(struct usage_feed *feed, struct metric_entry *entry, const struct feed_sum *sum,
                  struct err *err) {
    const struct feed_org *org = &feed->org;
    enum usage_category category = USAGE_NOT_SELECTED;
    entry->totals.events_read += sum->events_count;
    tally_add(&entry->totals.units_read, sum->quantity);
    if (sum->rank != CATALOG_NOT_SELECTED) {
        uint64_t first_us = (uint64_t)sum->first_at.us - (uint64_t)org->start_us;
        uint64_t last_us = (uint64_t)sum->last_at.us - (uint64_t)org->start_us;
        bool is_inside = first_us < org->length_us;
        if (is_inside != (last_us < org->length_us)) {
            return fail_sum(entry, "over an end of the org's period", err);
        }
        if (is_inside && org->org->plan == NULL) {
            catalog_mark_active(feed->usage->catalog, org->rank);
        }
        category = !org->is_rated ? USAGE_SET_ASIDE : is_inside ? USAGE_METERED : USAGE_OUTSIDE;
    }
    if (category == USAGE_METERED) { /* counted from what was condensed */
        return take_metered(feed, entry, sum, err);
    }
    entry->totals.events[category] += sum->events_count;
    tally_add(&entry->totals.units[category], sum->quantity);
    return true;
}
