/*
 * Alerts: which parts of their limits were reached in the period, or are expected to be in the
 * next.
 *
 * They are not part of the result, but go into the same transaction: by COPY, without those that
 * stand already. An application may write one of them between our look and the COPY, which then
 * fails: everything since the savepoint is given back, and one statement writes those that are
 * missing, which waits for such an application (sql/record/note_alerts.sql; slower).
 */
#include <string.h>

#include "core/memory.h"
#include "record_write.h"
#include "source/recorded.h"

/* --- what is read ---------------------------------------------------------------------------- */

static bool read_tables(struct ledger *ledger, struct table **thresholds, struct table **alerts,
                        struct err *err) {
    const struct sys *sys = run_sys(ledger->run);
    const char *folder = run_scratch_path(ledger->run);
    return recorded_read(ledger->db, sys, folder, &recorded_thresholds, thresholds, err) &&
           recorded_read(ledger->db, sys, folder, &recorded_alerts, alerts, err);
}

/* The thresholds of the org at the cursor; the cursor goes to the next org. */
static bool take_thresholds(struct terms_walk *settings, struct thresholds *thresholds,
                            struct err *err) {
    struct text org_id = table_get_text(&settings->cursor, RECORDED_THRESHOLDS_ORG_ID);
    thresholds->count = 0;
    for (; settings->has_row &&
           text_equals(table_get_text(&settings->cursor, RECORDED_THRESHOLDS_ORG_ID), org_id);
         settings->has_row = table_cursor_next(&settings->cursor)) {
        if (table_is_null(&settings->cursor, RECORDED_THRESHOLDS_THRESHOLD)) {
            continue;
        }
        if (thresholds->count == thresholds->capacity) {
            size_t capacity = thresholds->capacity * 2 + 8;
            struct decimal *grown =
                mem_realloc(thresholds->parts, capacity * sizeof *thresholds->parts);
            if (grown == NULL) {
                return err_memory(err, capacity * sizeof *thresholds->parts);
            }
            thresholds->parts = grown;
            thresholds->capacity = capacity;
        }
        thresholds->parts[thresholds->count++] =
            table_get_decimal(&settings->cursor, RECORDED_THRESHOLDS_THRESHOLD);
    }
    return true;
}

/* Before the first price of an org: which thresholds are its own, if any. */
bool writing_look_at_alerts(struct writing *writing, struct err *err) {
    struct writing_alerts *alerts = &writing->alerts;
    struct terms_walk *settings = &alerts->settings;
    struct text org_id = writing->walk.org_id;
    alerts->is_own = false;
    while (settings->has_row) {
        int order =
            text_compare(table_get_text(&settings->cursor, RECORDED_THRESHOLDS_ORG_ID), org_id);
        if (order >= 0) {
            alerts->is_own = order == 0;
            break;
        }
        settings->has_row = table_cursor_next(&settings->cursor);
    }
    return !alerts->is_own || take_thresholds(settings, &alerts->own, err);
}

/* --- rows ------------------------------------------------------------------------------------ */

struct alert {
    struct decimal reached;
    struct decimal limit;
    struct decimal threshold;
    bool is_projected;
};

/* Asked for in the order of the table's key. */
static bool stands_already(struct writing *writing, const struct alert *alert) {
    struct terms_walk *standing = &writing->alerts.standing;
    while (terms_walk_to(standing, writing->walk.org_id, writing->walk.price->metric)) {
        const struct table_cursor *row = &standing->cursor;
        bool is_projected = table_get_bool(row, RECORDED_ALERTS_IS_PROJECTED);
        int order =
            decimal_compare(table_get_decimal(row, RECORDED_ALERTS_THRESHOLD), alert->threshold);
        order = is_projected != alert->is_projected ? (is_projected ? 1 : -1) : order;
        if (order >= 0) {
            return order == 0;
        }
        standing->has_row = table_cursor_next(&standing->cursor);
    }
    return false;
}

static bool put_alert(struct writing *writing, const struct alert *alert, struct err *err) {
    enum { FIELDS = 8 };
    struct db_copy_in *copy = &writing->copy;
    return db_copy_in_row(copy, FIELDS, err) && db_copy_in_text(copy, writing->walk.org_id, err) &&
           db_copy_in_text(copy, writing->walk.price->metric, err) &&
           db_copy_in_date(
               copy, alert->is_projected ? writing->next_period_days : writing->period_days, err) &&
           db_copy_in_decimal(copy, alert->threshold, err) &&
           db_copy_in_decimal(copy, alert->reached, err) &&
           db_copy_in_decimal(copy, alert->limit, err) &&
           db_copy_in_bool(copy, alert->is_projected, err) &&
           db_copy_in_int64(copy, writing_run_number(writing), err);
}

/* reached >= limit x threshold, exactly. */
static bool is_reached(const struct alert *alert) {
    struct exact part = EXACT_ZERO;
    struct exact reached = EXACT_ZERO;
    /* Beyond what 256 bits hold lies nothing that is reached. */
    return exact_add_product(&part, alert->limit, alert->threshold) &&
           exact_add_decimal(&reached, alert->reached) && exact_compare(reached, part) >= 0;
}

/* Thresholds ascend: none is reached behind one that is not. */
static bool put_reached(struct writing *writing, struct alert *alert, struct err *err) {
    const struct writing_alerts *alerts = &writing->alerts;
    const struct thresholds *thresholds = alerts->is_own ? &alerts->own : &alerts->common;
    for (size_t index = 0; index < thresholds->count; index++) {
        alert->threshold = thresholds->parts[index];
        if (!is_reached(alert)) {
            return true;
        }
        if (!stands_already(writing, alert) && !put_alert(writing, alert, err)) {
            return false;
        }
    }
    return true;
}

bool writing_put_alerts(struct writing *writing, struct err *err) {
    const struct rated_walk *walk = &writing->walk;
    const struct rated_side *projection = &walk->sides[SIDE_PROJECTIONS];
    const struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct alert alert = {
        .reached = table_get_decimal(&walk->usage, USAGE_QUANTITY),
        .limit = charge_limit(&walk->price->price, &limits),
    };
    if (alert.limit.units <= 0) {
        return true;
    }
    struct decimal projected = alert.reached;
    if (projection->is_here) {
        bool is_known = !table_is_null(&projection->cursor, PROJECTIONS_PROJECTED);
        projected =
            is_known ? table_get_decimal(&projection->cursor, PROJECTIONS_PROJECTED) : DECIMAL_ZERO;
    }
    if (alert.reached.units > 0 && !put_reached(writing, &alert, err)) {
        return false;
    }
    alert.reached = projected;
    alert.is_projected = true;
    return projected.units <= 0 || put_reached(writing, &alert, err);
}

/* --- all of them ----------------------------------------------------------------------------- */

static bool copy_alerts(struct writing *writing, const struct table *thresholds,
                        const struct table *standing, struct err *err) {
    struct writing_alerts *alerts = &writing->alerts;
    *alerts = (struct writing_alerts){.settings = terms_walk_start(thresholds),
                                      .standing = terms_walk_start(standing)};
    bool has_common =
        alerts->settings.has_row &&
        table_get_text(&alerts->settings.cursor, RECORDED_THRESHOLDS_ORG_ID).size_bytes == 0;
    bool is_done = (!has_common || take_thresholds(&alerts->settings, &alerts->common, err)) &&
                   writing_copy_alerts(writing, err);
    mem_free(alerts->common.parts);
    mem_free(alerts->own.parts);
    return is_done;
}

static bool note_missing(const struct writing *writing, struct err *err) {
    struct db_params params = {0};
    db_params_text(&params, text_from(writing->ledger->day));
    db_params_int64(&params, writing_run_number(writing));
    return db_run_script(writing->ledger->db, "rollback", "rollback to savepoint alerts", err) &&
           db_run(writing->ledger->db, "record/note_alerts.sql", &params, NULL, err);
}

bool writing_note_alerts(struct writing *writing, struct err *err) {
    struct db *db = writing->ledger->db;
    struct table *thresholds = NULL;
    struct table *standing = NULL;
    bool is_done = read_tables(writing->ledger, &thresholds, &standing, err) &&
                   db_run_script(db, "savepoint", "savepoint alerts", err);
    if (is_done && !copy_alerts(writing, thresholds, standing, err)) {
        is_done = !db_is_lost(db) && strcmp(db_state(db), "23505") == 0;
        if (is_done) {
            err_release(err);
            is_done = note_missing(writing, err);
        }
    }
    table_close(thresholds);
    table_close(standing);
    return is_done && db_run_script(db, "release", "release savepoint alerts", err);
}
