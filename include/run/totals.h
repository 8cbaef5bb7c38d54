/*
 * Control totals: equations that must hold before a stage is sealed (DESIGN.md 9).
 *
 * A row is (name, unit) with a left and a right sum. Any code of a stage adds to either side, also
 * several times; shards' totals are merged. A row that does not agree when the stage ends stops the
 * run with ERR_CONTROL, both values shown. Rows are kept in the manifest and written to
 * control_totals.csv, sorted by stage number, name, unit.
 */
#ifndef PERIODCLOSE_RUN_TOTALS_H
#define PERIODCLOSE_RUN_TOTALS_H

#include "core/decimal.h"
#include "core/err.h"

struct totals;

struct totals_row {
    const char *name; /* "events by category", "exact + rounding = uncapped" … */
    const char *unit; /* "events", a metric, a currency */
    struct decimal left;
    struct decimal right;
};

struct totals *totals_create(struct err *err);
void totals_destroy(struct totals *totals); /* NULL is fine */
/* name and unit are copied. A sum that does not fit is ERR_RANGE. */
bool totals_add_left(struct totals *totals, const char *name, struct text unit,
                     struct decimal amount, struct err *err);
bool totals_add_right(struct totals *totals, const char *name, struct text unit,
                      struct decimal amount, struct err *err);
bool totals_merge(struct totals *totals, const struct totals *from, struct err *err);
/* Rows sorted by (name, unit); valid until the next change. */
const struct totals_row *totals_rows(struct totals *totals, size_t *rows_count);
/* ERR_CONTROL naming the first row that does not agree, with both sides and the difference. */
bool totals_check(struct totals *totals, const char *stage, struct err *err);

#endif
