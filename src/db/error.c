/*
 * What went wrong, in words: the statement, what the server said, and what to do about it.
 *
 * A SQLSTATE decides the hint, never a message: those are translated. Of a connection that could
 * not be made libpq gives no SQLSTATE, but writes it into its message when asked to (connect.c
 * does).
 */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "db_internal.h"
#include "sys/process.h"

struct advice {
    const char *state; /* a SQLSTATE, or its first two characters: the class */
    const char *hint;
};

#define HINT_AGAIN "type the same command again: it goes on where it stopped"
#define HINT_MIGRATE                                                                               \
    "the schema is not the one of this version: apply the migrations with: periodclose migrate "   \
    "--database CONNINFO"
#define HINT_LOGIN                                                                                 \
    "check user and password: --database names the user; the password comes from ~/.pgpass "       \
    "(PGPASSFILE) or PGPASSWORD, not from the command line"

/* The first row that fits counts. */
static const struct advice advice_table[] = {
    {"28P01", HINT_LOGIN},
    {"28", HINT_LOGIN "; the server's pg_hba.conf must let the user in"},
    {"3D000", "name the database: --database 'dbname=…'; it is made with createdb, its schema "
              "with: periodclose migrate"},
    {"53300", "the server has no connection left: lower --jobs, or raise max_connections"},
    {"53100", "the server's disk is full; make room, then " HINT_AGAIN},
    {"53", "the server lacks resources; relieve it, then " HINT_AGAIN},
    {"22021", HINT_MIGRATE},
    {"22P03", HINT_MIGRATE},
    {"42P01", HINT_MIGRATE},
    {"42703", HINT_MIGRATE},
    {"42883", HINT_MIGRATE},
    {"42804", HINT_MIGRATE},
    {"42846", HINT_MIGRATE},
    {"3F000", HINT_MIGRATE},
    {"42501", "the job needs the rights of the role billing_close: grant billing_close to the user "
              "that --database names"},
    {"25006", "the server only reads (a standby, or default_transaction_read_only): name the "
              "primary with --database"},
    {"57014", "it was cancelled, or took longer than statement_timeout: raise it with --database "
              "\"… options='-c statement_timeout=2h'\", then " HINT_AGAIN},
    {"57", HINT_AGAIN},
    {"08", HINT_AGAIN},
    {"40", "another session was in the way; " HINT_AGAIN},
    {"55P03", "another session holds what is needed; wait for it, then " HINT_AGAIN},
    {"25P03", HINT_AGAIN},
};

static const char *find_hint(const char *state) {
    for (size_t index = 0; index < sizeof advice_table / sizeof *advice_table; index++) {
        const struct advice *advice = &advice_table[index];
        if (strncmp(state, advice->state, strlen(advice->state)) == 0) {
            return advice->hint;
        }
    }
    return NULL;
}

/* One line of at most size_bytes - 1 bytes, without the line end that libpq leaves. */
static void flatten(const char *message, char *line, size_t size_bytes) {
    size_t used = 0;
    for (const char *at = message; *at != '\0' && used + 1 < size_bytes; at++) {
        bool is_space = isspace((unsigned char)*at) != 0;
        if (!is_space || (used > 0 && line[used - 1] != ' ')) {
            line[used] = *at;
            if (is_space) {
                line[used] = ' ';
            }
            used++;
        }
    }
    while (used > 0 && line[used - 1] == ' ') {
        used--;
    }
    line[used] = '\0';
}

static void note_state(struct db *db, const char *state) {
    (void)snprintf(db->state, sizeof db->state, "%s", state != NULL ? state : "");
}

/* The connection is of no use any more: the server said so, or libpq. */
static bool is_lost_state(const char *state) {
    return strncmp(state, "08", 2) == 0 || strcmp(state, "57P01") == 0 ||
           strcmp(state, "57P02") == 0 || strcmp(state, "57P05") == 0 ||
           strcmp(state, "25P03") == 0;
}

bool db_fail_result(struct db *db, const char *what, const PGresult *result, struct err *err) {
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    note_state(db, PQresultErrorField(result, PG_DIAG_SQLSTATE));
    if (primary == NULL || db->state[0] == '\0') {
        /* libpq's own word, not the server's: the connection broke. */
        return db_fail_connection(db, what, err);
    }
    if (is_lost_state(db->state) || PQstatus(db->connection) == CONNECTION_BAD) {
        db->is_lost = true;
    }
    if (strcmp(db->state, "57014") == 0 && !db->ignores_interrupts && interrupt_pending()) {
        return interrupt_check(err);
    }
    (void)err_set(err, ERR_DATABASE, "%s: %s: %s%s%.300s%s (SQLSTATE %s)", db->description, what,
                  primary, detail != NULL ? " (" : "", detail != NULL ? detail : "",
                  detail != NULL ? ")" : "", db->state);
    const char *hint = find_hint(db->state);
    const char *theirs = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    /* A right that is missing is also what our own functions refuse with, saying what to do. */
    bool is_theirs = theirs != NULL && (hint == NULL || strcmp(db->state, "42501") == 0);
    if (is_theirs || hint != NULL) {
        return err_hint(err, "%s", is_theirs ? theirs : hint);
    }
    return false;
}

bool db_fail_connection(struct db *db, const char *what, struct err *err) {
    char line[400];
    db->is_lost = true;
    note_state(db, "08006");
    flatten(PQerrorMessage(db->connection), line, sizeof line);
    (void)err_set(err, ERR_DATABASE, "%s: %s: the connection was lost%s%s", db->description, what,
                  line[0] != '\0' ? ": " : "", line);
    return err_hint(err, "%s", HINT_AGAIN);
}

bool db_fail_silence(struct db *db, const char *what, struct err *err) {
    db->is_lost = true;
    note_state(db, "08006");
    (void)err_set(err, ERR_DATABASE, "%s: %s: the server has said nothing for %lld s",
                  db->description, what, (long long)(db->silence_ms_max / 1000));
    return err_hint(err, "see whether server and network are alive, then " HINT_AGAIN);
}

/* The last "FATAL:  28P01: …" in a message; NULL when there is none. */
static const char *find_state(const char *message) {
    const char *found = NULL;
    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        size_t length = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (length == DB_STATE_BYTES - 1 && at[3 + length] == ':') {
            found = at + 3;
        }
    }
    return found;
}

bool db_fail_open(const char *description, const char *message, bool needs_password,
                  struct err *err) {
    char line[600];
    char shown[600];
    (void)snprintf(shown, sizeof shown, "%s", message);
    /* The place in the server's source, which comes with SQLSTATEs, helps nobody here. */
    for (char *at = strstr(shown, "\nLOCATION:"); at != NULL; at = strstr(at, "\nLOCATION:")) {
        char *end = strchr(at + 1, '\n');
        size_t rest = end != NULL ? strlen(end) + 1 : 1;
        memmove(at, end != NULL ? end : "", rest);
    }
    flatten(shown, line, sizeof line);
    const char *state = find_state(message);
    (void)err_set(err, ERR_DATABASE, "cannot connect to %s: %s", description, line);
    const char *hint = state != NULL ? find_hint(state) : NULL;
    if (hint == NULL && needs_password) {
        hint = HINT_LOGIN;
    }
    return err_hint(err, "%s",
                    hint != NULL
                        ? hint
                        : "see whether the server runs and can be reached, and check host, "
                          "port and dbname in --database");
}
