/*
 * API keys: from the environment (NAME), a file named there (NAME_FILE), or systemd's credentials
 * ($CREDENTIALS_DIRECTORY/NAME), in this order. They never come from the command line, and stand in
 * no message. Once one is read, the process can be dumped and traced no more.
 */
#ifndef PERIODCLOSE_EMIT_SECRET_H
#define PERIODCLOSE_EMIT_SECRET_H

#include "core/err.h"
#include "sys/sys.h"

enum { SECRET_BYTES_MAX = 256 };

struct secret {
    char text[SECRET_BYTES_MAX]; /* empty: none */
};

/*
 * ERR_USAGE when there is none, when its file cannot be read (the variable and the path are named),
 * or when it is no key (spaces, control bytes, too long).
 */
bool secret_load(const struct sys *sys, const char *name, struct secret *secret, struct err *err);
void secret_clear(struct secret *secret);

#endif
