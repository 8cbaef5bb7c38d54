#include "db/sql.h"

#include <string.h>

#include "sql_files.h"

const struct sql_file *sql_find(const char *name) {
    size_t first = 0;
    size_t end = sql_files_count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int order = strcmp(sql_files[middle].name, name);
        if (order == 0) {
            return &sql_files[middle];
        }
        if (order < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}

const struct sql_file *sql_find_all(const char *prefix, size_t *files_count) {
    size_t prefix_bytes = strlen(prefix);
    const struct sql_file *first = NULL;
    *files_count = 0;
    for (size_t index = 0; index < sql_files_count; index++) {
        if (strncmp(sql_files[index].name, prefix, prefix_bytes) == 0) {
            first = *files_count == 0 ? &sql_files[index] : first;
            (*files_count)++;
        }
    }
    return first;
}
