/*
 * Writes sample tables for the readback scripts (tests/table/readback_*.mjs), which compute every
 * value by the same formulas and compare. Usage: arrow_sample FOLDER
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "table/table.h"

enum { ORG, QUANTITY, LIMIT, COUNT, AT, DAY, IS_FINAL, IS_HELD, NOTE, COLUMNS };

static const struct table_column sample_columns[COLUMNS] = {
    [ORG] = {"org_id", TABLE_UTF8, false},        [QUANTITY] = {"quantity", TABLE_DECIMAL, false},
    [LIMIT] = {"limit", TABLE_DECIMAL, true},     [COUNT] = {"count", TABLE_INT64, false},
    [AT] = {"at", TABLE_TIMESTAMP, true},         [DAY] = {"day", TABLE_DATE, true},
    [IS_FINAL] = {"is_final", TABLE_BOOL, false}, [IS_HELD] = {"is_held", TABLE_BOOL, true},
    [NOTE] = {"note", TABLE_UTF8, true},
};

static const struct table_schema sample_schema = {
    .name = "sample",
    .columns = sample_columns,
    .columns_count = COLUMNS,
    .key_columns_count = 1,
};

static const struct table_metadata sample_metadata[] = {
    {"stage", "meter"},
    {"label", "na\xc3\xafve \xe2\x98\x83"},
    {"nothing", ""},
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

static int64_t sample_count(int64_t row) {
    return row % 13 == 0 ? INT64_MIN : row % 13 == 1 ? INT64_MAX : -row * row;
}

static void sample_put_org(struct table_writer *writer, int64_t row) {
    char text[64] = "";
    if (row % 7 == 3) {
        snprintf(text, sizeof text, "na\xc3\xafve \xe2\x98\x83 \xf0\x9f\x98\x80 %" PRId64, row);
    } else if (row % 5 != 0) {
        snprintf(text, sizeof text, "org-%" PRId64, row);
    }
    table_put_text(writer, ORG, text_from(text));
}

static void sample_put_row(struct table_writer *writer, int64_t row) {
    sample_put_org(writer, row);
    table_put_decimal(writer, QUANTITY, sample_quantity(row));
    if (row % 3 != 0) {
        table_put_decimal(writer, LIMIT, (struct decimal){(int128)-row * DECIMAL_ONE.units});
    }
    table_put_int64(writer, COUNT, sample_count(row));
    if (row % 4 != 1) {
        table_put_instant(writer, AT, (struct instant){INT64_C(1790000000000000) + row * 1000003});
    }
    if (row % 9 != 4) {
        table_put_date(writer, DAY, (int32_t)(20000 - row % 30000));
    }
    table_put_bool(writer, IS_FINAL, row % 3 == 1);
    if (row % 5 != 2) {
        table_put_bool(writer, IS_HELD, row % 2 == 0);
    }
    if (row % 6 == 0) {
        char text[64];
        snprintf(text, sizeof text, "note %" PRId64, row);
        table_put_text(writer, NOTE, text_from(text));
    }
}

static bool sample_write(const char *folder, int64_t rows_count, struct err *err) {
    char path[4096];
    snprintf(path, sizeof path, "%s/sample-%" PRId64 ".arrow", folder, rows_count);
    struct table_writer *writer;
    if (!table_writer_create(sys_real(), path, &sample_schema, sample_metadata,
                             sizeof sample_metadata / sizeof sample_metadata[0], &writer, err)) {
        return false;
    }
    for (int64_t row = 0; row < rows_count; row++) {
        sample_put_row(writer, row);
        if (!table_end_row(writer, err)) {
            table_writer_destroy(writer);
            return false;
        }
    }
    struct table_seal seal;
    if (!table_writer_commit(writer, &seal, err)) {
        return false;
    }
    /* What was written must also be what our own reader takes. */
    struct table *table;
    if (!table_open(sys_real(), path, &sample_schema, &table, err)) {
        return false;
    }
    printf("%s %zu batches\n", path, table_batches_count(table));
    table_close(table);
    return true;
}

int main(int arguments_count, char **arguments) {
    if (arguments_count != 2) {
        fprintf(stderr, "usage: arrow_sample FOLDER\n");
        return ERR_USAGE;
    }
    static const int64_t rows_counts[] = {0, 1, 5, 65536, 65537, 150000};
    for (size_t index = 0; index < sizeof rows_counts / sizeof rows_counts[0]; index++) {
        struct err err = {0};
        if (!sample_write(arguments[1], rows_counts[index], &err)) {
            fprintf(stderr, "%s\n", err.message);
            return (int)err.code;
        }
    }
    return 0;
}
