/* explain: the org itself, why it was not closed, and the nearest names of one that is not there.
 */
#include <stdio.h>

#include "cli/shard_walk.h"
#include "explain.h"
#include "stage/stages.h"

/* --- subscriptions ------------------------------------------------------------------------------
 */

/* [starts_at, ends_at) and the period have an instant in common. */
static bool is_in_period(const struct explanation *explanation, const struct table_cursor *row) {
    struct instant start = table_get_instant(&explanation->org, ORGS_PERIOD_START);
    struct instant end = table_get_instant(&explanation->org, ORGS_PERIOD_END);
    bool begins_before = table_is_null(row, SUBSCRIPTIONS_STARTS_AT) ||
                         instant_compare(table_get_instant(row, SUBSCRIPTIONS_STARTS_AT), end) < 0;
    bool ends_after = table_is_null(row, SUBSCRIPTIONS_ENDS_AT) ||
                      instant_compare(table_get_instant(row, SUBSCRIPTIONS_ENDS_AT), start) > 0;
    return begins_before && ends_after;
}

/* The end of the subscription that is in force at that instant; the instant itself when none is. */
static struct instant subscribed_until(const struct explanation *explanation, struct instant at) {
    struct table_cursor row = table_cursor_start(explanation->tables.subscriptions);
    struct instant until = at;
    while (table_cursor_next(&row)) {
        if (!text_equals(table_get_text(&row, SUBSCRIPTIONS_ORG_ID), explanation->org_id) ||
            (!table_is_null(&row, SUBSCRIPTIONS_STARTS_AT) &&
             instant_compare(table_get_instant(&row, SUBSCRIPTIONS_STARTS_AT), at) > 0)) {
            continue;
        }
        if (table_is_null(&row, SUBSCRIPTIONS_ENDS_AT)) {
            return table_get_instant(&explanation->org, ORGS_PERIOD_END);
        }
        struct instant end = table_get_instant(&row, SUBSCRIPTIONS_ENDS_AT);
        until = instant_compare(end, until) > 0 ? end : until;
    }
    return until;
}

bool explain_is_subscribed_throughout(const struct explanation *explanation) {
    struct instant period_end = table_get_instant(&explanation->org, ORGS_PERIOD_END);
    struct instant at = table_get_instant(&explanation->org, ORGS_PERIOD_START);
    while (instant_compare(at, period_end) < 0) {
        struct instant until = subscribed_until(explanation, at);
        if (instant_compare(until, at) <= 0) {
            return false;
        }
        at = until;
    }
    return true;
}

static bool say_subscription(const struct explanation *explanation, const char *label,
                             const struct table_cursor *row, struct err *err) {
    char from[EXPLAIN_INSTANT_MAX] = "a time not given";
    char until[EXPLAIN_INSTANT_MAX] = "";
    const char *plan_id =
        explain_escape(explanation, table_get_text(row, SUBSCRIPTIONS_PLAN_ID), err);
    if (plan_id == NULL) {
        return false;
    }
    if (!table_is_null(row, SUBSCRIPTIONS_STARTS_AT)) {
        (void)explain_instant(explanation, table_get_instant(row, SUBSCRIPTIONS_STARTS_AT), from);
    }
    if (!table_is_null(row, SUBSCRIPTIONS_ENDS_AT)) {
        (void)explain_instant(explanation, table_get_instant(row, SUBSCRIPTIONS_ENDS_AT), until);
    }
    return until[0] != '\0'
               ? explain_say(explanation, err, label, "to '%s' from %s until %s%s", plan_id, from,
                             until, is_in_period(explanation, row) ? "" : " (outside the period)")
               : explain_say(explanation, err, label, "to '%s' since %s", plan_id, from);
}

static bool say_subscriptions(const struct explanation *explanation, struct err *err) {
    const char *label = "subscribed";
    struct table_cursor row = table_cursor_start(explanation->tables.subscriptions);
    while (table_cursor_next(&row)) {
        int order = text_compare(table_get_text(&row, SUBSCRIPTIONS_ORG_ID), explanation->org_id);
        if (order > 0) {
            break;
        }
        if (order == 0) {
            if (!say_subscription(explanation, label, &row, err)) {
                return false;
            }
            label = "";
        }
    }
    return label[0] == '\0' || explain_say(explanation, err, label, "to nothing");
}

/* --- the head -----------------------------------------------------------------------------------
 */

static bool say_heading(const struct explanation *explanation, struct err *err) {
    const struct table_cursor *org = &explanation->org;
    const char *org_id = explain_escape(explanation, explanation->org_id, err);
    const char *name = table_is_null(org, ORGS_NAME)
                           ? ""
                           : explain_escape(explanation, table_get_text(org, ORGS_NAME), err);
    return org_id != NULL && name != NULL &&
           console_out(&explanation->cli->console, err, "%s%s%s\n", org_id,
                       name[0] != '\0' ? ": " : "", name);
}

static bool say_period(const struct explanation *explanation, struct err *err) {
    const struct table_cursor *org = &explanation->org;
    char first[INSTANT_TEXT_MAX];
    char last[INSTANT_TEXT_MAX];
    const char *zone = explain_escape(explanation, table_get_text(org, ORGS_TIMEZONE), err);
    int64_t days = table_get_int64(org, ORGS_DAYS);
    int32_t first_date = table_get_date(org, ORGS_FIRST_DATE);
    if (zone == NULL) {
        return false;
    }
    (void)civil_format(first_date, first);
    (void)civil_format(first_date + (int32_t)days - 1, last);
    return explain_say(explanation, err, "period", "%s to %s: %lld days in %s, anchor day %lld",
                       first, last, (long long)days, zone,
                       (long long)table_get_int64(org, ORGS_ANCHOR_DAY)) &&
           explain_say_span(
               explanation,
               &(struct explain_span){.from = table_get_instant(org, ORGS_PERIOD_START),
                                      .until = table_get_instant(org, ORGS_PERIOD_END),
                                      .first = "",
                                      .between = " up to, but not at, "},
               err);
}

static bool say_plan(const struct explanation *explanation, struct err *err) {
    const struct table_cursor *org = &explanation->org;
    const struct terms_plan *plan = explanation->plan;
    const char *plan_name = "";
    if (plan == NULL) {
        return true;
    }
    struct table_cursor row = table_cursor_start(explanation->plans);
    while (table_cursor_next(&row)) {
        if (table_get_int64(&row, PLANS_TERMS) == plan->terms &&
            text_equals(table_get_text(&row, PLANS_PLAN_ID), plan->plan_id) &&
            !table_is_null(&row, PLANS_NAME)) {
            plan_name = explain_escape(explanation, table_get_text(&row, PLANS_NAME), err);
        }
    }
    const char *plan_id = explain_escape(explanation, plan->plan_id, err);
    return plan_id != NULL && plan_name != NULL &&
           explain_say(explanation, err, "plan", "'%s'%s%s%s%s", plan_id,
                       plan_name[0] != '\0' ? " (" : "", plan_name, plan_name[0] != '\0' ? ")" : "",
                       table_get_int64(org, ORGS_TERMS) != 0
                           ? ", on the terms sealed with the revision before"
                           : "");
}

/* What all metrics cost together. */
static bool say_result(const struct explanation *explanation, struct err *err) {
    struct decimal total = DECIMAL_ZERO;
    size_t with_overage = 0;
    char text[PRINT_NUMBER_MAX];
    if (explanation->plan == NULL || explanation->tables.charges == NULL) {
        return true;
    }
    for (size_t index = 0; index < explanation->plan->prices_count; index++) {
        struct table_cursor row;
        if (!explain_find(explanation, explanation->tables.charges,
                          explanation->plan->prices[index].metric, &row)) {
            continue;
        }
        if (!decimal_add(total, table_get_decimal(&row, CHARGES_COST), &total)) {
            return err_set(err, ERR_RANGE, "the org's cost does not fit");
        }
        with_overage += decimal_is_zero(table_get_decimal(&row, CHARGES_OVERAGE)) ? 0 : 1;
    }
    (void)print_money(total, explanation->plan->currency, text);
    bool is_one = explanation->plan->prices_count == 1;
    return explain_say(explanation, err, "overage cost", "%s: %zu of %zu metric%s over %s limit",
                       text, with_overage, explanation->plan->prices_count, is_one ? "" : "s",
                       is_one ? "its" : "their");
}

bool explain_org(const struct explanation *explanation, struct err *err) {
    const struct table_cursor *org = &explanation->org;
    const char *status = explain_escape(explanation, table_get_text(org, ORGS_STATUS), err);
    const char *cutoff = run_pinned(explanation->run, PIN_OPTION, "cutoff");
    return status != NULL && say_heading(explanation, err) &&
           explain_say(explanation, err, "status", "%s, billed in %s%s", status,
                       explanation->currency,
                       table_get_bool(org, ORGS_OVERAGE_ENABLED)
                           ? ""
                           : "; overage billing is switched off (overage_enabled is false)") &&
           say_plan(explanation, err) && say_period(explanation, err) &&
           say_subscriptions(explanation, err) &&
           (cutoff == NULL ||
            explain_say(explanation, err, "cutoff", "usage recorded after %s is late", cutoff)) &&
           say_result(explanation, err);
}

/* --- not closed ---------------------------------------------------------------------------------
 */

struct reason_words {
    const char *reason;
    const char *why;
    const char *remedy; /* what to do; NULL: nothing, this is normal */
};

static const struct reason_words reason_words[] = {
    {"two_plans", "two subscriptions claim the period: which plan rates it is not known",
     "end one of them in subscriptions.csv"},
    {"no_plan", "it used something in the period, but no subscription was in force",
     "add its subscription to subscriptions.csv, or give the usage to the org it belongs to"},
    {"currency_mismatch", "it is billed in another currency than its plan's",
     "correct the currency in orgs.csv, or subscribe it to a plan in its currency"},
    {"period_gap", "subscribed time before this period was not recorded for it",
     "close the missing period first, or complete usage_history.csv; after a change of its time "
     "zone or anchor day, take that back, or end its subscription where the last period ended and "
     "begin it again where this one begins (usage between is not billed)"},
    {"period_overlap",
     "this period, or a later one, is recorded for it already, or overlaps this one",
     "revise the run that closed it with --previous, or correct usage_history.csv; after a change "
     "of its time zone or anchor day, take that back, or end its subscription where the last "
     "period ended and begin it again where the next one begins (usage between is not billed)"},
    {"kind_mismatch",
     "the ledger has usage of it in the period that its plan cannot meter: the price of the metric "
     "was aggregated otherwise when the usage was written",
     "give the price in billing.prices the aggregation that the rows were written for, close with "
     "--restart, and change it when the period is recorded"},
    {"not_subscribed", "it had no subscription in the period and used nothing", NULL},
    {"period_open", "its period was not over at the cutoff", NULL},
};

bool explain_set_aside(const struct explanation *explanation, struct err *err) {
    const struct table_cursor *org = &explanation->org;
    struct text reason = table_get_text(org, ORGS_REASON);
    const struct reason_words *words = NULL;
    const char *period = run_pinned(explanation->run, PIN_OPTION, "period");
    bool is_listed = text_equals(table_get_text(org, ORGS_DISPOSITION), text_from("listed"));
    const char *reason_text = explain_escape(explanation, reason, err);
    const char *detail = table_is_null(org, ORGS_DETAIL)
                             ? ""
                             : explain_escape(explanation, table_get_text(org, ORGS_DETAIL), err);
    for (size_t index = 0; index < sizeof reason_words / sizeof reason_words[0]; index++) {
        if (text_equals(reason, text_from(reason_words[index].reason))) {
            words = &reason_words[index];
        }
    }
    if (reason_text == NULL || detail == NULL ||
        !console_out(&explanation->cli->console, err, "\nnot closed: %s, %s\n",
                     is_listed ? "listed" : "set aside", reason_text) ||
        !explain_say(explanation, err, "why", "%s", words != NULL ? words->why : reason_text) ||
        (detail[0] != '\0' && !explain_say(explanation, err, "", "%s", detail))) {
        return false;
    }
    if (words == NULL || words->remedy == NULL) {
        return text_equals(reason, text_from("period_open"))
                   ? explain_say(explanation, err, "what to do",
                                 "close the period again with a cutoff after its end; only what "
                                 "is new is billed") &&
                         explain_say(
                             explanation, err, "",
                             "periodclose run --period %s --source DIR --previous %s "
                             "--run-dir NEW",
                             period != NULL ? period : "PERIOD",
                             shell_word(run_path(explanation->run), &(struct shell_word){0}))
                   : explain_say(explanation, err, "what to do",
                                 "nothing: there is nothing to "
                                 "bill");
    }
    return explain_say(explanation, err, "what to do", "%s, then", words->remedy) &&
           explain_say(explanation, err, "",
                       "periodclose run --period %s --source DIR --previous %s --run-dir NEW",
                       period != NULL ? period : "PERIOD",
                       shell_word(run_path(explanation->run), &(struct shell_word){0}));
}

/* --- usage without a price ----------------------------------------------------------------------
 */

static bool say_unpriced(const struct explanation *explanation, const struct table_cursor *row,
                         struct err *err) {
    char quantity[PRINT_NUMBER_MAX];
    char first[EXPLAIN_INSTANT_MAX];
    char last[EXPLAIN_INSTANT_MAX];
    int64_t events = table_get_int64(row, ASIDES_EVENTS);
    const char *metric = explain_escape(explanation, table_get_text(row, ASIDES_METRIC), err);
    (void)print_decimal(table_get_decimal(row, ASIDES_QUANTITY), quantity);
    (void)explain_instant(explanation, table_get_instant(row, ASIDES_FIRST_AT), first);
    (void)explain_instant(explanation, table_get_instant(row, ASIDES_LAST_AT), last);
    return metric != NULL &&
           explain_say(explanation, err, metric, "%s in %lld event%s, %s to %s", quantity,
                       (long long)events, events == 1 ? "" : "s", first, last);
}

bool explain_unpriced(const struct explanation *explanation, struct err *err) {
    bool has_heading = false;
    struct table_cursor row = table_cursor_start(explanation->tables.asides);
    while (table_cursor_next(&row)) {
        struct text metric = table_get_text(&row, ASIDES_METRIC);
        if (!text_equals(table_get_text(&row, ASIDES_ORG_ID), explanation->org_id) ||
            !text_equals(table_get_text(&row, ASIDES_KIND), text_from("unpriced")) ||
            (explanation->metric_wanted != NULL &&
             !text_equals(metric, text_from(explanation->metric_wanted)))) {
            continue;
        }
        if (!has_heading && !console_out(&explanation->cli->console, err,
                                         "\nnot billed: the plan has no price for these\n")) {
            return false;
        }
        has_heading = true;
        if (!say_unpriced(explanation, &row, err)) {
            return false;
        }
    }
    return true;
}

/* --- unknown ------------------------------------------------------------------------------------
 */

enum { NEAREST_MAX = 3, NEAREST_ID_MAX = 64, NEAREST_DISTANCE_MAX = 3 };

struct nearest {
    size_t distance;
    char org_id[NEAREST_ID_MAX];
};

/* Bytes to change, add or drop; NEAREST_DISTANCE_MAX + 1 for anything farther or longer. */
static size_t id_distance(struct text left, struct text right) {
    size_t row[NEAREST_ID_MAX + 1];
    size_t far = NEAREST_DISTANCE_MAX + 1;
    size_t longer = left.size_bytes > right.size_bytes ? left.size_bytes : right.size_bytes;
    size_t shorter = left.size_bytes + right.size_bytes - longer;
    if (longer >= NEAREST_ID_MAX || longer - shorter > NEAREST_DISTANCE_MAX) {
        return far;
    }
    for (size_t column = 0; column <= right.size_bytes; column++) {
        row[column] = column;
    }
    for (size_t i = 1; i <= left.size_bytes; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right.size_bytes; j++) {
            size_t above = row[j];
            size_t best = diagonal + (left.bytes[i - 1] == right.bytes[j - 1] ? 0 : 1);
            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
        }
    }
    return row[right.size_bytes] < far ? row[right.size_bytes] : far;
}

static void nearest_add(struct nearest nearest[NEAREST_MAX], struct text org_id, size_t distance) {
    struct nearest added = {.distance = distance};
    if (distance > NEAREST_DISTANCE_MAX) {
        return;
    }
    memcpy(added.org_id, org_id.bytes, org_id.size_bytes);
    for (size_t place = 0; place < NEAREST_MAX; place++) {
        if (added.distance < nearest[place].distance) {
            struct nearest moved = nearest[place];
            nearest[place] = added;
            added = moved;
        }
    }
}

bool explain_check_orgs(const struct run *run, const char *what, struct err *err) {
    if (run_has_table(run, &checkpoint_orgs)) {
        return true;
    }
    (void)err_set(err, ERR_MISMATCH, "%s: nothing to %s yet: stage '%s' is not done", run_path(run),
                  what, stage_extract.name);
    return err_hint(err, "go on with the run first");
}

bool explain_unknown_org(struct run *run, const char *org_id, struct err *err) {
    struct nearest nearest[NEAREST_MAX];
    struct shard_walk orgs;
    char names[NEAREST_MAX * (NEAREST_ID_MAX + 2) + 1];
    size_t size = 0;
    for (size_t place = 0; place < NEAREST_MAX; place++) {
        nearest[place] = (struct nearest){.distance = NEAREST_DISTANCE_MAX + 1};
    }
    bool is_fine = shard_walk_start(&orgs, run, &checkpoint_orgs, err);
    while (is_fine && orgs.has_row) {
        struct text other = table_get_text(&orgs.cursor, ORGS_ORG_ID);
        nearest_add(nearest, other, id_distance(text_from(org_id), other));
        is_fine = shard_walk_next(&orgs, err);
    }
    shard_walk_close(&orgs);
    if (!is_fine) {
        return false;
    }
    for (size_t place = 0; place < NEAREST_MAX; place++) {
        if (nearest[place].distance <= NEAREST_DISTANCE_MAX) {
            size += (size_t)snprintf(names + size, sizeof names - size, "%s%s",
                                     place > 0 ? ", " : "", nearest[place].org_id);
        }
    }
    (void)err_set(err, ERR_USAGE, "--org: '%.200s' is not in %.300s", org_id, run_path(run));
    return size > 0 ? err_hint(err, "did you mean %s?", names)
                    : err_hint(err, "periodclose inspect %s/extract/orgs lists them",
                               shell_word(run_path(run), &(struct shell_word){0}));
}
