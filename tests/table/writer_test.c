#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/table_sample.h"
#include "table_path.h"

static size_t folder_entries_count(void) {
    struct err err = {0};
    struct directory_listing listing;
    assert_done(directory_list(sys_real(), folder.path, &listing, &err), &err);
    size_t count = listing.names_count;
    directory_release(&listing);
    return count;
}

static struct table_writer *writer_create(const struct table_schema *schema) {
    struct err err = {0};
    struct table_writer *writer = NULL;
    assert_done(table_writer_create(sys_real(), path, schema, NULL, 0, &writer, &err), &err);
    return writer;
}

static struct table_seal writer_commit(struct table_writer *writer) {
    struct err err = {0};
    struct table_seal seal;
    assert_done(table_writer_commit(writer, &seal, &err), &err);
    return seal;
}

static void end_row(struct table_writer *writer) {
    struct err err = {0};
    assert_done(table_end_row(writer, &err), &err);
}

static struct table *open_table(const struct table_schema *schema) {
    struct err err = {0};
    struct table *table = NULL;
    assert_done(table_open(sys_real(), path, schema, &table, &err), &err);
    return table;
}

static void a_table_comes_back_as_it_was_written(void **state) {
    (void)state;
    static const struct {
        int64_t rows_count;
        size_t batches_count;
    } cases[] = {{0, 0},     {1, 1},     {2, 1},     {7, 1},     {8, 1},     {9, 1},
                 {63, 1},    {64, 1},    {65, 1},    {1000, 1},  {16383, 1}, {16384, 1},
                 {16385, 2}, {24576, 2}, {32767, 2}, {32768, 2}, {32769, 3}, {70000, 5}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct err err = {0};
        struct table_seal seal;
        int64_t rows_count = cases[index].rows_count;
        assert_done(sample_write(sys_real(), path, rows_count, &seal, &err), &err);
        assert_int_equal(seal.rows_count, rows_count);

        struct table *table = open_table(&sample_schema);
        assert_int_equal(table_rows_count(table), rows_count);
        assert_int_equal(table_batches_count(table), cases[index].batches_count);
        struct table_cursor cursor = table_cursor_start(table);
        int64_t row = 0;
        for (; table_cursor_next(&cursor); row++) {
            const char *column = sample_check_row(&cursor, row);
            if (column != NULL) {
                fail_msg("row %" PRId64 " of %" PRId64 ": column %s", row, rows_count, column);
            }
        }
        assert_int_equal(row, rows_count);
        assert_false(table_cursor_next(&cursor));
        table_close(table);
    }
}

static void the_seal_is_that_of_the_file(void **state) {
    (void)state;
    struct err err = {0};
    struct table_seal sealed;
    struct table_seal found;
    assert_done(sample_write(sys_real(), path, 70001, &sealed, &err), &err);
    assert_done(table_file_digest(sys_real(), path, &found, &err), &err);
    assert_int_equal(found.size_bytes, sealed.size_bytes);
    assert_true(digest_equals(&found.digest, &sealed.digest));
}

static void same_rows_give_the_same_bytes(void **state) {
    (void)state;
    struct err err = {0};
    struct table_seal first;
    struct table_seal second;
    struct table_seal other;
    char elsewhere[FILE_PATH_MAX];
    assert_done(path_format(elsewhere, &err, "%s/elsewhere.arrow", folder.path), &err);
    assert_done(sample_write(sys_real(), path, 70001, &first, &err), &err);
    assert_done(sample_write(sys_real(), elsewhere, 70001, &second, &err), &err);
    assert_done(sample_write(sys_real(), elsewhere, 70002, &other, &err), &err);
    assert_true(digest_equals(&first.digest, &second.digest));
    assert_false(digest_equals(&first.digest, &other.digest));
    assert_done(path_remove(sys_real(), elsewhere, &err), &err);
}

/* Two batches of sample rows from first_row on, then three rows of nulls in a batch of their own:
 * it is made in the memory of the first. */
static struct table *write_nulls_after(int64_t first_row) {
    struct table_writer *writer = writer_create(&sample_schema);
    for (int64_t row = 0; row < 2 * (int64_t)TABLE_BATCH_ROWS; row++) {
        sample_put_row(writer, first_row + row);
        end_row(writer);
    }
    for (int row = 0; row < 3; row++) {
        table_put_text(writer, SAMPLE_ORG, text_from("same"));
        table_put_decimal(writer, SAMPLE_QUANTITY, (struct decimal){77});
        table_put_int64(writer, SAMPLE_COUNT, 78);
        table_put_bool(writer, SAMPLE_IS_FINAL, false);
        end_row(writer);
    }
    (void)writer_commit(writer);
    return open_table(&sample_schema);
}

static void a_batch_keeps_no_trace_of_those_before(void **state) {
    (void)state;
    struct table *left = write_nulls_after(0);
    struct table *right = write_nulls_after(5);
    const struct table_batch *left_batch = table_batch(left, 2);
    const struct table_batch *right_batch = table_batch(right, 2);
    /* Both bodies, from the first buffer to the last one's padded end, byte by byte. */
    const char *left_body = (const char *)left_batch->columns[0].offsets;
    const char *right_body = (const char *)right_batch->columns[0].offsets;
    const char *left_end = (const char *)left_batch->columns[SAMPLE_NOTE].offsets + 64;
    size_t size_bytes = (size_t)(left_end - left_body);
    assert_true(size_bytes > 64 * SAMPLE_COLUMNS_COUNT);
    assert_memory_equal(left_body, right_body, size_bytes);
    assert_non_null(left_batch->columns[SAMPLE_NOTE].validity);
    assert_int_equal(left_batch->columns[SAMPLE_NOTE].validity[0], 0);
    table_close(left);
    table_close(right);
}

static void buffers_begin_at_multiples_of_64_in_the_file(void **state) {
    (void)state;
    struct err err = {0};
    assert_done(sample_write(sys_real(), path, 65543, NULL, &err), &err);
    struct table *table = open_table(&sample_schema);
    for (size_t index = 0; index < table_batches_count(table); index++) {
        for (size_t column = 0; column < SAMPLE_COLUMNS_COUNT; column++) {
            /* A mapping begins at a page. */
            const struct table_batch *batch = table_batch(table, index);
            assert_int_equal((uintptr_t)batch->columns[column].values % 64, 0);
            assert_int_equal((uintptr_t)batch->columns[column].validity % 64, 0);
        }
    }
    table_close(table);
}

static void batches_end_where_they_are_bounded(void **state) {
    (void)state;
    enum { ROWS_MAX = 256, ROWS_COUNT = 3 * ROWS_MAX + 17 };
    struct table_writer *writer = writer_create(&sample_schema);
    table_writer_bound_batch(writer, ROWS_MAX);
    for (int64_t row = 0; row < ROWS_COUNT; row++) {
        sample_put_row(writer, row);
        end_row(writer);
        assert_true(writer->rows_capacity <= ROWS_MAX);
    }
    (void)writer_commit(writer);
    struct table *table = open_table(&sample_schema);
    assert_int_equal(table_batches_count(table), 4);
    assert_int_equal(table_batch(table, 2)->rows_count, ROWS_MAX);
    assert_int_equal(table_batch(table, 3)->rows_count, 17);
    table_close(table);
}

static const struct table_column note_columns[] = {{"note", TABLE_UTF8, true}};
static const struct table_schema note_schema = {
    .name = "notes", .columns = note_columns, .columns_count = 1};

static void batches_are_cut_by_text(void **state) {
    (void)state;
    char *bytes = malloc(TABLE_TEXT_BYTES_MAX);
    assert_non_null(bytes);
    struct table_writer *writer = writer_create(&note_schema);
    for (int filled = 0; filled < 10; filled++) {
        memset(bytes, 'a' + filled, TABLE_TEXT_BYTES_MAX);
        table_put_text(writer, 0,
                       (struct text){.bytes = bytes, .size_bytes = TABLE_TEXT_BYTES_MAX});
        end_row(writer);
    }
    assert_int_equal(writer_commit(writer).rows_count, 10);

    struct table *table = open_table(&note_schema);
    static const size_t rows_counts[] = {4, 4, 2};
    assert_int_equal(table_batches_count(table), 3);
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(table_batch(table, index)->rows_count, rows_counts[index]);
    }
    struct table_cursor cursor = table_cursor_start(table);
    int row = 0;
    for (; table_cursor_next(&cursor); row++) {
        struct text text = table_get_text(&cursor, 0);
        memset(bytes, 'a' + row, TABLE_TEXT_BYTES_MAX);
        assert_int_equal(text.size_bytes, TABLE_TEXT_BYTES_MAX);
        assert_memory_equal(text.bytes, bytes, TABLE_TEXT_BYTES_MAX);
    }
    assert_int_equal(row, 10);
    table_close(table);
    free(bytes);
}

static void a_text_over_the_limit_is_refused_and_leaves_no_file(void **state) {
    (void)state;
    size_t size_bytes = TABLE_TEXT_BYTES_MAX + 1;
    char *bytes = malloc(size_bytes);
    assert_non_null(bytes);
    memset(bytes, 'x', size_bytes);
    struct err err = {0};
    assert_done(path_remove(sys_real(), path, &err), &err);
    struct table_writer *writer = writer_create(&note_schema);
    table_put_text(writer, 0, (struct text){.bytes = bytes, .size_bytes = size_bytes});
    assert_false(table_end_row(writer, &err));
    assert_int_equal(err.code, ERR_RANGE);
    table_writer_destroy(writer);
    assert_int_equal(folder_entries_count(), 0);
    free(bytes);
}

static void an_empty_text_is_not_a_null(void **state) {
    (void)state;
    struct table_writer *writer = writer_create(&note_schema);
    table_put_text(writer, 0, (struct text){.bytes = NULL, .size_bytes = 0});
    end_row(writer);
    end_row(writer);
    (void)writer_commit(writer);
    struct table *table = open_table(&note_schema);
    struct table_cursor cursor = table_cursor_start(table);
    assert_true(table_cursor_next(&cursor));
    assert_false(table_is_null(&cursor, 0));
    assert_int_equal(table_get_text(&cursor, 0).size_bytes, 0);
    assert_true(table_cursor_next(&cursor));
    assert_true(table_is_null(&cursor, 0));
    table_close(table);
}

static void a_nullable_column_without_nulls_needs_no_bitmap(void **state) {
    (void)state;
    struct table_writer *writer = writer_create(&note_schema);
    for (int row = 0; row < 100; row++) {
        table_put_text(writer, 0, text_from("present"));
        end_row(writer);
    }
    (void)writer_commit(writer);
    struct table *table = open_table(&note_schema);
    assert_null(table_batch(table, 0)->columns[0].validity);
    table_close(table);
}

static void metadata_is_kept_even_without_rows(void **state) {
    (void)state;
    struct err err = {0};
    assert_done(sample_write(sys_real(), path, 0, NULL, &err), &err);
    struct table *table = open_table(&sample_schema);
    for (size_t index = 0; index < SAMPLE_METADATA_COUNT; index++) {
        const char *value = table_metadata_value(table, sample_metadata[index].key);
        assert_non_null(value);
        assert_string_equal(value, sample_metadata[index].value);
    }
    assert_null(table_metadata_value(table, "stag"));
    assert_null(table_metadata_value(table, "stage2"));
    assert_string_equal(table_path(table), path);
    table_close(table);
}

static void a_table_may_have_as_many_columns_as_the_limit(void **state) {
    (void)state;
    static const enum table_type types[] = {TABLE_BOOL, TABLE_UTF8, TABLE_DATE, TABLE_DECIMAL};
    char names[TABLE_COLUMNS_MAX][16];
    struct table_column columns[TABLE_COLUMNS_MAX];
    for (size_t index = 0; index < TABLE_COLUMNS_MAX; index++) {
        snprintf(names[index], sizeof names[index], "column-%zu", index);
        columns[index] = (struct table_column){names[index], types[index % 4], index % 3 == 0};
    }
    struct table_schema schema = {
        .name = "wide", .columns = columns, .columns_count = TABLE_COLUMNS_MAX};
    struct table_writer *writer = writer_create(&schema);
    for (size_t row = 0; row < 70000; row++) {
        for (size_t index = TABLE_COLUMNS_MAX; index-- > 0;) {
            int64_t value = (int64_t)(row * 31 + index);
            if (columns[index].is_nullable && row % 2 == 1) {
                continue;
            }
            switch (types[index % 4]) {
            case TABLE_BOOL:
                table_put_bool(writer, index, value % 3 == 0);
                break;
            case TABLE_UTF8:
                table_put_text(writer, index, text_from(names[value % TABLE_COLUMNS_MAX]));
                break;
            case TABLE_DATE:
                table_put_date(writer, index, (int32_t)value);
                break;
            default:
                table_put_decimal(writer, index, (struct decimal){value});
                break;
            }
        }
        end_row(writer);
    }
    (void)writer_commit(writer);

    struct table *table = open_table(&schema);
    struct table_cursor cursor = table_cursor_start(table);
    size_t row = 0;
    for (; table_cursor_next(&cursor); row++) {
        for (size_t index = 0; index < TABLE_COLUMNS_MAX; index++) {
            int64_t value = (int64_t)(row * 31 + index);
            if (columns[index].is_nullable && row % 2 == 1) {
                assert_true(table_is_null(&cursor, index));
            } else if (types[index % 4] == TABLE_BOOL) {
                assert_int_equal(table_get_bool(&cursor, index), value % 3 == 0);
            } else if (types[index % 4] == TABLE_UTF8) {
                assert_true(text_equals(table_get_text(&cursor, index),
                                        text_from(names[value % TABLE_COLUMNS_MAX])));
            } else if (types[index % 4] == TABLE_DATE) {
                assert_int_equal(table_get_date(&cursor, index), value);
            } else {
                assert_true(table_get_decimal(&cursor, index).units == value);
            }
        }
    }
    assert_int_equal(row, 70000);
    table_close(table);
}

static void a_writer_that_is_destroyed_leaves_the_old_file(void **state) {
    (void)state;
    struct err err = {0};
    struct table_seal before;
    struct table_seal after;
    assert_done(sample_write(sys_real(), path, 23, &before, &err), &err);
    struct table_writer *writer = writer_create(&sample_schema);
    for (int64_t row = 0; row < 70000; row++) {
        sample_put_row(writer, row);
        end_row(writer);
    }
    assert_int_equal(table_writer_rows_count(writer), 70000);
    table_writer_destroy(writer);
    assert_int_equal(folder_entries_count(), 1);
    assert_done(table_file_digest(sys_real(), path, &after, &err), &err);
    assert_true(digest_equals(&before.digest, &after.digest));
    table_writer_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_comes_back_as_it_was_written),
        cmocka_unit_test(the_seal_is_that_of_the_file),
        cmocka_unit_test(same_rows_give_the_same_bytes),
        cmocka_unit_test(a_batch_keeps_no_trace_of_those_before),
        cmocka_unit_test(buffers_begin_at_multiples_of_64_in_the_file),
        cmocka_unit_test(batches_end_where_they_are_bounded),
        cmocka_unit_test(batches_are_cut_by_text),
        cmocka_unit_test(a_text_over_the_limit_is_refused_and_leaves_no_file),
        cmocka_unit_test(an_empty_text_is_not_a_null),
        cmocka_unit_test(a_nullable_column_without_nulls_needs_no_bitmap),
        cmocka_unit_test(metadata_is_kept_even_without_rows),
        cmocka_unit_test(a_table_may_have_as_many_columns_as_the_limit),
        cmocka_unit_test(a_writer_that_is_destroyed_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
