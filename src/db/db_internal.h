/* Inside of the database module: the connection, and waiting for it. */
#ifndef PERIODCLOSE_SRC_DB_DB_INTERNAL_H
#define PERIODCLOSE_SRC_DB_DB_INTERNAL_H

#include <libpq-fe.h>

#include "db/db.h"

enum {
    DB_DESCRIPTION_MAX = 512,
    DB_IDENTITY_MAX = 160,
    DB_SILENCE_GRACE_MS = 30000,
    DB_CANCEL_WAIT_MS = 5000,
    DB_TIMEOUT_DEFAULT_MS = 3600000,
    DB_GATHER_BYTES = 64 * 1024, /* of a long COPY, before it is taken in: stays in the cache */
    DB_GATHER_US = 5000,         /* but no longer than that */
};

struct db {
    const struct sys *sys;
    PGconn *connection;
    char description[DB_DESCRIPTION_MAX];
    char identity[DB_IDENTITY_MAX];
    char state[DB_STATE_BYTES];
    int64_t silence_ms_max; /* how long an answer may take; 0: for ever */
    int64_t server_version;
    bool is_standby;
    bool is_lost;
    bool ignores_interrupts; /* in commit and rollback */
};

/* Oids of the types that are sent and read: fixed for ever, from PostgreSQL's pg_type.dat. */
enum db_type {
    DB_TYPE_BOOL = 16,
    DB_TYPE_BYTEA = 17,
    DB_TYPE_NAME = 19,
    DB_TYPE_INT8 = 20,
    DB_TYPE_INT2 = 21,
    DB_TYPE_INT4 = 23,
    DB_TYPE_TEXT = 25,
    DB_TYPE_VARCHAR = 1043,
    DB_TYPE_TIMESTAMPTZ = 1184,
    DB_TYPE_NUMERIC = 1700,
};

/* --- wait.c --- */

/* Until the socket can be read, or also written, or the deadline (monotonic; 0: none) is over. */
enum db_wait { DB_WAIT_READ, DB_WAIT_READ_OR_WRITE, DB_WAIT_WRITE };
bool db_wait_socket(struct db *db, enum db_wait wait, int64_t deadline_us, bool *is_ready,
                    struct err *err);
/*
 * From now on what comes is ready to be read once so much is there: the server sends eight
 * kilobytes at a time, and a switch between the two for each of them costs both more than it
 * brings. A socket that cannot is fine. Whoever waits then asks again after DB_GATHER_US: the end
 * may be shorter.
 */
void db_gather(struct db *db, bool is_gathered);
int64_t db_deadline(const struct db *db); /* of an answer that is asked for now */
/* Sends what libpq still holds. */
bool db_flush(struct db *db, const char *what, struct err *err);
/*
 * The next result of what was sent; NULL when there is no more. An interruption cancels the
 * statement, waits for the server's word, and is ERR_INTERRUPTED.
 */
bool db_next_result(struct db *db, const char *what, PGresult **result, struct err *err);
/* Cancels what runs and takes all it still says; the connection is lost where that does not end. */
void db_cancel(struct db *db);

/* --- error.c --- */

/* Notes the SQLSTATE and tells the failure of a statement, or of the connection. Returns false. */
bool db_fail_result(struct db *db, const char *what, const PGresult *result, struct err *err);
bool db_fail_connection(struct db *db, const char *what, struct err *err);
bool db_fail_silence(struct db *db, const char *what, struct err *err);
/* Fills err for a connection that could not be made; message is libpq's, with SQLSTATEs in it. */
bool db_fail_open(const char *description, const char *message, bool needs_password,
                  struct err *err);

/* --- statement.c --- */

/* Sends a file of sql/, which exists (asserted); binary results. */
bool db_send(struct db *db, const char *statement, const struct db_params *params, struct err *err);
/* The same with the values of its parameters in it, for what takes none. */
bool db_send_literally(struct db *db, const char *statement, const struct db_params *params,
                       struct err *err);

/* --- literals.c --- */

/*
 * A statement's text, terminated, with a literal for each of its parameters: text, bigint, boolean,
 * timestamptz (others are asserted not to be there).
 */
bool db_write_literals(struct db *db, const char *statement, const struct db_params *params,
                       struct buffer *result, struct err *err);

#endif
