/* What the Makefile makes of the folder sql/: src/db/embed_sql.sh. */
#ifndef PERIODCLOSE_SRC_DB_SQL_FILES_H
#define PERIODCLOSE_SRC_DB_SQL_FILES_H

#include "db/sql.h"

extern const struct sql_file sql_files[]; /* sorted by name */
extern const size_t sql_files_count;

#endif
