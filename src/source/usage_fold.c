#include "usage_fold.h"

#include "condense.h"

void fold_open(struct usage_feed *feed) {
    struct feed_fold *fold = &feed->fold;
    fold->is_open = fold->is_ready;
    if (!fold->is_open) {
        return;
    }
    const struct catalog_org *org = feed->org.org;
    const struct calendar *calendar = &org->calendar->calendar;
    size_t day = condense_day(calendar, fold->occurred_at_us);
    fold->org_id = org->org_id;
    fold->metric = feed->metrics.entries[fold->entry].name;
    fold->day_from_us = calendar->starts_us[day];
    fold->day_length_us = (uint64_t)(calendar->starts_us[day + 1] - calendar->starts_us[day]);
    fold->count = 0;
    fold->sum_units = 0;
    fold->first_us = INT64_MAX;
    fold->last_us = INT64_MIN;
}

bool fold_close(struct usage_feed *feed, struct err *err) {
    struct feed_fold *fold = &feed->fold;
    fold->is_open = false;
    fold->is_ready = false;
    if (fold->count == 0) {
        return true;
    }
    struct flow_record record = {
        .sum.units = fold->sum_units,
        .first_us = fold->first_us,
        .last_us = fold->last_us,
        .count = fold->count,
        .slot = fold->slot,
    };
    fold->count = 0;
    struct metric_totals *totals = &feed->metrics.entries[fold->entry].totals;
    totals->events_read += record.count;
    tally_add(&totals->units_read, record.sum);
    uint32_t bucket = feed->org.place.bucket;
    if (record.count > 1) {
        return feed_append(feed, STREAM_FLOWS_WIDE, bucket, &record, sizeof record, err);
    }
    uint64_t offset_us = (uint64_t)(record.first_us - feed->org.start_us);
    uint64_t pair[2] = {(uint64_t)fold->slot << PAIR_TIME_BITS | offset_us, (uint64_t)fold->packed};
    return feed_append(feed, STREAM_FLOWS, bucket, pair, sizeof pair, err);
}
