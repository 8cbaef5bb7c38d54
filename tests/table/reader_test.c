#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/table_sample.h"
#include "table_path.h"

/* A file in memory of exactly its size, so that a read beyond it is noticed. */
struct image {
    unsigned char *bytes;
    size_t size_bytes;
};

static struct image image_copy(const struct image *from, size_t size_bytes) {
    void *bytes = NULL;
    assert_int_equal(posix_memalign(&bytes, 64, size_bytes > 0 ? size_bytes : 1), 0);
    memcpy(bytes, from->bytes, size_bytes);
    return (struct image){bytes, size_bytes};
}

static struct image image_of_sample(int64_t rows_count) {
    struct err err = {0};
    assert_done(sample_write(sys_real(), path, rows_count, NULL, &err), &err);
    struct mapping mapping;
    assert_done(file_map(sys_real(), path, &mapping, &err), &err);
    struct image mapped = {(unsigned char *)(uintptr_t)mapping.bytes, mapping.size_bytes};
    struct image image = image_copy(&mapped, mapping.size_bytes);
    file_unmap(sys_real(), &mapping);
    return image;
}

static bool image_open(const struct image *image, struct table **table, struct err *err) {
    const struct table_schema *schema;
    *err = (struct err){0};
    return table_open_memory(image->bytes, image->size_bytes, "image", table, &schema, err);
}

/* Adds up all that a table holds, so that every byte a caller may use is touched. */
static uint64_t table_walk(const struct table *table, const struct table_schema *schema) {
    uint64_t sum = 0;
    struct table_cursor cursor = table_cursor_start(table);
    while (table_cursor_next(&cursor)) {
        for (size_t column = 0; column < schema->columns_count; column++) {
            sum += table_is_null(&cursor, column);
            switch (schema->columns[column].type) {
            case TABLE_DECIMAL:
                assert_true(decimal_in_range(table_get_decimal(&cursor, column).units));
                break;
            case TABLE_UTF8:
                assert_true(text_is_utf8(table_get_text(&cursor, column)));
                break;
            case TABLE_INT64:
                sum += (uint64_t)table_get_int64(&cursor, column);
                break;
            case TABLE_TIMESTAMP:
                sum += (uint64_t)table_get_instant(&cursor, column).us;
                break;
            case TABLE_DATE:
                sum += (uint64_t)table_get_date(&cursor, column);
                break;
            case TABLE_BOOL:
                sum += table_get_bool(&cursor, column);
                break;
            }
        }
    }
    return sum;
}

/* Damaged, with its reason, or sound in every cell. */
static bool image_is_refused(const struct image *image) {
    struct err err = {0};
    struct table *table = NULL;
    const struct table_schema *schema = NULL;
    if (!table_open_memory(image->bytes, image->size_bytes, "image", &table, &schema, &err)) {
        assert_int_equal(err.code, ERR_DAMAGED);
        assert_memory_equal(err.message, "image: ", 7);
        return true;
    }
    (void)table_walk(table, schema);
    table_close(table);
    return false;
}

static void assert_refused_because(const struct image *image, const char *reason) {
    struct err err;
    struct table *table = NULL;
    if (image_open(image, &table, &err)) {
        table_close(table);
        fail_msg("not refused: %s", reason);
    }
    assert_int_equal(err.code, ERR_DAMAGED);
    if (strstr(err.message, reason) == NULL) {
        fail_msg("refused because %s, not because %s", err.message, reason);
    }
}

static void a_file_cut_anywhere_is_refused(void **state) {
    (void)state;
    struct image image = image_of_sample(11);
    assert_false(image_is_refused(&image));
    for (size_t size_bytes = 0; size_bytes < image.size_bytes; size_bytes++) {
        struct image cut = image_copy(&image, size_bytes);
        assert_true(image_is_refused(&cut));
        free(cut.bytes);
    }
    free(image.bytes);
}

static void any_changed_byte_is_refused_or_harmless(void **state) {
    (void)state;
    struct image image = image_of_sample(11);
    size_t refused_count = 0;
    for (size_t index = 0; index < image.size_bytes; index++) {
        unsigned char kept = image.bytes[index];
        for (int bit = 0; bit < 8; bit++) {
            image.bytes[index] = (unsigned char)(kept ^ 1U << bit);
            refused_count += image_is_refused(&image);
        }
        image.bytes[index] = (unsigned char)~kept;
        refused_count += image_is_refused(&image);
        image.bytes[index] = kept;
    }
    assert_true(refused_count > image.size_bytes);
    assert_false(image_is_refused(&image));
    free(image.bytes);
}

/* splitmix64 */
static uint64_t random_next(uint64_t *random) {
    uint64_t mixed = *random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static void several_changed_words_are_refused_or_harmless(void **state) {
    (void)state;
    static const uint32_t words[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 64, 0x10000};
    struct image image = image_of_sample(11);
    uint64_t random = 20261001;
    print_message("seed %" PRIu64 "\n", random);
    size_t refused_count = 0;
    for (int round = 0; round < 20000; round++) {
        struct image changed = image_copy(&image, image.size_bytes);
        size_t changes_count = 1 + random_next(&random) % 3;
        for (size_t change = 0; change < changes_count; change++) {
            uint64_t chosen = random_next(&random);
            size_t index = random_next(&random) % (image.size_bytes / 4) * 4;
            /* The words of the messages are few among the values: half the changes go there. */
            if (chosen >> 32 & 1) {
                index = image.size_bytes / 4 * 4 - 4 - index % 1024;
            }
            uint32_t word = (chosen & 1) != 0 ? (uint32_t)(chosen >> 33)
                                              : words[chosen % (sizeof words / sizeof words[0])];
            memcpy(changed.bytes + index, &word, sizeof word);
        }
        refused_count += image_is_refused(&changed);
        free(changed.bytes);
    }
    assert_true(refused_count > 1000);
    free(image.bytes);
}

/* Where a pointer of an opened image's batch stands in the image. */
static unsigned char *image_at(const struct image *image, const void *pointer) {
    return image->bytes + ((const unsigned char *)pointer - image->bytes);
}

static struct table_batch image_batch(const struct image *image) {
    struct err err;
    struct table *table = NULL;
    assert_done(image_open(image, &table, &err), &err);
    struct table_batch batch = *table_batch(table, 0);
    table_close(table);
    return batch;
}

static void spoil_i32(const struct image *image, const int32_t *place, int32_t value,
                      const char *reason) {
    unsigned char kept[sizeof value];
    unsigned char *bytes = image_at(image, place);
    memcpy(kept, bytes, sizeof kept);
    memcpy(bytes, &value, sizeof value);
    assert_refused_because(image, reason);
    memcpy(bytes, kept, sizeof kept);
}

static void text_offsets_must_ascend_within_the_text(void **state) {
    (void)state;
    struct image image = image_of_sample(11);
    struct table_batch batch = image_batch(&image);
    const int32_t *offsets = batch.columns[SAMPLE_ORG].offsets;
    const char *reason = "column 'org_id': its text offsets do not ascend within its text";
    spoil_i32(&image, &offsets[0], -1, reason);
    spoil_i32(&image, &offsets[0], INT32_MIN, reason);
    spoil_i32(&image, &offsets[4], offsets[3] - 1, reason);
    spoil_i32(&image, &offsets[11], offsets[11] + 1, reason);
    spoil_i32(&image, &offsets[11], INT32_MAX, reason);
    spoil_i32(&image, &offsets[6], INT32_MAX, reason);
    assert_false(image_is_refused(&image));
    free(image.bytes);
}

static void text_must_be_utf8_and_cut_between_characters(void **state) {
    (void)state;
    struct image image = image_of_sample(11);
    struct table_batch batch = image_batch(&image);
    /* Row 3 is "naïve ☃ 😀 3": its third byte begins a character of two. */
    const int32_t *offsets = batch.columns[SAMPLE_ORG].offsets;
    spoil_i32(&image, &offsets[3], offsets[3] + 3, "its text is cut inside a character");
    unsigned char *text = image_at(&image, batch.columns[SAMPLE_ORG].text_bytes);
    size_t row_3 = (size_t)offsets[3];
    assert_int_equal(text[row_3 + 2], 0xc3);
    text[row_3 + 3] = 'x';
    assert_refused_because(&image, "its text is not UTF-8");
    text[row_3 + 3] = 0xaf;
    assert_false(image_is_refused(&image));
    free(image.bytes);
}

static void decimals_must_be_in_range(void **state) {
    (void)state;
    struct image image = image_of_sample(11);
    struct table_batch batch = image_batch(&image);
    const struct decimal *values = batch.columns[SAMPLE_QUANTITY].values;
    /* Row 0 holds the greatest value, row 1 the least. */
    int128 greatest = values[0].units;
    assert_true(values[1].units == -greatest);
    const struct {
        size_t row;
        int128 units;
    } cases[] = {{0, greatest + 1},
                 {1, -greatest - 1},
                 {10, greatest + 1},
                 {5, (int128)((uint128)1 << 127)},
                 {5, (int128)(((uint128)1 << 127) - 1)}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        int128 kept = values[cases[index].row].units;
        unsigned char *place = image_at(&image, &values[cases[index].row]);
        memcpy(place, &cases[index].units, sizeof kept);
        assert_refused_because(&image, "column 'quantity': a decimal is out of range");
        memcpy(place, &kept, sizeof kept);
    }
    assert_false(image_is_refused(&image));
    free(image.bytes);
}

static void nulls_must_be_as_many_as_counted(void **state) {
    (void)state;
    struct image image = image_of_sample(90);
    struct table_batch batch = image_batch(&image);
    unsigned char *bits = image_at(&image, batch.columns[SAMPLE_LIMIT].validity);
    for (size_t row = 0; row < 90; row += 13) {
        bits[row / 8] ^= (unsigned char)(1U << row % 8);
        assert_refused_because(&image, "column 'limit': its nulls are not as many as counted");
        bits[row / 8] ^= (unsigned char)(1U << row % 8);
    }
    /* Bits behind the last row mean nothing. */
    bits[90 / 8] ^= (unsigned char)(1U << 90 % 8);
    assert_false(image_is_refused(&image));
    free(image.bytes);
}

/* The image's last bytes that hold the block of a batch: place, lengths. */
static unsigned char *image_block(const struct image *image, uint64_t offset) {
    for (size_t index = image->size_bytes - 24; index > 0; index--) {
        uint64_t block[3];
        memcpy(block, image->bytes + index, sizeof block);
        if (block[0] == offset && block[1] > 0 && block[1] < 4096 && block[2] % 64 == 0) {
            return image->bytes + index;
        }
    }
    fail_msg("no block for the batch at %" PRIu64, offset);
    return NULL;
}

/* Batches begin at multiples of 64, as the first one after the schema does. */
static uint64_t image_first_batch(const struct image *image) {
    for (size_t index = 64; index + 8 <= image->size_bytes; index += 64) {
        if (memcmp(image->bytes + index, "\xff\xff\xff\xff", 4) == 0) {
            return index;
        }
    }
    fail_msg("no batch");
    return 0;
}

static void spoil_u64(const struct image *image, unsigned char *place, uint64_t value,
                      const char *reason) {
    uint64_t kept;
    memcpy(&kept, place, sizeof kept);
    memcpy(place, &value, sizeof value);
    assert_refused_because(image, reason);
    memcpy(place, &kept, sizeof kept);
}

static void batches_must_lie_in_the_file_and_apart(void **state) {
    (void)state;
    struct image image = image_of_sample(65543);
    uint64_t first = image_first_batch(&image);
    unsigned char *block = image_block(&image, first);
    uint64_t body_bytes;
    memcpy(&body_bytes, block + 16, sizeof body_bytes);
    spoil_u64(&image, block, INT64_MAX, "record batch 0 reaches beyond the file");
    spoil_u64(&image, block, UINT64_MAX, "record batch 0 has a negative place or length");
    spoil_u64(&image, block + 16, INT64_MAX, "record batch 0 reaches beyond the file");
    spoil_u64(&image, block + 16, body_bytes - 64, "record batch 0 is not as long as the footer");
    spoil_u64(&image, block + 24, first, "record batch 1 overlaps the one before");
    spoil_u64(&image, block + 8, 7, "record batch 0 has a negative place or length");
    spoil_u64(&image, block + 8, INT32_MAX, "record batch 0 reaches beyond the file");
    spoil_u64(&image, block, first + 64, "record batch 0");
    assert_false(image_is_refused(&image));
    free(image.bytes);
}

static void buffers_must_lie_in_their_batch_aligned_and_in_order(void **state) {
    (void)state;
    struct image image = image_of_sample(11);
    /* The description of the values of quantity, after org_id's three buffers and its bitmap. */
    unsigned char *place = NULL;
    uint64_t first = image_first_batch(&image);
    for (size_t index = first; index < first + 1024 && place == NULL; index += 8) {
        uint64_t buffer[2];
        memcpy(buffer, image.bytes + index, sizeof buffer);
        if (buffer[0] == 192 && buffer[1] == 11 * sizeof(struct decimal)) {
            place = image.bytes + index;
        }
    }
    assert_non_null(place);
    spoil_u64(&image, place, 200, "column 'quantity': a buffer is not aligned to 16 bytes");
    spoil_u64(&image, place, 0, "column 'quantity': a buffer overlaps the one before");
    spoil_u64(&image, place, INT64_MAX - 63,
              "column 'quantity': a buffer reaches beyond the batch");
    spoil_u64(&image, place, UINT64_MAX, "column 'quantity': a buffer has a negative offset");
    spoil_u64(&image, place + 8, INT64_MAX, "column 'quantity': a buffer reaches beyond the batch");
    spoil_u64(&image, place + 8, UINT64_MAX, "column 'quantity': a buffer has a negative offset");
    spoil_u64(&image, place + 8, 11 * sizeof(struct decimal) - 1,
              "column 'quantity': its values are too short");
    spoil_u64(&image, place + 8, 0, "column 'quantity': its values are too short");
    assert_false(image_is_refused(&image));
    free(image.bytes);
}

static void open_as(const struct table_column *columns, size_t columns_count, const char *reason) {
    struct table_schema schema = {
        .name = "wanted", .columns = columns, .columns_count = columns_count};
    struct err err = {0};
    struct table *table = NULL;
    assert_false(table_open(sys_real(), path, &schema, &table, &err));
    assert_int_equal(err.code, ERR_DAMAGED);
    assert_non_null(strstr(err.message, path));
    if (strstr(err.message, reason) == NULL) {
        fail_msg("%s", err.message);
    }
    assert_true(err.hint[0] != '\0');
}

static void a_table_of_another_schema_is_refused_with_the_first_difference(void **state) {
    (void)state;
    struct err err = {0};
    assert_done(sample_write(sys_real(), path, 3, NULL, &err), &err);
    struct table_column columns[SAMPLE_COLUMNS_COUNT + 1];
    memcpy(columns, sample_schema.columns, SAMPLE_COLUMNS_COUNT * sizeof columns[0]);
    columns[SAMPLE_LIMIT].name = "ceiling";
    open_as(columns, SAMPLE_COLUMNS_COUNT,
            "column 3 is 'limit' decimal128(38,15) nullable, table 'wanted' has 'ceiling' "
            "decimal128(38,15) nullable there");
    columns[SAMPLE_QUANTITY].type = TABLE_INT64;
    open_as(columns, SAMPLE_COLUMNS_COUNT, "column 2 is 'quantity' decimal128(38,15) not null");
    columns[SAMPLE_ORG].is_nullable = true;
    open_as(columns, SAMPLE_COLUMNS_COUNT,
            "column 1 is 'org_id' utf8 not null, table 'wanted' "
            "has 'org_id' utf8 nullable there");
    open_as(sample_schema.columns, SAMPLE_COLUMNS_COUNT - 1,
            "it has 9 columns, table 'wanted' has 8");
    memcpy(columns, sample_schema.columns, SAMPLE_COLUMNS_COUNT * sizeof columns[0]);
    columns[SAMPLE_COLUMNS_COUNT] = (struct table_column){"more", TABLE_BOOL, true};
    open_as(columns, SAMPLE_COLUMNS_COUNT + 1, "it has 9 columns, table 'wanted' has 10");
}

static void a_table_may_be_opened_with_the_schema_it_states(void **state) {
    (void)state;
    struct err err = {0};
    struct table *table = NULL;
    const struct table_schema *schema = NULL;
    assert_done(sample_write(sys_real(), path, 12, NULL, &err), &err);
    assert_done(table_open_any(sys_real(), path, &table, &schema, &err), &err);
    assert_string_equal(schema->name, "table.arrow");
    assert_int_equal(schema->columns_count, SAMPLE_COLUMNS_COUNT);
    for (size_t index = 0; index < SAMPLE_COLUMNS_COUNT; index++) {
        assert_string_equal(schema->columns[index].name, sample_schema.columns[index].name);
        assert_int_equal(schema->columns[index].type, sample_schema.columns[index].type);
        assert_int_equal(schema->columns[index].is_nullable,
                         sample_schema.columns[index].is_nullable);
    }
    struct table_cursor cursor = table_cursor_start(table);
    for (int64_t row = 0; row < 12; row++) {
        assert_true(table_cursor_next(&cursor));
        assert_null(sample_check_row(&cursor, row));
    }
    assert_false(table_cursor_next(&cursor));
    table_close(table);
    table_close(NULL);
}

static void an_own_table_is_still_checked_for_where_everything_stands(void **state) {
    (void)state;
    struct err err = {0};
    struct table *table = NULL;
    assert_done(sample_write(sys_real(), path, 70, NULL, &err), &err);
    assert_done(table_open_own(sys_real(), path, &sample_schema, &table, &err), &err);
    assert_int_equal(table_rows_count(table), 70);
    struct table_cursor cursor = table_cursor_start(table);
    for (int64_t row = 0; row < 70; row++) {
        assert_true(table_cursor_next(&cursor));
        assert_null(sample_check_row(&cursor, row));
    }
    assert_false(table_cursor_next(&cursor));
    table_close(table);

    struct buffer content = {0};
    assert_done(file_load(sys_real(), path, 1 << 20, &content, &err), &err);
    struct text half = {.bytes = content.bytes, .size_bytes = content.size_bytes / 2};
    assert_done(file_replace(sys_real(), path, half, &err), &err);
    buffer_release(&content);
    assert_false(table_open_own(sys_real(), path, &sample_schema, &table, &err));
    assert_int_equal(err.code, ERR_DAMAGED);
    assert_non_null(strstr(err.message, "its end is missing"));
    err_release(&err);
}

static void what_is_no_arrow_file_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *content;
        enum err_code code;
        const char *reason;
    } cases[] = {
        {NULL, ERR_FILE, "table.arrow"},
        {"", ERR_DAMAGED, "too few"},
        {"ARROW1", ERR_DAMAGED, "too few"},
        {"org_id,metric,quantity\nacme,tokens,5\n", ERR_DAMAGED, "not an Arrow file"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct err err = {0};
        struct table *table = NULL;
        assert_done(path_remove(sys_real(), path, &err), &err);
        if (cases[index].content != NULL) {
            assert_done(file_replace(sys_real(), path, text_from(cases[index].content), &err),
                        &err);
        }
        assert_false(table_open(sys_real(), path, &sample_schema, &table, &err));
        assert_int_equal(err.code, cases[index].code);
        assert_non_null(strstr(err.message, cases[index].reason));
        assert_non_null(strstr(err.message, path));
    }
}

/* Row n has the key 2n, in seven digits: in two batches. */
static void a_row_is_found_by_its_key_and_its_number(void **state) {
    (void)state;
    enum { ROWS_COUNT = TABLE_BATCH_ROWS + 1000 };
    static const struct table_column columns[] = {{.name = "key", .type = TABLE_UTF8}};
    static const struct table_schema schema = {
        .name = "keys", .columns = columns, .columns_count = 1, .key_columns_count = 1};
    static const int64_t rows[] = {
        0, 1, 5000, TABLE_BATCH_ROWS - 1, TABLE_BATCH_ROWS, TABLE_BATCH_ROWS + 1, ROWS_COUNT - 1};
    struct err err = {0};
    struct table *table = NULL;
    struct table_writer *writer = NULL;
    struct table_seal seal;
    char key[32];
    assert_done(table_writer_create(sys_real(), path, &schema, NULL, 0, &writer, &err), &err);
    for (int64_t row = 0; row < ROWS_COUNT; row++) {
        (void)snprintf(key, sizeof key, "%07lld", (long long)(2 * row));
        table_put_text(writer, 0, text_from(key));
        assert_done(table_end_row(writer, &err), &err);
    }
    assert_done(table_writer_commit(writer, &seal, &err), &err);
    assert_done(table_open(sys_real(), path, &schema, &table, &err), &err);
    assert_int_equal(table_batches_count(table), 2);
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        struct table_cursor cursor = table_cursor_before(table, (uint64_t)rows[index]);
        (void)snprintf(key, sizeof key, "%07lld", (long long)(2 * rows[index]));
        assert_true(table_cursor_next(&cursor));
        assert_true(text_equals(table_get_text(&cursor, 0), text_from(key)));
        assert_int_equal(table_cursor_next(&cursor), rows[index] + 1 < ROWS_COUNT);
        assert_int_equal(table_find_row(table, 0, text_from(key)), rows[index]);
        (void)snprintf(key, sizeof key, "%07lld", (long long)(2 * rows[index] + 1));
        assert_int_equal(table_find_row(table, 0, text_from(key)), rows[index] + 1);
    }
    assert_int_equal(table_find_row(table, 0, text_from("")), 0);
    struct table_cursor cursor = table_cursor_before(table, ROWS_COUNT);
    assert_false(table_cursor_next(&cursor));
    table_close(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(any_changed_byte_is_refused_or_harmless),
        cmocka_unit_test(several_changed_words_are_refused_or_harmless),
        cmocka_unit_test(text_offsets_must_ascend_within_the_text),
        cmocka_unit_test(an_own_table_is_still_checked_for_where_everything_stands),
        cmocka_unit_test(a_row_is_found_by_its_key_and_its_number),
        cmocka_unit_test(text_must_be_utf8_and_cut_between_characters),
        cmocka_unit_test(decimals_must_be_in_range),
        cmocka_unit_test(nulls_must_be_as_many_as_counted),
        cmocka_unit_test(batches_must_lie_in_the_file_and_apart),
        cmocka_unit_test(buffers_must_lie_in_their_batch_aligned_and_in_order),
        cmocka_unit_test(a_table_of_another_schema_is_refused_with_the_first_difference),
        cmocka_unit_test(a_table_may_be_opened_with_the_schema_it_states),
        cmocka_unit_test(what_is_no_arrow_file_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
