/*
 * The yardstick: one pass of libcsv over files, strict, in reads of 256 KB, with callbacks that do
 * nothing but count rows.
 *
 *     bare FILE...
 *
 * Prints bytes and rows, so that a pass that stopped early shows.
 */
#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 * 1024,
};

struct counts {
    uint64_t bytes;
    uint64_t rows;
};

static void skip_field(void *text, size_t size, void *data) {
    (void)text;
    (void)size;
    (void)data;
}

static void count_row(int last, void *data) {
    (void)last;
    struct counts *counts = data;
    counts->rows++;
}

static void fail(const char *path, const char *why) {
    fprintf(stderr, "bare: %s: %s\n", path, why);
    exit(1);
}

static void pass(const char *path, struct counts *counts) {
    static char buffer[READ_BYTES];
    struct csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        fail(path, "no memory for a parser");
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fail(path, strerror(errno));
    }
    for (;;) {
        ssize_t size = read(file, buffer, sizeof buffer);
        if (size < 0) {
            fail(path, strerror(errno));
        }
        if (size == 0) {
            break;
        }
        counts->bytes += (uint64_t)size;
        if (csv_parse(&parser, buffer, (size_t)size, skip_field, count_row, counts) !=
            (size_t)size) {
            fail(path, csv_strerror(csv_error(&parser)));
        }
    }
    if (csv_fini(&parser, skip_field, count_row, counts) != 0) {
        fail(path, csv_strerror(csv_error(&parser)));
    }
    csv_free(&parser);
    (void)close(file);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fputs("usage: bare FILE...\n", stderr);
        return 2;
    }
    struct counts counts = {0};
    for (int index = 1; index < argc; index++) {
        pass(argv[index], &counts);
    }
    printf("bytes=%llu rows=%llu\n", (unsigned long long)counts.bytes,
           (unsigned long long)counts.rows);
    return 0;
}
