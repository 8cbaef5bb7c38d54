#include "support/table_sample.h"

#include <inttypes.h>
#include <stdio.h>

static const struct table_column sample_columns[SAMPLE_COLUMNS_COUNT] = {
    [SAMPLE_ORG] = {"org_id", TABLE_UTF8, false},
    [SAMPLE_QUANTITY] = {"quantity", TABLE_DECIMAL, false},
    [SAMPLE_LIMIT] = {"limit", TABLE_DECIMAL, true},
    [SAMPLE_COUNT] = {"count", TABLE_INT64, false},
    [SAMPLE_AT] = {"at", TABLE_TIMESTAMP, true},
    [SAMPLE_DAY] = {"day", TABLE_DATE, true},
    [SAMPLE_IS_FINAL] = {"is_final", TABLE_BOOL, false},
    [SAMPLE_IS_HELD] = {"is_held", TABLE_BOOL, true},
    [SAMPLE_NOTE] = {"note", TABLE_UTF8, true},
};

const struct table_schema sample_schema = {
    .name = "sample",
    .columns = sample_columns,
    .columns_count = SAMPLE_COLUMNS_COUNT,
    .key_columns_count = 1,
};

const struct table_metadata sample_metadata[SAMPLE_METADATA_COUNT] = {
    {"stage", "meter"},
    {"label", "na\xc3\xafve \xe2\x98\x83"},
    {"nothing", ""},
};

enum { SAMPLE_TEXT_MAX = 64 };

struct sample_row {
    char org[SAMPLE_TEXT_MAX];
    struct decimal quantity;
    struct decimal limit;
    int64_t count;
    struct instant at;
    int32_t day;
    bool is_final;
    bool is_held;
    char note[SAMPLE_TEXT_MAX];
    bool is_null[SAMPLE_COLUMNS_COUNT];
};

static struct decimal sample_quantity(int64_t row) {
    int128 greatest = 1;
    for (int digit = 0; digit < 38; digit++) {
        greatest *= 10;
    }
    greatest -= 1;
    if (row % 11 == 0) {
        return (struct decimal){greatest};
    }
    if (row % 11 == 1) {
        return (struct decimal){-greatest};
    }
    return (struct decimal){(int128)(row - 5000) * INT64_C(1234567890123456789) * 1000003 + row};
}

static struct sample_row sample_row(int64_t row) {
    struct sample_row made = {
        .quantity = sample_quantity(row),
        .limit = {(int128)-row * DECIMAL_ONE.units},
        .count = row % 13 == 0   ? INT64_MIN
                 : row % 13 == 1 ? INT64_MAX
                                 : -row * row,
        .at = {INT64_C(1790000000000000) + row * 1000003},
        .day = (int32_t)(20000 - row % 30000),
        .is_final = row % 3 == 1,
        .is_held = row % 2 == 0,
        .is_null = {[SAMPLE_LIMIT] = row % 3 == 0,
                    [SAMPLE_AT] = row % 4 == 1,
                    [SAMPLE_DAY] = row % 9 == 4,
                    [SAMPLE_IS_HELD] = row % 5 == 2,
                    [SAMPLE_NOTE] = row % 6 != 0},
    };
    if (row % 7 == 3) {
        snprintf(made.org, sizeof made.org, "na\xc3\xafve \xe2\x98\x83 \xf0\x9f\x98\x80 %" PRId64,
                 row);
    } else if (row % 5 != 0) {
        snprintf(made.org, sizeof made.org, "org-%" PRId64, row);
    }
    if (row % 12 != 0) {
        snprintf(made.note, sizeof made.note, "note %" PRId64, row);
    }
    return made;
}

void sample_put_row(struct table_writer *writer, int64_t row) {
    struct sample_row values = sample_row(row);
    table_put_bool(writer, SAMPLE_IS_FINAL, values.is_final);
    table_put_text(writer, SAMPLE_ORG, text_from(values.org));
    table_put_decimal(writer, SAMPLE_QUANTITY, values.quantity);
    table_put_int64(writer, SAMPLE_COUNT, values.count);
    if (!values.is_null[SAMPLE_LIMIT]) {
        table_put_decimal(writer, SAMPLE_LIMIT, values.limit);
    }
    if (!values.is_null[SAMPLE_AT]) {
        table_put_instant(writer, SAMPLE_AT, values.at);
    }
    if (!values.is_null[SAMPLE_DAY]) {
        table_put_date(writer, SAMPLE_DAY, values.day);
    }
    if (!values.is_null[SAMPLE_IS_HELD]) {
        table_put_bool(writer, SAMPLE_IS_HELD, values.is_held);
    }
    if (!values.is_null[SAMPLE_NOTE]) {
        table_put_text(writer, SAMPLE_NOTE, text_from(values.note));
    }
}

/* Whether a column holds what the row should; nulls are compared by the caller. */
static bool sample_column_agrees(const struct table_cursor *cursor, size_t column,
                                 const struct sample_row *values) {
    switch (column) {
    case SAMPLE_ORG:
        return text_equals(table_get_text(cursor, column), text_from(values->org));
    case SAMPLE_QUANTITY:
        return decimal_compare(table_get_decimal(cursor, column), values->quantity) == 0;
    case SAMPLE_LIMIT:
        return decimal_compare(table_get_decimal(cursor, column), values->limit) == 0;
    case SAMPLE_COUNT:
        return table_get_int64(cursor, column) == values->count;
    case SAMPLE_AT:
        return table_get_instant(cursor, column).us == values->at.us;
    case SAMPLE_DAY:
        return table_get_date(cursor, column) == values->day;
    case SAMPLE_IS_FINAL:
        return table_get_bool(cursor, column) == values->is_final;
    case SAMPLE_IS_HELD:
        return table_get_bool(cursor, column) == values->is_held;
    case SAMPLE_NOTE:
        return text_equals(table_get_text(cursor, column), text_from(values->note));
    default:
        return false;
    }
}

const char *sample_check_row(const struct table_cursor *cursor, int64_t row) {
    struct sample_row values = sample_row(row);
    for (size_t column = 0; column < SAMPLE_COLUMNS_COUNT; column++) {
        if (table_is_null(cursor, column) != values.is_null[column]) {
            return sample_columns[column].name;
        }
        if (!values.is_null[column] && !sample_column_agrees(cursor, column, &values)) {
            return sample_columns[column].name;
        }
    }
    return NULL;
}

bool sample_write(const struct sys *sys, const char *path, int64_t rows_count,
                  struct table_seal *seal, struct err *err) {
    struct table_writer *writer;
    if (!table_writer_create(sys, path, &sample_schema, sample_metadata, SAMPLE_METADATA_COUNT,
                             &writer, err)) {
        return false;
    }
    for (int64_t row = 0; row < rows_count; row++) {
        sample_put_row(writer, row);
        if (!table_end_row(writer, err)) {
            table_writer_destroy(writer);
            return false;
        }
    }
    struct table_seal made;
    if (!table_writer_commit(writer, &made, err)) {
        return false;
    }
    if (seal != NULL) {
        *seal = made;
    }
    return true;
}
