/*
 * Errors are values.
 *
 * A fallible function returns bool and takes a struct err last. true leaves it untouched; false
 * means that it was filled exactly once: code, message, perhaps a hint and details. The code is
 * the exit status of the program (DESIGN.md section 7). Only main prints an error.
 *
 *     struct err err = {0};
 *     if (!table_open(path, &table, &err)) {
 *         return err_wrap(&err, "resuming stage '%s'", stage->name);
 *     }
 *
 * Messages are lower case without a full stop: the object, then the reason; where two values
 * disagree, both. A message that does not fit is cut at ERR_MESSAGE_MAX bytes, never an overflow.
 * details is an optional heap text of whole lines (a list of bad rows); err_release frees it.
 */
#ifndef PERIODCLOSE_CORE_ERR_H
#define PERIODCLOSE_CORE_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum err_code {
    ERR_NONE = 0,
    ERR_DIFFERENT = 1,    /* diff found differences: a result, not a failure */
    ERR_USAGE = 2,        /* the command line */
    ERR_SET_ASIDE = 4,    /* done, but orgs were set aside or items held */
    ERR_INPUT = 10,       /* the input is bad */
    ERR_LOCKED = 11,      /* another run holds the lock */
    ERR_DAMAGED = 12,     /* state on disk is torn, edited or foreign */
    ERR_MISMATCH = 13,    /* state belongs to other inputs */
    ERR_CONTROL = 14,     /* control totals or verification do not agree */
    ERR_DRIFT = 15,       /* drift between us and the other side */
    ERR_DATABASE = 20,    /* PostgreSQL */
    ERR_REFUSED = 21,     /* Stripe or Dodo refused */
    ERR_UNKNOWN = 22,     /* sent, outcome unknown */
    ERR_CONTENT = 23,     /* exists with other content */
    ERR_FILE = 30,        /* file system */
    ERR_MEMORY = 31,      /* memory */
    ERR_RANGE = 32,       /* number out of range */
    ERR_INTERRUPTED = 40, /* stopped by a signal, resumable */
};

enum { ERR_MESSAGE_MAX = 1024, ERR_HINT_MAX = 512 };

struct err {
    enum err_code code;
    char message[ERR_MESSAGE_MAX];
    char hint[ERR_HINT_MAX]; /* the remedy, without the word "hint"; empty for none */
    char *details;           /* owned; whole lines; NULL for none */
};

/* Fills err and returns false, so that a caller can write: return err_set(err, …). */
bool err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message, keeps code, hint and details. Returns false. */
bool err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the hint of an error already set. Returns false. */
bool err_hint(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The usual out-of-memory error. Returns false. */
bool err_memory(struct err *err, size_t size_bytes);

/* Gives details (mem_alloc'd, whole lines) to err, which owns it from now on. */
void err_take_details(struct err *err, char *details);

/* Frees what err owns and makes it empty again. */
void err_release(struct err *err);

#endif
