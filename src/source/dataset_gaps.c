/*
 * Whether a period begins where the org's last recorded one ended. Months in which the org had no
 * subscription lie between without being a gap: there was nothing to close.
 *
 * Files tell the month of what was recorded, which is taken to have ended where today's time zone
 * and anchor day say; a database tells the instant, too. So the way to another calendar is a pause:
 * no subscription from where the last period of the old one ended until one of the new one begins.
 */
#include <assert.h>

#include "core/memory.h"
#include "dataset_internal.h"
#include "sys/zone.h"

/* A zone as it was, for months before those that dataset_orgs.c needs; kept as it is found. */
static const struct zone *find_earlier_zone(struct dataset *dataset, struct dataset_zone *zone,
                                            struct month month, struct err *err) {
    int32_t number = month_number(month);
    if (zone->earlier_month != 0 && zone->earlier_month <= number) {
        return &zone->earlier;
    }
    const struct month last = month_add(dataset->options.month, 1);
    const struct civil_date from = {month.year, month.month, 1};
    const struct civil_date until = {last.year, last.month, 1};
    const struct zone_range range = {{(civil_to_days(from) - 3) * INSTANT_DAY_US},
                                     {(civil_to_days(until) + 3) * INSTANT_DAY_US}};
    if (!zone_load(dataset->arena, zone->name, range, &zone->earlier, err)) {
        return NULL;
    }
    zone->earlier_month = number;
    return &zone->earlier;
}

/* When the period after the org's last recorded one begins. */
static bool find_end(struct dataset *dataset, uint32_t rank, struct instant *end, struct err *err) {
    const struct catalog_calendar *calendar = dataset->catalog.orgs[rank].calendar;
    int32_t next = dataset->extras[rank].latest_period + 1;
    const struct month month = {next / 12, next % 12 + 1};
    struct dataset_zone *zones = dataset->zones.items;
    size_t index = 0;
    while (!text_equals(zones[index].name, calendar->timezone)) {
        index++;
        assert(index < dataset->zones.count);
    }
    const struct zone *zone = find_earlier_zone(dataset, &zones[index], month, err);
    if (zone == NULL) {
        return false;
    }
    struct calendar found;
    calendar_init(&found, zone, month, calendar->anchor_day);
    *end = calendar_start(&found);
    return true;
}

bool dataset_judge_history(struct dataset *dataset, uint32_t rank, enum org_reason *reason,
                           struct err *err) {
    struct org_extra *extra = &dataset->extras[rank];
    int32_t before = month_number(dataset->options.month) - 1;
    *reason = ORG_REASON_NONE;
    if (extra->latest_period == 0) {
        return true;
    }
    struct instant start = calendar_start(&dataset->catalog.orgs[rank].calendar->calendar);
    struct instant end = start;
    if (extra->latest_period > before || (extra->has_misfit && extra->recorded_end.us > start.us)) {
        *reason = ORG_REASON_PERIOD_OVERLAP;
        return true;
    }
    if (extra->has_misfit) {
        end = extra->recorded_end;
    } else if (extra->latest_period < before && !find_end(dataset, rank, &end, err)) {
        return false;
    }
    if (end.us < start.us && extra->subscribed_before.us > end.us) {
        *reason = ORG_REASON_PERIOD_GAP;
    }
    return true;
}

/* --- what a database knows of the last period --------------------------------------------------
 */

static bool take_misfit(struct dataset *dataset, const struct db_result *rows, size_t row,
                        struct err *err) {
    struct text org_id;
    struct instant end;
    int64_t period;
    if (!db_result_text(rows, row, 0, &org_id, err) ||
        !db_result_int64(rows, row, 1, &period, err) ||
        !db_result_instant(rows, row, 2, &end, err)) {
        return false;
    }
    uint32_t rank = catalog_find_org(&dataset->catalog, org_id);
    if (rank == CATALOG_NONE || rank == CATALOG_NOT_SELECTED) {
        return true;
    }
    struct instant start = calendar_start(&dataset->catalog.orgs[rank].calendar->calendar);
    struct org_extra *extra = &dataset->extras[rank];
    int32_t before = month_number(dataset->options.month) - 1;
    extra->has_misfit =
        extra->latest_period == period && (period != before || instant_compare(start, end) != 0);
    extra->recorded_end = end;
    return true;
}

bool dataset_load_misfits(struct dataset *dataset, struct err *err) {
    struct db_params params = {0};
    struct db_result rows = {0};
    if (dataset->options.database == NULL) {
        return true;
    }
    db_params_text(&params, text_from(source_database_period(dataset->options.database)));
    bool is_done = db_run(source_database_connection(dataset->options.database, 0),
                          "extract/misfits.sql", &params, &rows, err);
    for (size_t row = 0; is_done && row < rows.rows_count; row++) {
        is_done = take_misfit(dataset, &rows, row, err);
    }
    db_result_release(&rows);
    return is_done;
}
