/*
 * The cases of peer_cases.tsv (see peer_cases.md): each is computed by our code and equal, or it is
 * listed below with its reason.
 *
 * A compute_… returns false for a case that needs something we do not have. Parameters are read as
 * text only; one that the function does not know makes it return false too, unless the list says
 * that the case is to be computed without it, to show how our result differs.
 */
#include "peer_prices.h"

#include "core/calendar.h"
#include "rating/level.h"

enum { CASES_COUNT = 113, FIELDS_COUNT = 11, WEIGHTS_MAX = 8 };

/* ours: what our rules give, which must be something else; NULL where we have nothing like it. */
static const struct listed {
    const char *id;
    const char *without;
    const char *ours;
    const char *why;
} listed_cases[] = {
    {"OM007", NULL, "0", "rule: zero usage costs nothing, no flat price either"},
    {"OM016", NULL, "0", "rule: zero usage costs nothing, no flat price either"},
    {"OM122", NULL, "0", "rule: zero usage costs nothing, no flat price either"},
    {"OM004", "min", "-100", "feature: minimum spend (and a flat price at zero usage)"},
    {"OM026", NULL, NULL, "feature: minimum spend"},
    {"OM031", "min", "0", "feature: minimum spend"},
    {"OM060", NULL, NULL,
     "feature: usage converted to a whole number of larger units before tiers"},
    {"FX018", "round", "1", "rule: a package begun is a package paid"},
    {"FX020", "round", "3", "rule: a package begun is a package paid"},
    {"LG134", NULL, NULL, "feature: rounding up to a number of decimals"},
    {"LG137", "fn", "123.46", "rule: whatever is rounded, is rounded half away from zero"},
    {"LG139", NULL, NULL, "feature: rounding down to hundreds"},
    {"FX127", NULL, "2024-03-28T18:30:00Z", "rule: a period begins at midnight of its local date"},
    {"FX128", NULL, "2025-03-27T18:30:00Z", "rule: a period begins at midnight of its local date"},
    {"FX132", NULL, NULL, "feature: periods of two months"},
    {"FX138", NULL, NULL, "feature: periods of a year"},
    {"FX146", NULL, NULL, "feature: periods of a year"},
    {"FX161", NULL, NULL, "feature: periods of a day"},
};

enum { LISTED_COUNT = sizeof listed_cases / sizeof listed_cases[0] };

static const struct listed *listed_find(const char *id) {
    for (size_t row = 0; row < LISTED_COUNT; row++) {
        if (strcmp(listed_cases[row].id, id) == 0) {
            return &listed_cases[row];
        }
    }
    return NULL;
}

/* --- rounding and allocation -------------------------------------------------------------------
 */

static struct decimal round_to(struct decimal value, const char *digits) {
    struct exact exact = EXACT_ZERO;
    struct decimal increment = DECIMAL_ONE;
    struct decimal rounded;
    for (long digit = strtol(digits, NULL, 10); digit > 0; digit--) {
        increment.units /= 10;
    }
    assert_true(exact_add_decimal(&exact, value));
    assert_true(exact_round_half_away(exact, increment, &rounded));
    return rounded;
}

static bool compute_rounding(const struct peer_case *peer, char *ours) {
    const char *function = param(peer, peer->params, "fn");
    const char *digits = param(peer, peer->params, "digits");
    bool is_ours =
        function == NULL || strcmp(function, "round") == 0 || strcmp(function, "half_up") == 0;
    if (!is_ours || digits[0] == '-' || !params_are_known(peer, peer->params, " fn digits ")) {
        return false;
    }
    struct decimal rounded = round_to(dec(peer->usage), digits);
    if (peer->currency[0] != '\0') {
        struct exact exact = EXACT_ZERO;
        struct err err = {0};
        struct decimal money;
        assert_true(exact_add_decimal(&exact, dec(peer->usage)));
        assert_true(money_round(exact, peer_currency(peer), &money, &err));
        assert_true(money.units == rounded.units);
    }
    decimal_format(rounded, ours);
    return true;
}

/* Weights as costs, and what is to be allocated as the cap over them. Zero shares are left out. */
static bool compute_allocation(const struct peer_case *peer, char *ours) {
    const json_t *weights = json_object_get(peer->params, "weights");
    size_t count = json_array_size(weights);
    if (!params_are_known(peer, peer->params, " weights digits tie ")) {
        return false;
    }
    assert_in_range(count, 1, WEIGHTS_MAX);
    bool is_minor = strcmp(peer->unit, "minor") == 0;
    struct capped_cost costs[WEIGHTS_MAX];
    for (size_t index = 0; index < count; index++) {
        const json_t *row = json_array_get(weights, index);
        costs[index] = (struct capped_cost){
            .metric = text_from(json_string_value(json_array_get(row, 0))),
            .uncapped_cost = dec(json_string_value(json_array_get(row, 1))),
        };
        costs[index].uncapped_cost.units *= 1000; /* more than the cap: the weights are ratios */
        /* Ties go by input order there and by bytes here: the same in these cases. */
        assert_true(index == 0 || text_compare(costs[index - 1].metric, costs[index].metric) < 0);
    }
    struct decimal cap = dec(peer->usage);
    cap.units /= is_minor ? 100 : 1;
    struct err err = {0};
    struct arena *arena = arena_create(&err);
    assert_non_null(arena);
    assert_true(charge_cap(costs, count, cap, peer_currency(peer), arena, &err));
    arena_destroy(arena);
    size_t length = (size_t)snprintf(ours, TEXT_MAX, "[");
    for (size_t index = 0; index < count; index++) {
        char amount[TEXT_MAX];
        if (!decimal_is_zero(costs[index].cost)) {
            write_amount(peer, costs[index].cost, amount);
            length += (size_t)snprintf(ours + length, TEXT_MAX - length, "%s[\"%.*s\",\"%s\"]",
                                       length > 1 ? "," : "", (int)costs[index].metric.size_bytes,
                                       costs[index].metric.bytes, amount);
        }
    }
    snprintf(ours + length, TEXT_MAX - length, "]");
    return true;
}

/* --- aggregations -------------------------------------------------------------------------------
 */

static bool compute_sum(const struct peer_case *peer, char *ours) {
    if (!params_are_known(peer, peer->params, " recurring filtered period ")) {
        return false;
    }
    json_t *values = json_loads(peer->usage, 0, NULL);
    struct decimal level = DECIMAL_ZERO;
    for (size_t index = 0; index < json_array_size(values); index++) {
        /* A sum that keeps earlier periods is a level with us; both add up the same way. */
        assert_true(
            level_fold(&level, false, dec(json_string_value(json_array_get(values, index)))));
    }
    json_decref(values);
    decimal_format(level, ours);
    return true;
}

static const struct zone_offset utc_offset = {.from_us = INT64_MIN, .offset_seconds = 0};
static const struct zone utc = {.offsets = &utc_offset, .offsets_count = 1};

/* "2023-08-01T00:00:00" without a zone is UTC. */
static struct instant utc_instant(const json_t *text) {
    char with_zone[TEXT_MAX];
    struct instant instant;
    snprintf(with_zone, sizeof with_zone, "%sZ", json_string_value(text));
    assert_null(instant_parse(text_from(with_zone), &instant));
    return instant;
}

/* The shares of all runs: exact, then half away to 15 decimals. */
static struct decimal time_weighted(const struct level_result *result, int64_t length_us) {
    struct decimal total = DECIMAL_ZERO;
    int128 remainder = 0;
    for (size_t run = 0; run < result->runs_count; run++) {
        total.units += result->runs[run].share.units;
        remainder += result->runs[run].share_remainder;
    }
    assert_true(total.units >= 0);
    total.units += int128_divide_half_away(remainder, length_us);
    return total;
}

static bool compute_weighted_sum(const struct peer_case *peer, char *ours) {
    if (!params_are_known(peer, peer->params, " period round initial ")) {
        return false;
    }
    const json_t *period = json_object_get(peer->params, "period");
    struct interval whole = {utc_instant(json_array_get(period, 0)),
                             utc_instant(json_array_get(period, 1))};
    struct civil_date first = civil_from_days(zone_date(&utc, whole.from));
    struct calendar calendar;
    calendar_init(&calendar, &utc, (struct month){first.year, first.month}, first.day);
    assert_true(calendar_start(&calendar).us == whole.from.us);
    assert_true(calendar_end(&calendar).us == whole.until.us);
    struct level_meter meter;
    struct level_result result;
    level_meter_init(&meter, (struct level_window){&calendar, &whole, 1},
                     param_decimal(peer, peer->params, "initial"), &result);
    json_t *rows = json_loads(peer->usage, 0, NULL);
    for (size_t row = 0; row < json_array_size(rows); row++) {
        const json_t *one = json_array_get(rows, row);
        assert_true(level_meter_add(&meter, utc_instant(json_array_get(one, 0)), false,
                                    dec(json_string_value(json_array_get(one, 1)))));
    }
    json_decref(rows);
    assert_true(level_meter_finish(&meter));
    struct decimal mean = time_weighted(&result, whole.until.us - whole.from.us);
    decimal_format(round_to(mean, param(peer, peer->params, "round")), ours);
    return true;
}

/* --- periods ------------------------------------------------------------------------------------
 */

static struct civil_date date_of(const char *text) {
    struct civil_date date;
    assert_int_equal(sscanf(text, "%4d-%2d-%2d", &date.year, &date.month, &date.day), 3);
    return date;
}

/* The end of the period that begins on the date, in a zone with the offset that the text ends in.
 */
static bool compute_period_next(const struct peer_case *peer, char *ours) {
    if (!params_are_known(peer, peer->params, " period unit anchor timezone ") ||
        strcmp(param(peer, peer->params, "period"), "MONTHLY") != 0 ||
        strcmp(param(peer, peer->params, "unit"), "1") != 0) {
        return false;
    }
    const char *offset_text = peer->usage + strlen("2024-02-29T10:37:00");
    int hours;
    int minutes;
    assert_int_equal(sscanf(offset_text, "%3d:%2d", &hours, &minutes), 2);
    assert_true(hours >= 0);
    struct zone_offset offset = {INT64_MIN, hours * 3600 + minutes * 60};
    struct zone zone = {.offsets = &offset, .offsets_count = 1};
    struct civil_date start = date_of(peer->usage);
    struct calendar calendar;
    calendar_init(&calendar, &zone, (struct month){start.year, start.month},
                  date_of(param(peer, peer->params, "anchor")).day);
    struct instant expected;
    assert_null(instant_parse(text_from(peer->expected), &expected));
    assert_int_equal(zone_date(&zone, expected), zone_date(&zone, calendar_end(&calendar)));
    instant_format(calendar_end(&calendar), ours);
    return true;
}

static bool compute_period_containing(const struct peer_case *peer, char *ours) {
    if (!params_are_known(peer, peer->params, " months billing_day start ") ||
        json_integer_value(json_object_get(peer->params, "months")) != 1) {
        return false;
    }
    int anchor_day = (int)strtol(param(peer, peer->params, "billing_day"), NULL, 10);
    struct civil_date date = date_of(peer->usage);
    struct month month = {date.year, date.month};
    struct calendar calendar;
    calendar_init(&calendar, &utc, month, anchor_day);
    if (calendar.dates[0] > civil_to_days(date)) {
        calendar_init(&calendar, &utc, month_add(month, -1), anchor_day);
    }
    char first[INSTANT_TEXT_MAX];
    char next[INSTANT_TEXT_MAX];
    civil_format(calendar.dates[0], first);
    civil_format(zone_date(&utc, calendar_end(&calendar)), next);
    snprintf(ours, TEXT_MAX, "[\"%s\",\"%s\"]", first, next);
    return true;
}

/* --- the comparison -----------------------------------------------------------------------------
 */

static const struct peer_model {
    const char *name;
    bool (*compute)(const struct peer_case *peer, char *ours);
} peer_models[] = {
    {"per_unit", compute_price},
    {"graduated", compute_price},
    {"volume", compute_price},
    {"package", compute_price},
    {"graduated_one_range", compute_one_range},
    {"delta", compute_delta},
    {"included_units", compute_included},
    {"rounding", compute_rounding},
    {"allocation", compute_allocation},
    {"aggregation:sum", compute_sum},
    {"aggregation:weighted_sum", compute_weighted_sum},
    {"period_next", compute_period_next},
    {"period_containing", compute_period_containing},
};

static bool compute(const struct peer_case *peer, char *ours) {
    for (size_t row = 0; row < sizeof peer_models / sizeof peer_models[0]; row++) {
        if (strcmp(peer_models[row].name, peer->model) == 0) {
            return peer_models[row].compute(peer, ours);
        }
    }
    return false;
}

/* "3.0" is 3, and an instant is compared in UTC; lists are compared as they are. */
static void write_expected(const struct peer_case *peer, char *expected) {
    struct instant instant;
    if (strcmp(peer->unit, "timestamp") == 0) {
        assert_null(instant_parse(text_from(peer->expected), &instant));
        instant_format(instant, expected);
    } else if (peer->expected[0] == '[') {
        snprintf(expected, TEXT_MAX, "%s", peer->expected);
    } else {
        decimal_format(dec(peer->expected), expected);
    }
}

/* True when equal, false when listed; anything else fails. */
static bool check_case(struct peer_case *peer) {
    char ours[TEXT_MAX] = "";
    char expected[TEXT_MAX];
    write_expected(peer, expected);
    const struct listed *listed = listed_find(peer->id);
    if (listed == NULL) {
        if (!compute(peer, ours)) {
            fail_msg("%s needs something we do not have, and is not listed", peer->id);
        }
        if (strcmp(ours, expected) != 0) {
            fail_msg("%s: ours %s, theirs %s, and it is not listed", peer->id, ours, expected);
        }
        return true;
    }
    peer->without = listed->without;
    if (compute(peer, ours) != (listed->ours != NULL)) {
        fail_msg("%s is listed as '%s', but %s", peer->id, listed->why,
                 listed->ours == NULL ? "can be computed" : "cannot be computed");
    }
    if (listed->ours != NULL) {
        assert_string_equal(ours, listed->ours);
        assert_string_not_equal(ours, expected);
    }
    return false;
}

/* Splits a line at its tabs, in place. */
static void read_case(char *line, struct peer_case *peer) {
    const char *fields[FIELDS_COUNT];
    for (size_t field = 0; field < FIELDS_COUNT; field++) {
        assert_non_null(line);
        fields[field] = strsep(&line, "\t");
    }
    assert_null(line);
    json_error_t error;
    *peer = (struct peer_case){
        .id = fields[0],
        .model = fields[3],
        .currency = fields[4],
        .params = json_loads(fields[5], JSON_REJECT_DUPLICATES, &error),
        .usage = fields[6],
        .expected = fields[7],
        .unit = fields[8],
    };
    if (peer->params == NULL) {
        fail_msg("%s: %s", peer->id, error.text);
    }
}

static void every_case_of_the_peers_is_equal_or_listed(void **state) {
    (void)state;
    FILE *file = fopen("tests/rating/peer_cases.tsv", "re");
    assert_non_null(file);
    char *line = NULL;
    size_t capacity = 0;
    size_t equal_count = 0;
    size_t listed_count = 0;
    assert_true(getline(&line, &capacity, file) > 0); /* the names of the columns */
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) > 0) {
        line[length - (line[length - 1] == '\n')] = '\0';
        struct peer_case peer;
        read_case(line, &peer);
        if (check_case(&peer)) {
            equal_count++;
        } else {
            listed_count++;
        }
        json_decref((json_t *)peer.params);
    }
    free(line);
    fclose(file);
    printf("%zu cases: %zu equal, %zu listed\n", equal_count + listed_count, equal_count,
           listed_count);
    assert_int_equal(equal_count + listed_count, CASES_COUNT);
    assert_int_equal(listed_count, LISTED_COUNT); /* and nothing is listed that is no case */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_the_peers_is_equal_or_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
