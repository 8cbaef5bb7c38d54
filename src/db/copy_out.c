/*
 * COPY … TO STDOUT (FORMAT binary), row by row.
 *
 * A message of the server holds one row; the first one begins with the format's header, the last
 * one is the trailer. Neither is promised by the protocol, so rows are taken from messages as they
 * come, but a row that is cut by the end of a message is told as damage.
 */
#include <assert.h>

#include "db/copy.h"
#include "db/wire.h"
#include "db_internal.h"
#include "sys/clock.h"

enum { SIGNATURE_BYTES = 11, HEADER_BYTES = SIGNATURE_BYTES + 8 };

enum { GATHER_FROM_BYTES = 1024 * 1024 }; /* a COPY that has brought as much is a long one */

static const char signature[SIGNATURE_BYTES + 1] = "PGCOPY\n\377\r\n";

static bool fail_format(struct db_copy_out *copy, const char *reason, struct err *err) {
    (void)err_set(err, ERR_DATABASE, "%s: %s: %s", copy->db->description, copy->statement, reason);
    return err_hint(err, "see what stands between this program and the server");
}

bool db_copy_out_begin_with(struct db *db, const char *statement, const struct db_params *params,
                            size_t columns_count, struct db_copy_out *copy, struct err *err) {
    PGresult *result = NULL;
    assert(columns_count <= DB_COPY_COLUMNS_MAX);
    *copy = (struct db_copy_out){.db = db, .statement = statement, .columns_count = columns_count};
    if (!(params == NULL ? db_send(db, statement, NULL, err)
                         : db_send_literally(db, statement, params, err)) ||
        !db_next_result(db, statement, &result, err)) {
        return false;
    }
    bool is_begun = PQresultStatus(result) == PGRES_COPY_OUT;
    if (!is_begun) {
        (void)db_fail_result(db, statement, result, err);
        PQclear(result);
        db_cancel(db); /* takes the rest of the answer */
        return false;
    }
    bool is_binary = PQbinaryTuples(result) == 1;
    PQclear(result);
    if (!is_binary) {
        db_cancel(db);
        return fail_format(copy, "is no binary copy", err);
    }
    return true;
}

bool db_copy_out_begin(struct db *db, const char *statement, size_t columns_count,
                       struct db_copy_out *copy, struct err *err) {
    return db_copy_out_begin_with(db, statement, NULL, columns_count, copy, err);
}

/* Waits for more, and takes it in. deadline_us 0: set by the first wait for a message. */
static bool take_in(struct db_copy_out *copy, int64_t *deadline_us, struct err *err) {
    struct db *db = copy->db;
    bool is_ready;
    if (!copy->is_gathered && copy->bytes_count >= GATHER_FROM_BYTES) {
        db_gather(db, true);
        copy->is_gathered = true;
    }
    *deadline_us = *deadline_us == 0 ? db_deadline(db) : *deadline_us;
    int64_t until_us = *deadline_us;
    int64_t now_us = clock_monotonic_us(db->sys);
    bool asks_again = copy->is_gathered && (until_us == 0 || until_us > now_us + DB_GATHER_US);
    until_us = asks_again ? now_us + DB_GATHER_US : until_us;
    if (!db_wait_socket(db, DB_WAIT_READ, until_us, &is_ready, err)) {
        return false;
    }
    if (!is_ready && !asks_again) {
        return db_fail_silence(db, copy->statement, err);
    }
    return PQconsumeInput(db->connection) == 1 || db_fail_connection(db, copy->statement, err);
}

static void let_go(struct db_copy_out *copy) {
    if (copy->is_gathered) {
        db_gather(copy->db, false);
        copy->is_gathered = false;
    }
}

/* The next message; copy->message NULL at the end. */
static bool next_message(struct db_copy_out *copy, struct err *err) {
    struct db *db = copy->db;
    int64_t deadline_us = 0;
    int size_bytes;
    PQfreemem(copy->message);
    copy->message = NULL;
    while ((size_bytes = PQgetCopyData(db->connection, &copy->message, 1)) == 0) {
        if (!take_in(copy, &deadline_us, err)) {
            return false;
        }
    }
    if (size_bytes == -2) {
        return db_fail_connection(db, copy->statement, err);
    }
    copy->at = (const unsigned char *)copy->message;
    copy->left_bytes = size_bytes > 0 ? (size_t)size_bytes : 0;
    copy->bytes_count += copy->left_bytes;
    return true;
}

static bool take_header(struct db_copy_out *copy, struct err *err) {
    if (copy->left_bytes < HEADER_BYTES || memcmp(copy->at, signature, SIGNATURE_BYTES) != 0) {
        return fail_format(copy, "the copy does not begin as one", err);
    }
    size_t extension_bytes = wire_uint32(copy->at + SIGNATURE_BYTES + 4);
    if (extension_bytes > copy->left_bytes - HEADER_BYTES) {
        return fail_format(copy, "the copy's head is cut", err);
    }
    copy->at += HEADER_BYTES + extension_bytes;
    copy->left_bytes -= HEADER_BYTES + extension_bytes;
    copy->is_begun = true;
    return true;
}

static bool take_fields(struct db_copy_out *copy, struct err *err) {
    const unsigned char *at = copy->at;
    const unsigned char *end = at + copy->left_bytes;
    for (size_t index = 0; index < copy->columns_count; index++) {
        if (end - at < 4) {
            return fail_format(copy, "a row is cut", err);
        }
        uint32_t size_bytes = wire_uint32(at);
        at += 4;
        if (size_bytes == UINT32_MAX) {
            copy->fields[index] = (struct db_field){NULL, 0};
            continue;
        }
        if (size_bytes > (size_t)(end - at)) {
            return fail_format(copy, "a row is cut", err);
        }
        copy->fields[index] = (struct db_field){at, size_bytes};
        at += size_bytes;
    }
    copy->at = at;
    copy->left_bytes = (size_t)(end - at);
    return true;
}

bool db_copy_out_next(struct db_copy_out *copy, struct db_copy_row *row, struct err *err) {
    row->fields = NULL;
    while (!copy->is_ended) {
        while (copy->left_bytes == 0) {
            if (!next_message(copy, err)) {
                return false;
            }
            if (copy->message == NULL) {
                /* Without the trailer the server broke off: db_copy_out_end says why. */
                copy->is_ended = true;
                return true;
            }
            if (!copy->is_begun && !take_header(copy, err)) {
                return false;
            }
        }
        if (copy->left_bytes < 2) {
            return fail_format(copy, "a row is cut", err);
        }
        uint16_t count = wire_uint16(copy->at);
        copy->at += 2;
        copy->left_bytes -= 2;
        if (count == UINT16_MAX) {
            copy->left_bytes = 0; /* the trailer; the end of the messages follows */
            continue;
        }
        if (count != copy->columns_count) {
            return fail_format(copy, "a row has another number of columns than its statement", err);
        }
        row->fields = copy->fields;
        return take_fields(copy, err);
    }
    return true;
}

bool db_copy_out_end(struct db_copy_out *copy, struct err *err) {
    struct db *db = copy->db;
    bool is_done = true;
    assert(copy->is_ended);
    let_go(copy);
    PQfreemem(copy->message);
    copy->message = NULL;
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
        PQclear(result);
    }
}

void db_copy_out_abort(struct db_copy_out *copy) {
    PQfreemem(copy->message);
    copy->message = NULL;
    let_go(copy);
    if (copy->db != NULL && PQtransactionStatus(copy->db->connection) == PQTRANS_ACTIVE) {
        db_cancel(copy->db);
    }
}
