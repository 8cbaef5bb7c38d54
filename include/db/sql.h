/*
 * The files under sql/, as they were when the program was built, in order of their names.
 */
#ifndef PERIODCLOSE_DB_SQL_H
#define PERIODCLOSE_DB_SQL_H

#include <stddef.h>

struct sql_file {
    const char *name; /* below sql/: "extract/orgs.sql" */
    const char *text; /* terminated */
    size_t size_bytes;
};

/* NULL when there is none. */
const struct sql_file *sql_find(const char *name);
/* The files whose names begin so ("migrations/"): the first one; NULL and 0 when there are none. */
const struct sql_file *sql_find_all(const char *prefix, size_t *files_count);

#endif
