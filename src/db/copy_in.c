/* COPY … FROM STDIN: rows in the binary format, or bytes as they are. */
#include <assert.h>
#include <stdlib.h>

#include "db/copy.h"
#include "db/wire.h"
#include "db_internal.h"

enum { PIECE_BYTES = 64 * 1024, HEADER_BYTES = 19 };

static const char header[HEADER_BYTES + 1] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

bool db_copy_in_begin(struct db *db, const char *statement, struct db_copy_in *copy,
                      struct err *err) {
    PGresult *result = NULL;
    *copy = (struct db_copy_in){.db = db, .statement = statement};
    if (!db_send(db, statement, NULL, err) || !db_next_result(db, statement, &result, err)) {
        copy->db = NULL;
        return false;
    }
    if (PQresultStatus(result) != PGRES_COPY_IN) {
        (void)db_fail_result(db, statement, result, err);
        PQclear(result);
        db_cancel(db);
        copy->db = NULL;
        return false;
    }
    copy->is_binary = PQbinaryTuples(result) == 1;
    PQclear(result);
    return !copy->is_binary ||
           buffer_append(&copy->buffer, (struct text){header, HEADER_BYTES}, err);
}

/* --- sending --------------------------------------------------------------------------------- */

static bool send_bytes(struct db_copy_in *copy, struct text bytes, struct err *err) {
    struct db *db = copy->db;
    int sent;
    assert(bytes.size_bytes <= INT32_MAX);
    while ((sent = PQputCopyData(db->connection, bytes.bytes, (int)bytes.size_bytes)) == 0) {
        if (!db_flush(db, copy->statement, err)) {
            return false;
        }
    }
    if (sent < 0) {
        return db_fail_connection(db, copy->statement, err);
    }
    /* Flushed each time: libpq would grow its buffer to the size of the whole copy. */
    return db_flush(db, copy->statement, err);
}

static bool send_buffer(struct db_copy_in *copy, struct err *err) {
    if (copy->buffer.size_bytes == 0) {
        return true;
    }
    bool is_done = send_bytes(copy, buffer_text(&copy->buffer), err);
    buffer_clear(&copy->buffer);
    return is_done;
}

static bool put(struct db_copy_in *copy, const void *bytes, size_t size_bytes, struct err *err) {
    return buffer_append(&copy->buffer, (struct text){bytes, size_bytes}, err);
}

bool db_copy_in_bytes(struct db_copy_in *copy, struct text bytes, struct err *err) {
    assert(!copy->is_binary);
    return put(copy, bytes.bytes, bytes.size_bytes, err) &&
           (copy->buffer.size_bytes < PIECE_BYTES || send_buffer(copy, err));
}

/* --- rows ------------------------------------------------------------------------------------ */

bool db_copy_in_row(struct db_copy_in *copy, int fields_count, struct err *err) {
    unsigned char count[2];
    assert(copy->is_binary);
    assert(copy->fields_left == 0);
    if (copy->buffer.size_bytes >= PIECE_BYTES && !send_buffer(copy, err)) {
        return false;
    }
    copy->fields_left = fields_count;
    wire_put_uint16((uint16_t)fields_count, count);
    return put(copy, count, sizeof count, err);
}

static bool put_field(struct db_copy_in *copy, const void *bytes, size_t size_bytes,
                      struct err *err) {
    unsigned char size[4];
    assert(copy->fields_left > 0);
    assert(size_bytes <= INT32_MAX);
    copy->fields_left--;
    wire_put_uint32((uint32_t)size_bytes, size);
    return put(copy, size, sizeof size, err) &&
           (size_bytes == 0 || put(copy, bytes, size_bytes, err));
}

bool db_copy_in_null(struct db_copy_in *copy, struct err *err) {
    unsigned char size[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    assert(copy->fields_left > 0);
    copy->fields_left--;
    return put(copy, size, sizeof size, err);
}

bool db_copy_in_text(struct db_copy_in *copy, struct text value, struct err *err) {
    return put_field(copy, value.bytes, value.size_bytes, err);
}

bool db_copy_in_int64(struct db_copy_in *copy, int64_t value, struct err *err) {
    unsigned char bytes[8];
    wire_put_uint64((uint64_t)value, bytes);
    return put_field(copy, bytes, sizeof bytes, err);
}

bool db_copy_in_int32(struct db_copy_in *copy, int32_t value, struct err *err) {
    unsigned char bytes[4];
    wire_put_uint32((uint32_t)value, bytes);
    return put_field(copy, bytes, sizeof bytes, err);
}

bool db_copy_in_bool(struct db_copy_in *copy, bool value, struct err *err) {
    unsigned char byte = value ? 1 : 0;
    return put_field(copy, &byte, 1, err);
}

bool db_copy_in_decimal(struct db_copy_in *copy, struct decimal value, struct err *err) {
    unsigned char bytes[DB_NUMERIC_BYTES_MAX];
    return put_field(copy, bytes, wire_put_decimal(value, bytes), err);
}

bool db_copy_in_instant(struct db_copy_in *copy, struct instant value, struct err *err) {
    unsigned char bytes[8];
    wire_put_instant(value, bytes);
    return put_field(copy, bytes, sizeof bytes, err);
}

bool db_copy_in_date(struct db_copy_in *copy, int32_t days, struct err *err) {
    enum { EPOCH_DAYS = 10957 }; /* dates, too, count from 2000-01-01 */
    return db_copy_in_int32(copy, days - EPOCH_DAYS, err);
}

/* --- the end --------------------------------------------------------------------------------- */

static bool take_end(struct db_copy_in *copy, uint64_t *rows_count, struct err *err) {
    struct db *db = copy->db;
    bool is_done = true;
    for (;;) {
        PGresult *result = NULL;
        struct err later = {0};
        if (!db_next_result(db, copy->statement, &result, is_done ? err : &later)) {
            err_release(&later);
            return false;
        }
        if (result == NULL) {
            return is_done;
        }
        if (is_done && PQresultStatus(result) != PGRES_COMMAND_OK) {
            is_done = db_fail_result(db, copy->statement, result, err);
        }
        *rows_count = strtoull(PQcmdTuples(result), NULL, 10);
        PQclear(result);
    }
}

bool db_copy_in_finish(struct db_copy_in *copy, uint64_t *rows_count, struct err *err) {
    static const unsigned char trailer[2] = {0xFF, 0xFF};
    struct db *db = copy->db;
    int ended = 0;
    assert(copy->fields_left == 0);
    *rows_count = 0;
    if ((copy->is_binary && !put(copy, trailer, sizeof trailer, err)) || !send_buffer(copy, err)) {
        return false;
    }
    while ((ended = PQputCopyEnd(db->connection, NULL)) == 0) {
        if (!db_flush(db, copy->statement, err)) {
            return false;
        }
    }
    if (ended < 0) {
        return db_fail_connection(db, copy->statement, err);
    }
    if (!db_flush(db, copy->statement, err) || !take_end(copy, rows_count, err)) {
        return false;
    }
    buffer_release(&copy->buffer);
    copy->db = NULL;
    return true;
}

void db_copy_in_abort(struct db_copy_in *copy) {
    buffer_release(&copy->buffer);
    if (copy->db == NULL) {
        return;
    }
    if (!copy->db->is_lost && PQtransactionStatus(copy->db->connection) == PQTRANS_ACTIVE) {
        if (PQputCopyEnd(copy->db->connection, "given up") < 0) {
            copy->db->is_lost = true;
        }
        db_cancel(copy->db);
    }
    copy->db = NULL;
}
