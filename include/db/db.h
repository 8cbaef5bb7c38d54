/*
 * PostgreSQL, by libpq: connections, statements with parameters, results, transactions.
 *
 *     struct db *db;
 *     db_open(sys, &(struct db_options){.conninfo = conninfo, .role = DB_ROLE_CLOSE}, &db, err)
 *     db_begin(db, "isolation level repeatable read", err)
 *     struct db_params params = {0};
 *     db_params_text(&params, org_id);
 *     db_params_decimal(&params, quantity);
 *     db_run(db, "record/mark_period.sql", &params, &result, err) … db_result_release(&result)
 *     db_commit(db, err)
 *     db_close(db)
 *
 * A statement is a file under sql/, built into the program (db/sql.h) and run by its name; values
 * travel as parameters only. One connection serves one thread at a time. Bulk data: db/copy.h.
 *
 * Failures are ERR_DATABASE: what was done, what the server said, and as a hint what to do. The
 * password is in no message. A lost connection (db_is_lost) fails everything after it; the caller
 * opens a new one. While a connection waits, SIGINT and SIGTERM cancel the statement and end it
 * with ERR_INTERRUPTED, except in db_commit and db_rollback. Nothing waits for ever: connecting is
 * bounded by connect_timeout, a statement by the server's statement_timeout and, should the server
 * fall silent, by that and half a minute; keepalives find a dead peer. Notices are not shown.
 */
#ifndef PERIODCLOSE_DB_DB_H
#define PERIODCLOSE_DB_DB_H

#include "core/decimal.h"
#include "core/err.h"
#include "core/instant.h"
#include "core/text.h"
#include "sys/sys.h"

struct db;

enum { DB_SERVER_VERSION_MIN = 150000, DB_STATE_BYTES = 6 };

/* The role of the job: taken with SET ROLE by a login that is a member of it. */
#define DB_ROLE_CLOSE "billing_close"

struct db_options {
    const char *conninfo; /* key=value pairs or a URI; NULL or empty: libpq's own environment */
    const char *role;     /* taken where the login is a member of it; NULL: stay who we are */
    int64_t statement_timeout_ms; /* 0: an hour; what the login or conninfo sets stands */
    /*
     * Row security may not filter silently: what a policy would hide is an error instead. For
     * everybody who reads all orgs.
     */
    bool sees_all_rows;
};

bool db_open(const struct sys *sys, const struct db_options *options, struct db **db,
             struct err *err);
void db_close(struct db *db); /* NULL is fine; an open transaction is rolled back by the server */

bool db_is_lost(const struct db *db);
/* From now on a pending SIGINT or SIGTERM does not keep it from its work: to tidy up after one. */
void db_finish_in_peace(struct db *db);
bool db_is_standby(const struct db *db); /* reads only */
int64_t db_server_version(const struct db *db);
/* "database 'billing' at db1:5432 as 'closer'", for people; no password. */
const char *db_description(const struct db *db);
/*
 * What identifies the database whatever host, port or user reaches it: "NAME of cluster ID". The
 * same on a standby of it.
 */
const char *db_identity(const struct db *db);
/* The SQLSTATE of the last failed statement ("23505"), empty when it had none. */
const char *db_state(const struct db *db);

/* conninfo is well formed (ERR_USAGE otherwise, without repeating it), and holds a password? */
bool db_conninfo_check(const char *conninfo, bool *has_password, struct err *err);
/* conninfo without its password, as key=value pairs: to be kept in a manifest. */
bool db_conninfo_without_password(const char *conninfo, struct buffer *text, struct err *err);

/* --- parameters: the n-th call sets $n ----------------------------------------------------------
 */

enum { DB_PARAMS_MAX = 32, DB_NUMERIC_BYTES_MAX = 32 };

/* Zero-initialise. Texts are not copied: they must live until the statement was run. */
struct db_params {
    int count;
    unsigned types[DB_PARAMS_MAX];
    const char *values[DB_PARAMS_MAX];
    int sizes[DB_PARAMS_MAX];
    char numbers[DB_PARAMS_MAX][DB_NUMERIC_BYTES_MAX];
};

void db_params_text(struct db_params *params, struct text value);
void db_params_bytes(struct db_params *params, struct text value); /* bytea */
void db_params_int64(struct db_params *params, int64_t value);     /* bigint */
void db_params_bool(struct db_params *params, bool value);
void db_params_decimal(struct db_params *params, struct decimal value); /* numeric */
void db_params_instant(struct db_params *params, struct instant value); /* timestamptz */
void db_params_null(struct db_params *params); /* of the type that the statement asks for */

/* --- running ------------------------------------------------------------------------------------
 */

/* Zero-initialise; released with db_result_release, also when empty. */
struct db_result {
    void *handle;
    const char *statement; /* its name, for messages */
    size_t rows_count;
    size_t columns_count;
    uint64_t affected_count; /* rows written, or rows returned */
};

/* params and result may be NULL. A result must have been released. */
bool db_run(struct db *db, const char *statement, const struct db_params *params,
            struct db_result *result, struct err *err);
/* Commands that are no file (a migration; several, separated by semicolons). name: for messages. */
bool db_run_script(struct db *db, const char *name, const char *commands, struct err *err);
void db_result_release(struct db_result *result);

/*
 * Values by row and column. A NULL: db_result_is_null; the others then give an empty text, 0,
 * false. A column of another type than asked for, and a numeric that is no decimal (NaN, too long),
 * are ERR_DATABASE.
 */
bool db_result_is_null(const struct db_result *result, size_t row, size_t column);
bool db_result_text(const struct db_result *result, size_t row, size_t column, struct text *value,
                    struct err *err); /* text, varchar, name, bytea; valid until released */
bool db_result_int64(const struct db_result *result, size_t row, size_t column, int64_t *value,
                     struct err *err); /* smallint, integer, bigint */
bool db_result_bool(const struct db_result *result, size_t row, size_t column, bool *value,
                    struct err *err);
bool db_result_decimal(const struct db_result *result, size_t row, size_t column,
                       struct decimal *value, struct err *err);
bool db_result_instant(const struct db_result *result, size_t row, size_t column,
                       struct instant *value, struct err *err);

/* --- transactions -------------------------------------------------------------------------------
 */

/* modes: what follows "begin transaction" ("isolation level repeatable read read only"); may be "".
 */
bool db_begin(struct db *db, const char *modes, struct err *err);
/*
 * After a failure it is unknown whether the transaction was committed when db_is_lost; otherwise it
 * was rolled back.
 */
bool db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db); /* fine without a transaction, and on a lost connection */

#endif
