/*
 * Control totals: a sorted array of equations. There are few of them: a name and a metric each. The
 * same few are added to for every row of a table, so where a name was last found is remembered.
 */
#include "run/totals.h"

#include <assert.h>
#include <string.h>

#include "core/memory.h"

enum { RECENT_COUNT = 8 };

struct totals {
    struct totals_row *rows; /* sorted by (name, unit), each pair once */
    size_t rows_count;
    size_t rows_capacity;
    size_t recent[RECENT_COUNT]; /* a row, by the place of its name in memory; only a hint */
};

struct totals *totals_create(struct err *err) {
    struct totals *totals = mem_alloc(sizeof *totals);
    if (totals == NULL) {
        (void)err_memory(err, sizeof *totals);
    }
    return totals;
}

/* Name and unit of a row share one piece of memory, which begins with the name. */
void totals_destroy(struct totals *totals) {
    if (totals == NULL) {
        return;
    }
    for (size_t row = 0; row < totals->rows_count; row++) {
        mem_free((void *)totals->rows[row].name);
    }
    mem_free(totals->rows);
    mem_free(totals);
}

static int compare_row(const struct totals_row *row, const char *name, struct text unit) {
    int order = strcmp(row->name, name);
    return order != 0 ? order : text_compare(text_from(row->unit), unit);
}

/* Where the row is, or where it belongs. */
static size_t find_row(const struct totals *totals, const char *name, struct text unit,
                       bool *is_found) {
    size_t low = 0;
    size_t high = totals->rows_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_row(&totals->rows[middle], name, unit);
        if (order == 0) {
            *is_found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *is_found = false;
    return low;
}

static size_t *recent_of(struct totals *totals, const char *name) {
    return &totals->recent[(uintptr_t)name / 16 % RECENT_COUNT];
}

/* Is it the row that was found for a name at the same place in memory? */
static bool find_recent(struct totals *totals, const char *name, struct text unit, size_t *at) {
    *at = *recent_of(totals, name);
    return *at < totals->rows_count && strcmp(totals->rows[*at].name, name) == 0 &&
           text_equals(text_from(totals->rows[*at].unit), unit);
}

static bool insert_row(struct totals *totals, size_t at, const char *name, struct text unit,
                       struct err *err) {
    assert(text_is_utf8(unit) && text_is_utf8(text_from(name)));
    assert(unit.size_bytes == 0 || memchr(unit.bytes, '\0', unit.size_bytes) == NULL);
    if (totals->rows_count == totals->rows_capacity) {
        size_t capacity = totals->rows_capacity == 0 ? 16 : totals->rows_capacity * 2;
        struct totals_row *rows = mem_realloc(totals->rows, capacity * sizeof *rows);
        if (rows == NULL) {
            return err_memory(err, capacity * sizeof *rows);
        }
        totals->rows = rows;
        totals->rows_capacity = capacity;
    }
    size_t name_bytes = strlen(name) + 1;
    char *memory = mem_alloc(name_bytes + unit.size_bytes + 1);
    if (memory == NULL) {
        return err_memory(err, name_bytes + unit.size_bytes + 1);
    }
    memcpy(memory, name, name_bytes);
    if (unit.size_bytes > 0) {
        memcpy(memory + name_bytes, unit.bytes, unit.size_bytes);
    }
    memmove(totals->rows + at + 1, totals->rows + at,
            (totals->rows_count - at) * sizeof *totals->rows);
    totals->rows[at] = (struct totals_row){.name = memory, .unit = memory + name_bytes};
    totals->rows_count++;
    return true;
}

/* The row of the equation, made if it is not there; NULL on failure. */
static struct totals_row *row_of(struct totals *totals, const char *name, struct text unit,
                                 struct err *err) {
    size_t at;
    if (!find_recent(totals, name, unit, &at)) {
        bool is_found;
        at = find_row(totals, name, unit, &is_found);
        if (!is_found && !insert_row(totals, at, name, unit, err)) {
            return NULL;
        }
        *recent_of(totals, name) = at;
    }
    return &totals->rows[at];
}

static bool add(const struct totals_row *row, struct decimal *side, struct decimal amount,
                struct err *err) {
    return decimal_add(*side, amount, side) ||
           err_set(err, ERR_RANGE, "control total '%s' of '%s' does not fit into 38 digits",
                   row->name, row->unit);
}

bool totals_add_left(struct totals *totals, const char *name, struct text unit,
                     struct decimal amount, struct err *err) {
    struct totals_row *row = row_of(totals, name, unit, err);
    return row != NULL && add(row, &row->left, amount, err);
}

bool totals_add_right(struct totals *totals, const char *name, struct text unit,
                      struct decimal amount, struct err *err) {
    struct totals_row *row = row_of(totals, name, unit, err);
    return row != NULL && add(row, &row->right, amount, err);
}

bool totals_merge(struct totals *totals, const struct totals *from, struct err *err) {
    for (size_t row = 0; row < from->rows_count; row++) {
        const struct totals_row *added = &from->rows[row];
        struct totals_row *sum = row_of(totals, added->name, text_from(added->unit), err);
        if (sum == NULL || !add(sum, &sum->left, added->left, err) ||
            !add(sum, &sum->right, added->right, err)) {
            return false;
        }
    }
    return true;
}

const struct totals_row *totals_rows(struct totals *totals, size_t *rows_count) {
    *rows_count = totals->rows_count;
    return totals->rows;
}

bool totals_check(struct totals *totals, const char *stage, struct err *err) {
    for (size_t index = 0; index < totals->rows_count; index++) {
        const struct totals_row *row = &totals->rows[index];
        if (decimal_compare(row->left, row->right) == 0) {
            continue;
        }
        char left[DECIMAL_TEXT_MAX];
        char right[DECIMAL_TEXT_MAX];
        char difference_text[DECIMAL_TEXT_MAX] = "out of range";
        struct decimal difference;
        (void)decimal_format(row->left, left);
        (void)decimal_format(row->right, right);
        if (decimal_subtract(row->left, row->right, &difference)) {
            (void)decimal_format(difference, difference_text);
        }
        return err_set(err, ERR_CONTROL,
                       "stage '%s': control total '%s' of '%s' does not agree: %s on the left, %s "
                       "on the right, difference %s",
                       stage, row->name, row->unit, left, right, difference_text);
    }
    return true;
}
