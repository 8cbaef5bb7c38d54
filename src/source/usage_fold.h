/*
 * Folding: rows that have the org, the metric and the day of the row before, and are as plain as
 * that one was, are added up as they are read and spilled as one record. In a file in order of orgs
 * these are most rows, and what they cost is then little more than their parsing.
 *
 *     fold_open(feed)              after rows were taken
 *     fold_takes(fold, fields)     for each row from there on; false: it is for the others
 *     fold_close(feed, err)        before the next rows are taken, and at the end
 *
 * Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_FOLD_H
#define PERIODCLOSE_SOURCE_USAGE_FOLD_H

#include "usage_state.h"

/* Only if the row before went the plain lane. */
void fold_open(struct usage_feed *feed);
/* Spills what was folded; closed is fine. */
bool fold_close(struct usage_feed *feed, struct err *err);

/* Eight bytes before every field must be readable. Only rows that a window of bytes can hold: sums
 * do not overflow. */
static inline bool fold_takes(struct feed_fold *fold, const struct text *fields) {
    struct text occurred_at = fields[USAGE_COLUMN_OCCURRED_AT];
    int64_t packed;
    int64_t seconds;
    if (!fold->is_open ||
        (fields[USAGE_COLUMN_EVENT_ID].size_bytes | fields[USAGE_COLUMN_KIND].size_bytes |
         fields[USAGE_COLUMN_UNIQUE_KEY].size_bytes |
         fields[USAGE_COLUMN_RECORDED_AT].size_bytes) != 0 ||
        !parse_is_same(fields[USAGE_COLUMN_METRIC], fold->metric) ||
        !parse_is_same(fields[USAGE_COLUMN_ORG_ID], fold->org_id) || !parse_is_stamp(occurred_at) ||
        !parse_is_date(occurred_at, fold->date) ||
        !parse_time_of_day(occurred_at.bytes + PARSE_DATE_BYTES, &seconds) ||
        !parse_quantity_short(fields[USAGE_COLUMN_QUANTITY], &packed)) {
        return false;
    }
    int64_t at_us = fold->date->start_us + seconds * 1000000;
    if ((uint64_t)at_us - (uint64_t)fold->day_from_us >= fold->day_length_us) {
        return false;
    }
    fold->count++;
    fold->sum_units += packed_to_decimal(packed).units;
    fold->first_us = at_us < fold->first_us ? at_us : fold->first_us;
    fold->last_us = at_us > fold->last_us ? at_us : fold->last_us;
    fold->packed = packed;
    return true;
}

#endif
