/*
 * Our columns as Arrow's schema, written and read.
 */
#include <assert.h>

#include "arrow.h"

static const struct {
    const char *name;
    uint8_t arrow_type;
    uint8_t value_bits; /* of utf8: its offsets' */
} table_types[] = {
    [TABLE_DECIMAL] = {"decimal128(38,15)", ARROW_TYPE_DECIMAL, 128},
    [TABLE_UTF8] = {"utf8", ARROW_TYPE_UTF8, 32},
    [TABLE_INT64] = {"int64", ARROW_TYPE_INT, 64},
    [TABLE_TIMESTAMP] = {"timestamp[us, UTC]", ARROW_TYPE_TIMESTAMP, 64},
    [TABLE_DATE] = {"date32", ARROW_TYPE_DATE, 32},
    [TABLE_BOOL] = {"bool", ARROW_TYPE_BOOL, 1},
};

_Static_assert(sizeof table_types / sizeof table_types[0] == TABLE_BOOL + 1, "a row per type");
_Static_assert(sizeof(struct decimal) == 16, "a decimal is Arrow's decimal128");

static const char arrow_utc[] = "UTC";

const char *table_type_name(enum table_type type) {
    return table_types[type].name;
}

size_t arrow_values_bytes(enum table_type type, size_t rows_count) {
    if (type == TABLE_BOOL) {
        return arrow_bits_bytes(rows_count);
    }
    size_t entries = rows_count + (type == TABLE_UTF8 ? 1 : 0);
    return entries * (table_types[type].value_bits / 8);
}

/* The table that goes with a field's type. */
static size_t arrow_add_type(struct flat_builder *flat, enum table_type type) {
    size_t fields[3];
    size_t table;
    switch (type) {
    case TABLE_DECIMAL:
        table = flat_add_table(flat, (const uint8_t[]){4, 4, 4}, 3, fields);
        flat_set_u32(flat, fields[ARROW_DECIMAL_PRECISION], ARROW_DECIMAL_PRECISION_DIGITS);
        flat_set_u32(flat, fields[ARROW_DECIMAL_SCALE], DECIMAL_PLACES);
        flat_set_u32(flat, fields[ARROW_DECIMAL_BIT_WIDTH], 128);
        return table;
    case TABLE_INT64:
        table = flat_add_table(flat, (const uint8_t[]){4, 1}, 2, fields);
        flat_set_u32(flat, fields[ARROW_INT_BIT_WIDTH], 64);
        flat_set_u8(flat, fields[ARROW_INT_IS_SIGNED], 1);
        return table;
    case TABLE_TIMESTAMP:
        table = flat_add_table(flat, (const uint8_t[]){2, FLAT_OFFSET_BYTES}, 2, fields);
        flat_set_u16(flat, fields[ARROW_TIMESTAMP_UNIT], ARROW_TIME_MICROSECOND);
        flat_link(flat, fields[ARROW_TIMESTAMP_TIMEZONE],
                  flat_add_string(flat, text_from(arrow_utc)));
        return table;
    case TABLE_DATE:
        table = flat_add_table(flat, (const uint8_t[]){2}, 1, fields);
        flat_set_u16(flat, fields[ARROW_DATE_UNIT], ARROW_DATE_DAY);
        return table;
    case TABLE_UTF8:
    case TABLE_BOOL:
        break;
    }
    return flat_add_table(flat, NULL, 0, NULL);
}

/* Names are shown on terminals: no control characters. */
static bool arrow_is_name(const char *name) {
    if (name == NULL || name[0] == '\0') {
        return false;
    }
    for (const char *byte = name; *byte != '\0'; byte++) {
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f) {
            return false;
        }
    }
    return true;
}

static size_t arrow_add_field(struct flat_builder *flat, const struct table_column *column) {
    assert(arrow_is_name(column->name));
    static const uint8_t sizes_bytes[] = {
        [ARROW_FIELD_NAME] = FLAT_OFFSET_BYTES,
        [ARROW_FIELD_NULLABLE] = 1,
        [ARROW_FIELD_TYPE_TYPE] = 1,
        [ARROW_FIELD_TYPE] = FLAT_OFFSET_BYTES,
        [ARROW_FIELD_DICTIONARY] = 0,
        [ARROW_FIELD_CHILDREN] = FLAT_OFFSET_BYTES,
    };
    size_t fields[sizeof sizes_bytes];
    size_t table = flat_add_table(flat, sizes_bytes, sizeof sizes_bytes, fields);
    flat_link(flat, fields[ARROW_FIELD_NAME], flat_add_string(flat, text_from(column->name)));
    flat_set_u8(flat, fields[ARROW_FIELD_NULLABLE], column->is_nullable);
    flat_set_u8(flat, fields[ARROW_FIELD_TYPE_TYPE], table_types[column->type].arrow_type);
    flat_link(flat, fields[ARROW_FIELD_TYPE], arrow_add_type(flat, column->type));
    /* Some readers want the list of children even where there can be none. */
    size_t elements;
    flat_link(flat, fields[ARROW_FIELD_CHILDREN],
              flat_add_vector(flat, (struct flat_elements){0, 4, 4}, &elements));
    return table;
}

static size_t arrow_add_pair(struct flat_builder *flat, const struct table_metadata *pair) {
    /* What is longer our own reader would refuse. */
    assert(strlen(pair->key) <= TABLE_TEXT_BYTES_MAX);
    assert(strlen(pair->value) <= TABLE_TEXT_BYTES_MAX);
    size_t fields[2];
    size_t table = flat_add_table(flat, (const uint8_t[]){4, 4}, 2, fields);
    flat_link(flat, fields[ARROW_KEY], flat_add_string(flat, text_from(pair->key)));
    flat_link(flat, fields[ARROW_VALUE], flat_add_string(flat, text_from(pair->value)));
    return table;
}

bool arrow_build_schema(const struct table_schema *schema, const struct table_metadata *metadata,
                        size_t metadata_count, struct buffer *part, size_t *table,
                        struct err *err) {
    struct flat_builder flat = flat_builder_start(part, err);
    static const uint8_t sizes_bytes[] = {
        [ARROW_SCHEMA_ENDIANNESS] = 2,
        [ARROW_SCHEMA_FIELDS] = FLAT_OFFSET_BYTES,
        [ARROW_SCHEMA_METADATA] = FLAT_OFFSET_BYTES,
    };
    size_t fields[sizeof sizes_bytes];
    *table = flat_add_table(&flat, sizes_bytes, sizeof sizes_bytes, fields);
    flat_set_u16(&flat, fields[ARROW_SCHEMA_ENDIANNESS], ARROW_ENDIAN_LITTLE);
    size_t elements;
    struct flat_elements offsets = {.size_bytes = FLAT_OFFSET_BYTES, .align_bytes = 4};
    offsets.count = schema->columns_count;
    flat_link(&flat, fields[ARROW_SCHEMA_FIELDS], flat_add_vector(&flat, offsets, &elements));
    for (size_t index = 0; index < schema->columns_count; index++) {
        flat_link(&flat, elements + index * FLAT_OFFSET_BYTES,
                  arrow_add_field(&flat, &schema->columns[index]));
    }
    offsets.count = metadata_count;
    flat_link(&flat, fields[ARROW_SCHEMA_METADATA], flat_add_vector(&flat, offsets, &elements));
    for (size_t index = 0; index < metadata_count; index++) {
        flat_link(&flat, elements + index * FLAT_OFFSET_BYTES,
                  arrow_add_pair(&flat, &metadata[index]));
    }
    return flat_builder_finish(&flat);
}

/* False when it is none of our types. */
static bool arrow_read_type(uint8_t arrow_type, const struct flat_table *type,
                            enum table_type *result) {
    switch (arrow_type) {
    case ARROW_TYPE_DECIMAL:
        *result = TABLE_DECIMAL;
        return flat_get_i32(type, ARROW_DECIMAL_PRECISION, 0) == ARROW_DECIMAL_PRECISION_DIGITS &&
               flat_get_i32(type, ARROW_DECIMAL_SCALE, 0) == DECIMAL_PLACES &&
               flat_get_i32(type, ARROW_DECIMAL_BIT_WIDTH, 128) == 128;
    case ARROW_TYPE_UTF8:
        *result = TABLE_UTF8;
        return true;
    case ARROW_TYPE_INT:
        *result = TABLE_INT64;
        return flat_get_i32(type, ARROW_INT_BIT_WIDTH, 0) == 64 &&
               flat_get_u8(type, ARROW_INT_IS_SIGNED, 0) == 1;
    case ARROW_TYPE_TIMESTAMP: {
        *result = TABLE_TIMESTAMP;
        const char *zone = flat_get_string(type, ARROW_TIMESTAMP_TIMEZONE, TABLE_TEXT_BYTES_MAX);
        return flat_get_i16(type, ARROW_TIMESTAMP_UNIT, ARROW_TIME_SECOND) ==
                   ARROW_TIME_MICROSECOND &&
               zone != NULL && strcmp(zone, arrow_utc) == 0;
    }
    case ARROW_TYPE_DATE:
        *result = TABLE_DATE;
        return flat_get_i16(type, ARROW_DATE_UNIT, ARROW_DATE_MILLISECOND) == ARROW_DATE_DAY;
    case ARROW_TYPE_BOOL:
        *result = TABLE_BOOL;
        return true;
    default:
        return false;
    }
}

static const char *arrow_read_field(const struct flat_table *field, struct table_column *column) {
    column->name = flat_get_string(field, ARROW_FIELD_NAME, TABLE_TEXT_BYTES_MAX);
    if (!arrow_is_name(column->name)) {
        return "a column has no proper name";
    }
    uint8_t is_nullable = flat_get_u8(field, ARROW_FIELD_NULLABLE, 0);
    if (is_nullable > 1) {
        return "a column is neither nullable nor not";
    }
    column->is_nullable = is_nullable != 0;
    struct flat_table type = flat_get_table(field, ARROW_FIELD_TYPE);
    if (flat_get_table(field, ARROW_FIELD_DICTIONARY).is_present) {
        return "a column is dictionary-encoded";
    }
    if (flat_get_vector(field, ARROW_FIELD_CHILDREN, FLAT_OFFSET_BYTES).count > 0) {
        return "a column is nested";
    }
    uint8_t arrow_type = flat_get_u8(field, ARROW_FIELD_TYPE_TYPE, 0);
    if (!type.is_present || !arrow_read_type(arrow_type, &type, &column->type)) {
        return "a column has a type that is not used here";
    }
    return NULL;
}

static const char *arrow_read_metadata(const struct flat_vector *pairs,
                                       struct arrow_schema *result) {
    if (pairs->count > TABLE_METADATA_MAX) {
        return "there are too many metadata pairs";
    }
    for (size_t index = 0; index < pairs->count; index++) {
        struct flat_table pair = flat_vector_table(pairs, index);
        struct table_metadata *metadata = &result->metadata[index];
        metadata->key = flat_get_string(&pair, ARROW_KEY, TABLE_TEXT_BYTES_MAX);
        metadata->value = flat_get_string(&pair, ARROW_VALUE, TABLE_TEXT_BYTES_MAX);
        if (metadata->key == NULL || metadata->value == NULL) {
            return "a metadata pair is broken";
        }
    }
    result->metadata_count = pairs->count;
    return NULL;
}

const char *arrow_read_schema(const struct flat_table *schema, struct arrow_schema *result) {
    if (!schema->is_present) {
        return "there is no schema";
    }
    if (flat_get_i16(schema, ARROW_SCHEMA_ENDIANNESS, ARROW_ENDIAN_LITTLE) != ARROW_ENDIAN_LITTLE) {
        return "the values are big-endian";
    }
    struct flat_vector fields = flat_get_vector(schema, ARROW_SCHEMA_FIELDS, FLAT_OFFSET_BYTES);
    if (fields.count == 0 || fields.count > TABLE_COLUMNS_MAX) {
        return "there are no columns or too many";
    }
    result->columns_count = fields.count;
    for (size_t index = 0; index < fields.count; index++) {
        struct flat_table field = flat_vector_table(&fields, index);
        const char *fault = arrow_read_field(&field, &result->columns[index]);
        if (fault != NULL) {
            return fault;
        }
    }
    struct flat_vector pairs = flat_get_vector(schema, ARROW_SCHEMA_METADATA, FLAT_OFFSET_BYTES);
    const char *fault = arrow_read_metadata(&pairs, result);
    return fault != NULL ? fault : schema->view->is_broken ? "its parts point outside" : NULL;
}
