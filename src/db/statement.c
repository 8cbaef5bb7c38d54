/* Statements, their parameters and results, transactions. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "db/sql.h"
#include "db/wire.h"
#include "db_internal.h"

/* --- parameters ------------------------------------------------------------------------------ */

static int add_param(struct db_params *params, unsigned type, const char *value,
                     size_t size_bytes) {
    int index = params->count;
    assert(index < DB_PARAMS_MAX);
    assert(size_bytes <= INT32_MAX);
    params->types[index] = type;
    params->values[index] = value;
    params->sizes[index] = (int)size_bytes;
    params->count++;
    return index;
}

/* Room for the value itself, which moves with the params: values[] is pointed at it when sent. */
static unsigned char *add_number(struct db_params *params, unsigned type, size_t size_bytes) {
    int index = add_param(params, type, NULL, size_bytes);
    return (unsigned char *)params->numbers[index];
}

void db_params_text(struct db_params *params, struct text value) {
    (void)add_param(params, DB_TYPE_TEXT, value.bytes != NULL ? value.bytes : "", value.size_bytes);
}

void db_params_bytes(struct db_params *params, struct text value) {
    (void)add_param(params, DB_TYPE_BYTEA, value.bytes != NULL ? value.bytes : "",
                    value.size_bytes);
}

void db_params_int64(struct db_params *params, int64_t value) {
    wire_put_uint64((uint64_t)value, add_number(params, DB_TYPE_INT8, 8));
}

void db_params_bool(struct db_params *params, bool value) {
    *add_number(params, DB_TYPE_BOOL, 1) = value ? 1 : 0;
}

void db_params_decimal(struct db_params *params, struct decimal value) {
    unsigned char *bytes = add_number(params, DB_TYPE_NUMERIC, 0);
    params->sizes[params->count - 1] = (int)wire_put_decimal(value, bytes);
}

void db_params_instant(struct db_params *params, struct instant value) {
    wire_put_instant(value, add_number(params, DB_TYPE_TIMESTAMPTZ, 8));
}

void db_params_null(struct db_params *params) {
    (void)add_param(params, 0, NULL, 0);
}

/* --- sending --------------------------------------------------------------------------------- */

static bool check_usable(struct db *db, const char *what, struct err *err) {
    db->state[0] = '\0';
    return !db->is_lost || db_fail_connection(db, what, err);
}

bool db_send(struct db *db, const char *statement, const struct db_params *params,
             struct err *err) {
    const struct sql_file *file = sql_find(statement);
    const char *values[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    int count = params != NULL ? params->count : 0;
    assert(file != NULL);
    if (!check_usable(db, statement, err)) {
        return false;
    }
    for (int index = 0; index < count; index++) {
        bool is_number = params->values[index] == NULL && params->sizes[index] > 0;
        values[index] = is_number ? params->numbers[index] : params->values[index];
        formats[index] = 1;
    }
    if (PQsendQueryParams(db->connection, file->text, count, params != NULL ? params->types : NULL,
                          values, params != NULL ? params->sizes : NULL, formats, 1) != 1) {
        return db_fail_connection(db, statement, err);
    }
    return db_flush(db, statement, err);
}

bool db_send_literally(struct db *db, const char *statement, const struct db_params *params,
                       struct err *err) {
    const struct sql_file *file = sql_find(statement);
    struct buffer text = {0};
    assert(file != NULL);
    bool is_done =
        check_usable(db, statement, err) && db_write_literals(db, file->text, params, &text, err);
    if (is_done &&
        PQsendQueryParams(db->connection, text.bytes, 0, NULL, NULL, NULL, NULL, 1) != 1) {
        is_done = db_fail_connection(db, statement, err);
    }
    buffer_release(&text);
    return is_done && db_flush(db, statement, err);
}

/* The first result of what was sent goes to *kept (NULL: dropped); all others must be fine. */
static bool collect(struct db *db, const char *what, PGresult **kept, struct err *err) {
    bool is_done = true;
    for (;;) {
        PGresult *result = NULL;
        struct err later = {0};
        if (!db_next_result(db, what, &result, is_done ? err : &later)) {
            err_release(&later);
            return false;
        }
        if (result == NULL) {
            return is_done;
        }
        ExecStatusType status = PQresultStatus(result);
        bool is_fine =
            status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
        if (is_done && !is_fine) {
            is_done = db_fail_result(db, what, result, err);
        }
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            PQclear(result);
            db->is_lost = true; /* only our own scripts could do that, and nobody goes on there */
            return false;
        }
        if (is_done && kept != NULL && *kept == NULL) {
            *kept = result;
        } else {
            PQclear(result);
        }
    }
}

bool db_run(struct db *db, const char *statement, const struct db_params *params,
            struct db_result *result, struct err *err) {
    PGresult *kept = NULL;
    assert(result == NULL || result->handle == NULL);
    if (!db_send(db, statement, params, err) || !collect(db, statement, &kept, err)) {
        PQclear(kept);
        return false;
    }
    if (result == NULL) {
        PQclear(kept);
        return true;
    }
    *result = (struct db_result){
        .handle = kept,
        .statement = statement,
        .rows_count = (size_t)PQntuples(kept),
        .columns_count = (size_t)PQnfields(kept),
        .affected_count = strtoull(PQcmdTuples(kept), NULL, 10),
    };
    return true;
}

bool db_run_script(struct db *db, const char *name, const char *commands, struct err *err) {
    if (!check_usable(db, name, err)) {
        return false;
    }
    if (PQsendQuery(db->connection, commands) != 1) {
        return db_fail_connection(db, name, err);
    }
    return db_flush(db, name, err) && collect(db, name, NULL, err);
}

/* --- results --------------------------------------------------------------------------------- */

void db_result_release(struct db_result *result) {
    PQclear(result->handle);
    *result = (struct db_result){0};
}

bool db_result_is_null(const struct db_result *result, size_t row, size_t column) {
    assert(row < result->rows_count && column < result->columns_count);
    return PQgetisnull(result->handle, (int)row, (int)column) == 1;
}

static struct text raw_value(const struct db_result *result, size_t row, size_t column) {
    assert(row < result->rows_count && column < result->columns_count);
    return (struct text){PQgetvalue(result->handle, (int)row, (int)column),
                         (size_t)PQgetlength(result->handle, (int)row, (int)column)};
}

static unsigned type_of(const struct db_result *result, size_t column) {
    return PQftype(result->handle, (int)column);
}

static bool fail_value(const struct db_result *result, size_t column, const char *reason,
                       struct err *err) {
    (void)err_set(err, ERR_DATABASE, "%s: column '%s' %s", result->statement,
                  PQfname(result->handle, (int)column), reason);
    return err_hint(err, "the schema is not the one of this version: see what was changed in it, "
                         "and apply the migrations with: periodclose migrate --database CONNINFO");
}

bool db_result_text(const struct db_result *result, size_t row, size_t column, struct text *value,
                    struct err *err) {
    unsigned type = type_of(result, column);
    *value = raw_value(result, row, column);
    return type == DB_TYPE_TEXT || type == DB_TYPE_VARCHAR || type == DB_TYPE_NAME ||
           type == DB_TYPE_BYTEA || fail_value(result, column, "is no text", err);
}

bool db_result_int64(const struct db_result *result, size_t row, size_t column, int64_t *value,
                     struct err *err) {
    struct text raw = raw_value(result, row, column);
    const unsigned char *bytes = (const unsigned char *)raw.bytes;
    unsigned type = type_of(result, column);
    *value = 0;
    if (type != DB_TYPE_INT8 && type != DB_TYPE_INT4 && type != DB_TYPE_INT2) {
        return fail_value(result, column, "is no integer", err);
    }
    if (raw.size_bytes == 8) {
        *value = (int64_t)wire_uint64(bytes);
    } else if (raw.size_bytes == 4) {
        *value = (int32_t)wire_uint32(bytes);
    } else if (raw.size_bytes == 2) {
        *value = (int16_t)wire_uint16(bytes);
    }
    return true;
}

bool db_result_bool(const struct db_result *result, size_t row, size_t column, bool *value,
                    struct err *err) {
    struct text raw = raw_value(result, row, column);
    *value = raw.size_bytes == 1 && raw.bytes[0] != 0;
    return type_of(result, column) == DB_TYPE_BOOL ||
           fail_value(result, column, "is no boolean", err);
}

bool db_result_decimal(const struct db_result *result, size_t row, size_t column,
                       struct decimal *value, struct err *err) {
    struct text raw = raw_value(result, row, column);
    *value = DECIMAL_ZERO;
    if (type_of(result, column) != DB_TYPE_NUMERIC) {
        return fail_value(result, column, "is no numeric", err);
    }
    if (db_result_is_null(result, row, column)) {
        return true;
    }
    enum decimal_fault fault =
        wire_decimal((const unsigned char *)raw.bytes, raw.size_bytes, value);
    return fault == DECIMAL_OK || fail_value(result, column, decimal_fault_text(fault), err);
}

bool db_result_instant(const struct db_result *result, size_t row, size_t column,
                       struct instant *value, struct err *err) {
    struct text raw = raw_value(result, row, column);
    *value = (struct instant){0};
    if (type_of(result, column) != DB_TYPE_TIMESTAMPTZ) {
        return fail_value(result, column, "is no timestamptz", err);
    }
    if (raw.size_bytes != 8) {
        return true;
    }
    const char *reason = wire_instant((const unsigned char *)raw.bytes, value);
    return reason == NULL || fail_value(result, column, reason, err);
}

/* --- transactions ---------------------------------------------------------------------------- */

bool db_begin(struct db *db, const char *modes, struct err *err) {
    char command[160];
    int length = snprintf(command, sizeof command, "begin transaction %s", modes);
    assert(length > 0 && (size_t)length < sizeof command);
    return db_run_script(db, "begin", command, err);
}

bool db_commit(struct db *db, struct err *err) {
    if (!db->is_lost && PQtransactionStatus(db->connection) == PQTRANS_INERROR) {
        /* COMMIT would answer ROLLBACK, without an error. */
        db_rollback(db);
        return err_set(err, ERR_DATABASE, "%s: commit: a statement of the transaction has failed",
                       db->description);
    }
    db->ignores_interrupts = true;
    bool is_done = db_run_script(db, "commit", "commit", err);
    db->ignores_interrupts = false;
    return is_done;
}

void db_rollback(struct db *db) {
    struct err ignored = {0};
    if (db->is_lost || PQtransactionStatus(db->connection) == PQTRANS_IDLE) {
        return;
    }
    db->ignores_interrupts = true;
    if (!db_run_script(db, "rollback", "rollback", &ignored)) {
        db->is_lost = true; /* closing it rolls back, too */
    }
    db->ignores_interrupts = false;
    err_release(&ignored);
}
