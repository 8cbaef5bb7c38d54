/* explain: instants as the org's own clocks showed them, for a person who must answer a customer.
 */
#include <stdio.h>

#include "explain.h"
#include "sys/zone.h"

/* Subscriptions may have begun long ago: what lies farther from the period is told in UTC. */
static const int64_t zone_reach_us = 800 * INSTANT_DAY_US;

bool explain_load_zone(struct explanation *explanation, struct err *err) {
    struct err missing = {0};
    explanation->zone_from = (struct instant){
        table_get_instant(&explanation->org, ORGS_PERIOD_START).us - zone_reach_us};
    explanation->zone_until =
        (struct instant){table_get_instant(&explanation->org, ORGS_PERIOD_END).us + zone_reach_us};
    struct zone_range range = {.from = explanation->zone_from, .until = explanation->zone_until};
    struct text name = table_get_text(&explanation->org, ORGS_TIMEZONE);
    if (text_equals(name, text_from("UTC"))) {
        return true;
    }
    explanation->has_zone =
        zone_load(explanation->cli->arena, name, range, &explanation->zone, &missing);
    if (!explanation->has_zone) {
        enum err_code code = missing.code;
        err_release(&missing);
        if (code == ERR_MEMORY) {
            return err_memory(err, sizeof explanation->zone);
        }
        console_say(&explanation->cli->console, LOG_NOTE,
                    "note: the time zone database here does not have '%.*s': instants are in UTC",
                    (int)name.size_bytes, name.bytes);
    }
    return true;
}

static int32_t zone_offset_seconds(const struct zone *zone, struct instant instant) {
    size_t index = 0;
    while (index + 1 < zone->offsets_count && zone->offsets[index + 1].from_us <= instant.us) {
        index++;
    }
    return zone->offsets[index].offset_seconds;
}

bool explain_instant(const struct explanation *explanation, struct instant instant,
                     char text[EXPLAIN_INSTANT_MAX]) {
    char utc[INSTANT_TEXT_MAX];
    if (!explanation->has_zone || instant_compare(instant, explanation->zone_from) < 0 ||
        instant_compare(instant, explanation->zone_until) >= 0) {
        (void)instant_format(instant, utc);
        (void)snprintf(text, EXPLAIN_INSTANT_MAX, "%s", utc);
        return false;
    }
    int32_t offset = zone_offset_seconds(&explanation->zone, instant);
    int32_t size = offset < 0 ? -offset : offset;
    size_t length = instant_format((struct instant){instant.us + offset * INT64_C(1000000)}, utc);
    utc[length - 1] = '\0'; /* the Z */
    char *separator = strchr(utc, 'T');
    if (separator != NULL) {
        *separator = ' ';
    }
    (void)snprintf(text, EXPLAIN_INSTANT_MAX, "%s %c%02d:%02d", utc, offset < 0 ? '-' : '+',
                   size / 3600, size / 60 % 60);
    if (size % 60 != 0) { /* local mean times of long ago */
        size_t written = strlen(text);
        (void)snprintf(text + written, EXPLAIN_INSTANT_MAX - written, ":%02d", size % 60);
    }
    return true;
}

bool explain_say_span(const struct explanation *explanation, const struct explain_span *span,
                      struct err *err) {
    char from[EXPLAIN_INSTANT_MAX];
    char until[EXPLAIN_INSTANT_MAX];
    bool is_local = explain_instant(explanation, span->from, from);
    is_local = explain_instant(explanation, span->until, until) || is_local;
    bool is_one = span->one != NULL && instant_compare(span->from, span->until) == 0;
    const char *first = is_one ? span->one : span->first;
    if (!explain_say(explanation, err, "", "%s%s%s%s", first, from, is_one ? "" : span->between,
                     is_one ? "" : until)) {
        return false;
    }
    if (!is_local) {
        return true;
    }
    char from_utc[INSTANT_TEXT_MAX];
    char until_utc[INSTANT_TEXT_MAX];
    (void)instant_format(span->from, from_utc);
    (void)instant_format(span->until, until_utc);
    return explain_say(explanation, err, "", "in UTC: %s%s%s%s", first, from_utc,
                       is_one ? "" : span->between, is_one ? "" : until_utc);
}
