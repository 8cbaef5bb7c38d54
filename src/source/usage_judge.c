/*
 * Judging a row of usage: the long way, for any row that the plain lane of usage_feed.c did not
 * take. What is wrong with it is told.
 */
#include "usage_state.h"

static const char *const column_names[USAGE_COLUMNS_COUNT] = {
    [USAGE_COLUMN_ORG_ID] = "org_id",         [USAGE_COLUMN_METRIC] = "metric",
    [USAGE_COLUMN_QUANTITY] = "quantity",     [USAGE_COLUMN_OCCURRED_AT] = "occurred_at",
    [USAGE_COLUMN_EVENT_ID] = "event_id",     [USAGE_COLUMN_KIND] = "kind",
    [USAGE_COLUMN_UNIQUE_KEY] = "unique_key", [USAGE_COLUMN_RECORDED_AT] = "recorded_at",
};

struct judged {
    struct usage_feed *feed;
    const struct text *fields;
    uint64_t line;
    bool is_bad;
    uint32_t rank; /* or CATALOG_NOT_SELECTED */
    uint32_t entry;
    struct feed_event event;
};

static bool refuse(struct judged *judged, enum usage_column column, struct err *err,
                   const char *reason) {
    judged->is_bad = true;
    return problems_add(judged->feed->problems, judged->feed->file_name, judged->line,
                        column_names[column], judged->fields[column], err, "%s", reason);
}

static bool judge_org(struct judged *judged, struct err *err) {
    struct text org_id = judged->fields[USAGE_COLUMN_ORG_ID];
    if (org_id.size_bytes == 0) {
        return refuse(judged, USAGE_COLUMN_ORG_ID, err, "is not given");
    }
    if (judged->rank == CATALOG_NONE && judged->feed->usage->catalog->is_incomplete) {
        judged->is_bad = true; /* it may be one of the orgs that were told as bad */
        return true;
    }
    if (judged->rank == CATALOG_NONE) {
        return refuse(judged, USAGE_COLUMN_ORG_ID, err, "is not in orgs.csv");
    }
    if (judged->rank != CATALOG_NOT_SELECTED && judged->rank != judged->feed->org.rank) {
        feed_look_at_org(judged->feed, judged->rank);
    }
    return true;
}

static bool judge_metric(struct judged *judged, struct err *err) {
    struct text metric = judged->fields[USAGE_COLUMN_METRIC];
    if (metric.size_bytes == 0) {
        return refuse(judged, USAGE_COLUMN_METRIC, err, "is not given");
    }
    if (metric.size_bytes > CATALOG_METRIC_BYTES_MAX) { /* not even a place in the table */
        return refuse(judged, USAGE_COLUMN_METRIC, err, catalog_check_metric(metric));
    }
    if (!metric_table_find(&judged->feed->metrics, metric, &judged->entry, err)) {
        return false;
    }
    const char *refusal = judged->feed->metrics.entries[judged->entry].refusal;
    if (refusal != NULL) {
        return refuse(judged, USAGE_COLUMN_METRIC, err, refusal);
    }
    return true;
}

static bool judge_quantity(struct judged *judged, bool is_padded, struct err *err) {
    struct text quantity = judged->fields[USAGE_COLUMN_QUANTITY];
    struct feed_event *event = &judged->event;
    if (is_padded && parse_quantity_short(quantity, &event->packed)) {
        event->is_packed = true;
        event->quantity = packed_to_decimal(event->packed);
        return true;
    }
    if (quantity.size_bytes == 0) {
        return refuse(judged, USAGE_COLUMN_QUANTITY, err, "is not given");
    }
    enum decimal_fault fault = decimal_parse(quantity, &event->quantity);
    if (fault != DECIMAL_OK) {
        return refuse(judged, USAGE_COLUMN_QUANTITY, err, decimal_fault_text(fault));
    }
    event->is_packed = packed_from_decimal(event->quantity, &event->packed);
    return true;
}

static bool judge_times(struct judged *judged, struct err *err) {
    struct text occurred_at = judged->fields[USAGE_COLUMN_OCCURRED_AT];
    if (occurred_at.size_bytes == 0) {
        return refuse(judged, USAGE_COLUMN_OCCURRED_AT, err, "is not given");
    }
    const char *reason =
        parse_instant(occurred_at, &judged->feed->dates, &judged->event.occurred_at);
    if (reason != NULL && !refuse(judged, USAGE_COLUMN_OCCURRED_AT, err, reason)) {
        return false;
    }
    struct text recorded_at = judged->fields[USAGE_COLUMN_RECORDED_AT];
    if (recorded_at.size_bytes == 0) {
        return true;
    }
    struct instant recorded;
    reason = parse_instant(recorded_at, &judged->feed->dates, &recorded);
    if (reason != NULL) {
        return refuse(judged, USAGE_COLUMN_RECORDED_AT, err, reason);
    }
    const struct catalog *catalog = judged->feed->usage->catalog;
    judged->event.is_late = catalog->has_cutoff && instant_compare(recorded, catalog->cutoff) > 0;
    judged->event.is_after_start = recorded.us >= judged->feed->org.start_us;
    return true;
}

/* What the org's plan makes of the metric says what kind and unique_key may be. */
static bool judge_kind(struct judged *judged, const struct price *price, struct err *err) {
    struct text kind = judged->fields[USAGE_COLUMN_KIND];
    bool is_level = price != NULL && aggregation_table[price->aggregation].is_level;
    judged->event.is_set = is_level;
    if (kind.size_bytes > 0) {
        judged->event.is_set = text_equals(kind, text_from("set"));
        if (!judged->event.is_set && !text_equals(kind, text_from("delta"))) {
            return refuse(judged, USAGE_COLUMN_KIND, err, "is neither 'set' nor 'delta'");
        }
        if (judged->event.is_set && price != NULL && !is_level) {
            return refuse(judged, USAGE_COLUMN_KIND, err,
                          "the org's plan adds this metric up: it cannot be set");
        }
    }
    struct text key = judged->fields[USAGE_COLUMN_UNIQUE_KEY];
    judged->event.has_key = key.size_bytes > 0;
    if (judged->event.has_key) {
        feed_hash(judged->feed->usage, key, judged->event.key_hash);
    } else if (price != NULL && price->aggregation == AGGREGATION_UNIQUE) {
        return refuse(judged, USAGE_COLUMN_UNIQUE_KEY, err,
                      "is not given, but the org's plan counts unique ones");
    }
    return true;
}

/* Its org, metric, quantity and times are judged. */
static bool take_judged(struct judged *judged, struct err *err) {
    struct usage_feed *feed = judged->feed;
    struct metric_entry *entry = &feed->metrics.entries[judged->entry];
    bool is_selected = judged->rank != CATALOG_NOT_SELECTED;
    const struct price *price = is_selected ? feed_find_price(feed, entry) : NULL;
    if (!judge_kind(judged, price, err)) {
        return false;
    }
    if (judged->is_bad) {
        return true;
    }
    entry->totals.events_read++;
    if (!judged->event.is_set) {
        tally_add(&entry->totals.units_read, judged->event.quantity);
    }
    if (!is_selected) {
        feed_count_unselected(entry, &judged->event);
        return true;
    }
    struct text event_id = judged->fields[USAGE_COLUMN_EVENT_ID];
    if (event_id.size_bytes == 0) {
        return feed_event(feed, entry, &judged->event, err);
    }
    if (judged->event.is_set) {
        judged->event.event_id = event_id;
    }
    return feed_identified(feed, entry, &judged->event, event_id, judged->line, err);
}

bool feed_judge_row(struct usage_feed *feed, const struct feed_line *line, bool is_padded,
                    struct err *err) {
    struct judged judged = {
        .feed = feed,
        .fields = line->fields,
        .line = line->line,
        .rank = line->rank,
    };
    return judge_org(&judged, err) && judge_metric(&judged, err) &&
           judge_quantity(&judged, is_padded, err) && judge_times(&judged, err) &&
           (judged.is_bad || take_judged(&judged, err));
}
