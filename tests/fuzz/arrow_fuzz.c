/*
 * libFuzzer target: any bytes as an Arrow file. Whatever table_open_memory takes must be readable
 * in every cell without touching a byte outside, with valid text and decimals in range.
 *
 *     clang -fsanitize=fuzzer,address,undefined …   seeds: the files of tests/table/arrow_sample.c
 */
#include <stdlib.h>

#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

/* Keeps the compiler from leaving out the reads. */
static volatile uint64_t fuzz_sink;

static uint64_t fuzz_cell(const struct table_cursor *cursor, size_t column, enum table_type type) {
    switch (type) {
    case TABLE_DECIMAL:
        assert(decimal_in_range(table_get_decimal(cursor, column).units));
        return 1;
    case TABLE_UTF8:
        assert(text_is_utf8(table_get_text(cursor, column)));
        return table_get_text(cursor, column).size_bytes;
    case TABLE_INT64:
        return (uint64_t)table_get_int64(cursor, column);
    case TABLE_TIMESTAMP:
        return (uint64_t)table_get_instant(cursor, column).us;
    case TABLE_DATE:
        return (uint64_t)table_get_date(cursor, column);
    case TABLE_BOOL:
        return table_get_bool(cursor, column);
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes) {
    struct table *table = NULL;
    const struct table_schema *schema = NULL;
    struct err err = {0};
    void *aligned = NULL;
    /* Of exactly the input's size, so that reading beyond it is seen; aligned like a mapping. */
    if (posix_memalign(&aligned, 64, size_bytes > 0 ? size_bytes : 1) != 0) {
        return 0;
    }
    if (size_bytes > 0) {
        memcpy(aligned, bytes, size_bytes);
    }
    if (table_open_memory(aligned, size_bytes, "fuzz", &table, &schema, &err)) {
        uint64_t sum = 0;
        uint64_t rows_count = 0;
        struct table_cursor cursor = table_cursor_start(table);
        for (; table_cursor_next(&cursor); rows_count++) {
            for (size_t column = 0; column < schema->columns_count; column++) {
                sum += table_is_null(&cursor, column) +
                       fuzz_cell(&cursor, column, schema->columns[column].type);
            }
        }
        assert(rows_count == table_rows_count(table));
        fuzz_sink = sum;
        (void)table_metadata_value(table, "stage");
        table_close(table);
    } else {
        assert(err.code == ERR_DAMAGED);
    }
    err_release(&err);
    free(aligned);
    return 0;
}
