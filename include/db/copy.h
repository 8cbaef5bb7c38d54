/*
 * COPY, in both directions.
 *
 * Out: rows of a statement "copy (select …) to stdout (format binary)", one at a time, their fields
 * where libpq has them (no copy per field). COPY takes no parameters: its statements read them with
 * current_setting, and a statement before has set them; or they have them as others do, and their
 * values are written in as literals (db_copy_out_begin_with), for the planner to see.
 *
 *     db_copy_out_begin(db, "extract/orgs.sql", columns_count, &copy, err)
 *     while (db_copy_out_next(&copy, &row, err) && row.fields != NULL) …
 *     db_copy_out_end(&copy, err)
 *
 * In: rows of fields for a statement "copy … from stdin (format binary)", or bytes as they are for
 * any other format.
 *
 *     db_copy_in_begin(db, "record/stage_overages.sql", &copy, err)
 *     db_copy_in_row(&copy, 3, err), db_copy_in_text(…), db_copy_in_decimal(…), db_copy_in_null(…)
 *     db_copy_in_finish(&copy, &rows_count, err)        or db_copy_in_abort(&copy)
 *
 * While a COPY is under way its connection can do nothing else. Errors as in db/db.h.
 */
#ifndef PERIODCLOSE_DB_COPY_H
#define PERIODCLOSE_DB_COPY_H

#include "db/db.h"

enum { DB_COPY_COLUMNS_MAX = 32 };

/* bytes NULL: the field is NULL. Numbers are big-endian, see db/wire.h. */
struct db_field {
    const unsigned char *bytes;
    uint32_t size_bytes;
};

struct db_copy_out {
    struct db *db;
    const char *statement;
    size_t columns_count;
    char *message; /* libpq's */
    const unsigned char *at;
    size_t left_bytes;
    uint64_t bytes_count; /* of the messages so far */
    bool is_gathered;     /* more is waited for at a time */
    bool is_begun;        /* the header was seen */
    bool is_ended;        /* the trailer was seen */
    struct db_field fields[DB_COPY_COLUMNS_MAX];
};

struct db_copy_row {
    const struct db_field *fields; /* columns_count of them; NULL: the end */
};

/* Another number of columns is ERR_DATABASE. */
bool db_copy_out_begin(struct db *db, const char *statement, size_t columns_count,
                       struct db_copy_out *copy, struct err *err);
/* params: texts, bigints, booleans, timestamptz; the statement says with a cast which. */
bool db_copy_out_begin_with(struct db *db, const char *statement, const struct db_params *params,
                            size_t columns_count, struct db_copy_out *copy, struct err *err);
/* The fields are valid until the next call. */
bool db_copy_out_next(struct db_copy_out *copy, struct db_copy_row *row, struct err *err);
/* After the last row: what the server says at the end. */
bool db_copy_out_end(struct db_copy_out *copy, struct err *err);
/* Instead of db_copy_out_end, before the last row or after a failure: cancels what is left. */
void db_copy_out_abort(struct db_copy_out *copy);

struct db_copy_in {
    struct db *db;
    const char *statement;
    struct buffer buffer;
    bool is_binary;  /* as the statement says */
    int fields_left; /* of the row */
};

bool db_copy_in_begin(struct db *db, const char *statement, struct db_copy_in *copy,
                      struct err *err);
/* Begins a row; exactly fields_count fields follow (asserted). */
bool db_copy_in_row(struct db_copy_in *copy, int fields_count, struct err *err);
bool db_copy_in_text(struct db_copy_in *copy, struct text value, struct err *err); /* and bytea */
bool db_copy_in_int64(struct db_copy_in *copy, int64_t value, struct err *err);
bool db_copy_in_int32(struct db_copy_in *copy, int32_t value, struct err *err);
bool db_copy_in_bool(struct db_copy_in *copy, bool value, struct err *err);
bool db_copy_in_decimal(struct db_copy_in *copy, struct decimal value, struct err *err);
bool db_copy_in_instant(struct db_copy_in *copy, struct instant value, struct err *err);
bool db_copy_in_date(struct db_copy_in *copy, int32_t days, struct err *err); /* from 1970-01-01 */
bool db_copy_in_null(struct db_copy_in *copy, struct err *err);
/* Bytes of a text or csv COPY, cut anywhere; not together with rows. */
bool db_copy_in_bytes(struct db_copy_in *copy, struct text bytes, struct err *err);
bool db_copy_in_finish(struct db_copy_in *copy, uint64_t *rows_count, struct err *err);
void db_copy_in_abort(struct db_copy_in *copy); /* the server forgets the rows; finished is fine */

#endif
