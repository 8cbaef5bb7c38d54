/*
 * The numbers of Arrow's IPC file format that we use, from apache/arrow format/File.fbs,
 * Message.fbs and Schema.fbs, and the columns' common description.
 *
 * A file is: "ARROW1" and two zeros; the schema message; a message for each record batch; the end
 * mark (a message of length 0); the footer, which repeats the schema and lists where the batches
 * are; its length; "ARROW1". A message is: 0xFFFFFFFF, the length of its FlatBuffer with padding,
 * the FlatBuffer, its body. Every message and body of ours begins at a multiple of 64 in the file.
 */
#ifndef PERIODCLOSE_TABLE_ARROW_H
#define PERIODCLOSE_TABLE_ARROW_H

#include "flat.h"
#include "table/table.h"

#define ARROW_MAGIC "ARROW1"
#define ARROW_CONTINUATION UINT32_C(0xFFFFFFFF)

enum {
    ARROW_MAGIC_BYTES = 6,
    ARROW_HEAD_BYTES = 8,   /* the magic at the start, padded */
    ARROW_TAIL_BYTES = 10,  /* the footer's length and the magic */
    ARROW_PREFIX_BYTES = 8, /* continuation and length before a message */
    ARROW_ALIGN_BYTES = 64, /* of messages, bodies and buffers */
    ARROW_VERSION_V5 = 4,
    ARROW_ENDIAN_LITTLE = 0,
};

enum arrow_header { ARROW_HEADER_SCHEMA = 1, ARROW_HEADER_RECORD_BATCH = 3 };

enum arrow_type {
    ARROW_TYPE_INT = 2,
    ARROW_TYPE_UTF8 = 5,
    ARROW_TYPE_BOOL = 6,
    ARROW_TYPE_DECIMAL = 7,
    ARROW_TYPE_DATE = 8,
    ARROW_TYPE_TIMESTAMP = 10,
};

/* Numbers of the fields in their tables. */
enum {
    ARROW_MESSAGE_VERSION,
    ARROW_MESSAGE_HEADER_TYPE,
    ARROW_MESSAGE_HEADER,
    ARROW_MESSAGE_BODY_LENGTH
};
enum { ARROW_SCHEMA_ENDIANNESS, ARROW_SCHEMA_FIELDS, ARROW_SCHEMA_METADATA };
enum { ARROW_KEY, ARROW_VALUE };
enum {
    ARROW_FIELD_NAME,
    ARROW_FIELD_NULLABLE,
    ARROW_FIELD_TYPE_TYPE,
    ARROW_FIELD_TYPE,
    ARROW_FIELD_DICTIONARY,
    ARROW_FIELD_CHILDREN
};
enum { ARROW_INT_BIT_WIDTH, ARROW_INT_IS_SIGNED };
enum { ARROW_DECIMAL_PRECISION, ARROW_DECIMAL_SCALE, ARROW_DECIMAL_BIT_WIDTH };
enum { ARROW_DATE_UNIT };                                /* 0: day; absent: 1, millisecond */
enum { ARROW_TIMESTAMP_UNIT, ARROW_TIMESTAMP_TIMEZONE }; /* 2: microsecond */
enum { ARROW_BATCH_LENGTH, ARROW_BATCH_NODES, ARROW_BATCH_BUFFERS, ARROW_BATCH_COMPRESSION };
enum { ARROW_FOOTER_VERSION, ARROW_FOOTER_SCHEMA, ARROW_FOOTER_DICTIONARIES, ARROW_FOOTER_BATCHES };

enum {
    ARROW_DATE_DAY = 0,
    ARROW_DATE_MILLISECOND = 1,
    ARROW_TIME_SECOND = 0,
    ARROW_TIME_MICROSECOND = 2,
    ARROW_DECIMAL_PRECISION_DIGITS = 38
};

/* A field node: rows, nulls. A buffer: offset in the body, length. A block: where a message is. */
enum {
    ARROW_NODE_BYTES = 16,
    ARROW_BUFFER_BYTES = 16,
    ARROW_BLOCK_BYTES = 24,
    ARROW_BLOCK_METADATA_LENGTH = 8,
    ARROW_BLOCK_BODY_LENGTH = 16
};

static inline uint64_t arrow_padded(uint64_t size_bytes) {
    return (size_bytes + ARROW_ALIGN_BYTES - 1) / ARROW_ALIGN_BYTES * ARROW_ALIGN_BYTES;
}

/* Bytes of rows_count values (offsets for text). */
size_t arrow_values_bytes(enum table_type type, size_t rows_count);

static inline size_t arrow_bits_bytes(size_t rows_count) {
    return rows_count / 8 + (rows_count % 8 != 0);
}

/*
 * The schema as a part for flat_add_bytes: built once, put into the first message and the footer.
 * *table is the position of its table inside.
 */
bool arrow_build_schema(const struct table_schema *schema, const struct table_metadata *metadata,
                        size_t metadata_count, struct buffer *part, size_t *table, struct err *err);

/*
 * What a file's schema says, after checks; names and metadata point into the file. NULL, or why it
 * cannot be read here.
 */
struct arrow_schema {
    struct table_column columns[TABLE_COLUMNS_MAX];
    size_t columns_count;
    struct table_metadata metadata[TABLE_METADATA_MAX];
    size_t metadata_count;
};

const char *arrow_read_schema(const struct flat_table *schema, struct arrow_schema *result);

/* Fills err with the file's path, the reason and a hint. Returns false. */
bool arrow_damaged(const char *path, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Checks one record batch message and its body, and sets batch's pointers into them. Buffers must
 * come in their order, so that checking costs no more than the file's size.
 */
struct arrow_message {
    const char *path;
    size_t batch_index;
    bool is_own; /* written by this process: its values need no look */
    const unsigned char *metadata;
    size_t metadata_bytes;
    const unsigned char *body;
    size_t body_bytes;
};

bool arrow_read_batch(const struct arrow_message *message, const struct arrow_schema *schema,
                      struct table_batch *batch, struct err *err);

#endif
