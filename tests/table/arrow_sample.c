/*
 * Writes sample tables for tests/table/readback_*.mjs, several sizes of the same rows. Usage:
 * arrow_sample FOLDER
 */
#include <inttypes.h>
#include <stdio.h>

#include "support/table_sample.h"
#include "sys/files.h"

int main(int arguments_count, char **arguments) {
    if (arguments_count != 2) {
        fprintf(stderr, "usage: arrow_sample FOLDER\n");
        return ERR_USAGE;
    }
    static const int64_t rows_counts[] = {0, 1, 7, 65536, 65537, 150000};
    for (size_t index = 0; index < sizeof rows_counts / sizeof rows_counts[0]; index++) {
        struct err err = {0};
        char path[FILE_PATH_MAX];
        if (!path_format(path, &err, "%s/sample-%" PRId64 ".arrow", arguments[1],
                         rows_counts[index]) ||
            !sample_write(sys_real(), path, rows_counts[index], NULL, &err)) {
            fprintf(stderr, "%s\n", err.message);
            return (int)err.code;
        }
    }
    return 0;
}
