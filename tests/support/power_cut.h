/*
 * Simulates a power cut: a struct sys over the real one that remembers what the disk does not yet
 * have for sure, and can take it away again. fault_sys.h uses it; tests use fault_sys.h.
 *
 * What counts as on disk:
 *   - bytes of a file: after an fsync of that file (through any of its descriptors);
 *   - a name (created, renamed, linked, removed; files and folders): after an fsync of the folder
 *     that holds it. A rename counts with the folder it moved to.
 * fsync itself is only noted, not passed on to the disk: no real power fails here, and loops of
 * thousands of runs stay fast.
 *
 * power_cut takes the rest away, newest name first:
 *   - unsynced bytes are dropped (the file is again what it was at its last fsync), or torn: up to
 *     the middle of what changed the file is new, from there on it is old, or ends;
 *   - unsynced names are undone: a created file or link vanishes, a folder vanishes with all in it,
 *     a rename is reversed and the file it replaced is back, a removed file or folder is back.
 * A file that comes back is a copy: its hard links are not joined again. Symbolic links and other
 * things that are no regular files do not come back.
 *
 * Names under one of the paths in may_be_lost (a NULL-terminated list, or NULL) are not looked
 * after. Each unsynced file and each replaced or removed one takes a descriptor; what goes past the
 * limits (UNSYNCED_FILES_MAX, POWER_NAMES_MAX) stops the program with a message.
 *
 * Changes are made one at a time under a mutex, so that several threads may use it.
 */
#ifndef PERIODCLOSE_TESTS_SUPPORT_POWER_CUT_H
#define PERIODCLOSE_TESTS_SUPPORT_POWER_CUT_H

#include "sys/sys.h"

enum { POWER_NAMES_MAX = 16384 };

struct power;

struct power *power_create(const char *const *may_be_lost);
void power_destroy(struct power *power);
const struct sys *power_sys(const struct power *power);

/* For the end of a process only: no later call through power_sys returns. */
void power_cut(struct power *power, bool is_torn);

#endif
