/*
 * Waiting for the server: never without end, and never deaf to a signal.
 *
 * libpq is driven without blocking: what it has to say is taken when the socket is ready, and
 * between two looks at the socket an interruption is noticed within a tenth of a second (a signal
 * may be taken by another thread, so that poll need not wake up).
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "db_internal.h"
#include "sys/clock.h"
#include "sys/process.h"

enum { SLICE_MS = 100 };

int64_t db_deadline(const struct db *db) {
    return db->silence_ms_max == 0 ? 0 : clock_monotonic_us(db->sys) + db->silence_ms_max * 1000;
}

void db_gather(struct db *db, bool is_gathered) {
    int bytes = is_gathered ? DB_GATHER_BYTES : 1;
    (void)setsockopt(PQsocket(db->connection), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

bool db_wait_socket(struct db *db, enum db_wait wait, int64_t deadline_us, bool *is_ready,
                    struct err *err) {
    short events = wait == DB_WAIT_READ    ? POLLIN
                   : wait == DB_WAIT_WRITE ? POLLOUT
                                           : (short)(POLLIN | POLLOUT);
    struct pollfd socket = {.fd = PQsocket(db->connection), .events = events};
    *is_ready = false;
    if (socket.fd < 0) {
        *is_ready = true; /* libpq says what is wrong when it is asked */
        return true;
    }
    while (!*is_ready) {
        if (!db->ignores_interrupts && !interrupt_check(err)) {
            return false;
        }
        int slice_ms = SLICE_MS;
        if (deadline_us != 0) {
            int64_t left_us = deadline_us - clock_monotonic_us(db->sys);
            if (left_us <= 0) {
                return true;
            }
            slice_ms = left_us < (int64_t)SLICE_MS * 1000 ? (int)(left_us / 1000) + 1 : SLICE_MS;
        }
        int count = poll(&socket, 1, slice_ms);
        *is_ready = count > 0 || (count < 0 && errno != EINTR);
    }
    return true;
}

/* One look: waits, and takes in what came. */
static bool take_in(struct db *db, enum db_wait wait, int64_t deadline_us, const char *what,
                    struct err *err) {
    bool is_ready;
    if (!db_wait_socket(db, wait, deadline_us, &is_ready, err)) {
        return false;
    }
    if (!is_ready) {
        return db_fail_silence(db, what, err);
    }
    return PQconsumeInput(db->connection) == 1 || db_fail_connection(db, what, err);
}

/* After an interruption: the statement is given up. Other errors pass. */
static bool end_wait(struct db *db, const struct err *err) {
    if (err->code == ERR_INTERRUPTED) {
        db_cancel(db);
    }
    return false;
}

bool db_flush(struct db *db, const char *what, struct err *err) {
    int64_t deadline_us = db_deadline(db);
    for (;;) {
        int left = PQflush(db->connection);
        if (left == 0) {
            return true;
        }
        if (left < 0) {
            return db_fail_connection(db, what, err);
        }
        if (!take_in(db, DB_WAIT_READ_OR_WRITE, deadline_us, what, err)) {
            return end_wait(db, err);
        }
    }
}

bool db_next_result(struct db *db, const char *what, PGresult **result, struct err *err) {
    int64_t deadline_us = db_deadline(db);
    while (PQisBusy(db->connection) == 1) {
        if (!take_in(db, DB_WAIT_READ, deadline_us, what, err)) {
            return end_wait(db, err);
        }
    }
    *result = PQgetResult(db->connection);
    return true;
}

/* --- giving up ------------------------------------------------------------------------------- */

static void ask_to_cancel(struct db *db) {
    char ignored[256];
    PGcancel *cancel = PQgetCancel(db->connection);
    if (cancel != NULL) {
        (void)PQcancel(cancel, ignored, (int)sizeof ignored);
        PQfreeCancel(cancel);
    }
}

/* Takes in what comes. A request that came before the statement began was lost on the server, and
 * is made again. */
static bool drain_input(struct db *db, int64_t deadline_us) {
    enum { ASK_AGAIN_US = 300000 };
    for (;;) {
        struct err ignored = {0};
        bool is_ready = false;
        int64_t now_us = clock_monotonic_us(db->sys);
        if (now_us >= deadline_us) {
            return false;
        }
        if (!db_wait_socket(db, DB_WAIT_READ, now_us + ASK_AGAIN_US, &is_ready, &ignored)) {
            err_release(&ignored);
            return false;
        }
        if (is_ready) {
            return PQconsumeInput(db->connection) == 1;
        }
        ask_to_cancel(db);
    }
}

static bool drain_copy(struct db *db, int64_t deadline_us) {
    char *message = NULL;
    int size_bytes;
    while ((size_bytes = PQgetCopyData(db->connection, &message, 1)) >= 0) {
        PQfreemem(message);
        message = NULL;
        if (size_bytes == 0 && !drain_input(db, deadline_us)) {
            return false;
        }
    }
    return size_bytes == -1;
}

/* Takes and drops results until there are no more, or the deadline is over. */
static bool drain(struct db *db, int64_t deadline_us) {
    for (;;) {
        while (PQisBusy(db->connection) == 1) {
            if (!drain_input(db, deadline_us)) {
                return false;
            }
        }
        PGresult *result = PQgetResult(db->connection);
        ExecStatusType status = PQresultStatus(result);
        PQclear(result);
        if (result == NULL) {
            return true;
        }
        if (status == PGRES_COPY_IN && PQputCopyEnd(db->connection, "given up") != 1) {
            return false;
        }
        if (status == PGRES_COPY_OUT && !drain_copy(db, deadline_us)) {
            return false;
        }
    }
}

void db_cancel(struct db *db) {
    bool ignored_interrupts = db->ignores_interrupts;
    if (db->is_lost) {
        return;
    }
    ask_to_cancel(db);
    db->ignores_interrupts = true;
    if (!drain(db, clock_monotonic_us(db->sys) + (int64_t)DB_CANCEL_WAIT_MS * 1000)) {
        db->is_lost = true;
    }
    db->ignores_interrupts = ignored_interrupts;
}
