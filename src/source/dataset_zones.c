/* Time zones of orgs, and the days of the period in each. */
#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dataset_internal.h"
#include "sys/zone.h"

/* NULL in *zone: the database has no such zone. */
static bool find_zone(struct dataset *dataset, struct text name, struct dataset_zone **zone,
                      struct err *err) {
    uint64_t hash = XXH3_64bits(name.bytes, name.size_bytes);
    struct dataset_zone *zones = dataset->zones.items;
    for (size_t index = 0; index < dataset->zones.count; index++) {
        if (zones[index].hash == hash && text_equals(zones[index].name, name)) {
            *zone = &zones[index];
            return true;
        }
    }
    *zone = NULL;
    /* From before the period's first midnight anywhere to after the next period's last. */
    struct month month = dataset->options.month;
    struct month last = month_add(month, 3);
    struct civil_date from = {month.year, month.month, 1};
    struct civil_date until = {last.year, last.month, 1};
    struct zone_range range = {{(civil_to_days(from) - 3) * INSTANT_DAY_US},
                               {(civil_to_days(until) + 3) * INSTANT_DAY_US}};
    struct zone loaded;
    if (!zone_load(dataset->arena, name, range, &loaded, err)) {
        if (err->code != ERR_INPUT) {
            return false;
        }
        err_release(err);
        return true;
    }
    struct dataset_zone *added = vector_add(&dataset->zones, err);
    if (added == NULL || !dataset_keep_text(dataset, name, &added->name, err)) {
        return false;
    }
    added->hash = hash;
    added->zone = loaded;
    *zone = added;
    return true;
}

bool dataset_find_calendar(struct dataset *dataset, struct text zone_name, int anchor_day,
                           const struct dataset_calendar **calendar, struct err *err) {
    assert(anchor_day >= 1 && anchor_day <= ANCHOR_DAYS_MAX);
    struct dataset_zone *zone;
    *calendar = NULL;
    if (!find_zone(dataset, zone_name, &zone, err)) {
        return false;
    }
    if (zone == NULL) {
        return true;
    }
    struct dataset_calendar **found = &zone->calendars[anchor_day - 1];
    if (*found == NULL) {
        struct dataset_calendar *made = arena_alloc(dataset->arena, sizeof *made, err);
        if (made == NULL) {
            return false;
        }
        struct calendar next;
        made->calendar.timezone = zone->name;
        made->calendar.anchor_day = anchor_day;
        calendar_init(&made->calendar.calendar, &zone->zone, dataset->options.month, anchor_day);
        calendar_init(&next, &zone->zone, month_add(dataset->options.month, 1), anchor_day);
        made->calendar.next_days_count = next.days_count;
        made->period = (struct interval){calendar_start(&made->calendar.calendar),
                                         calendar_end(&made->calendar.calendar)};
        *found = made;
    }
    *calendar = *found;
    return true;
}

/* NULL: not met. */
static struct zone_met *find_zone_met(const struct calendars_met *met, struct text name,
                                      uint64_t hash) {
    struct zone_met *zones = met->zones.items;
    size_t number = met->chains[hash % ZONE_CHAINS_COUNT];
    while (number > 0) {
        struct zone_met *zone = &zones[number - 1];
        if (zone->hash == hash && text_equals(zone->name, name)) {
            return zone;
        }
        number = zone->next;
    }
    return NULL;
}

static struct zone_met *add_zone_met(struct calendars_met *met, struct text name, uint64_t hash,
                                     struct err *err) {
    met->zones.item_bytes = sizeof(struct zone_met);
    met->last = NULL; /* they move */
    struct zone_met *added = vector_add(&met->zones, err);
    if (added == NULL) {
        return NULL;
    }
    size_t *chain = &met->chains[hash % ZONE_CHAINS_COUNT];
    added->hash = hash;
    added->name = name;
    added->next = *chain;
    *chain = met->zones.count;
    return added;
}

bool dataset_meet_calendar(struct dataset *dataset, struct calendars_met *met,
                           struct text zone_name, int anchor_day,
                           const struct dataset_calendar **calendar, struct err *err) {
    assert(anchor_day >= 1 && anchor_day <= ANCHOR_DAYS_MAX);
    struct zone_met *zone = met->last;
    uint64_t hash = 0;
    if (zone == NULL || !text_equals(zone->name, zone_name)) {
        hash = XXH3_64bits(zone_name.bytes, zone_name.size_bytes);
        zone = find_zone_met(met, zone_name, hash);
    }
    if (zone != NULL && zone->calendars[anchor_day - 1] != NULL) {
        met->last = zone;
        *calendar = zone->calendars[anchor_day - 1];
        return true;
    }
    (void)pthread_mutex_lock(&dataset->zones_mutex);
    bool is_done = dataset_find_calendar(dataset, zone_name, anchor_day, calendar, err);
    (void)pthread_mutex_unlock(&dataset->zones_mutex);
    if (!is_done || *calendar == NULL) {
        return is_done;
    }
    if (zone == NULL) {
        zone = add_zone_met(met, (*calendar)->calendar.timezone, hash, err);
        if (zone == NULL) {
            return false;
        }
    }
    zone->calendars[anchor_day - 1] = *calendar;
    met->last = zone;
    return true;
}
