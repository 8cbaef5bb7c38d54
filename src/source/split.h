/*
 * Split: the fast way through a part of a CSV file that holds no quote. It finds what libcsv would
 * find in such a part (tests/source/split_test.c holds the two against each other on random bytes)
 * and hands back what is odd in any way: that goes through csv_read, which also words the problem.
 *
 *     struct split_facts facts = {0};
 *     split_scan(window, from, until, &facts)
 *     split_row(&split, fields, &line) …
 *
 * Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_SPLIT_H
#define PERIODCLOSE_SOURCE_SPLIT_H

#include "source/csv.h"

/* So many bytes behind a window's end must be readable; what they are changes nothing. */
enum { SPLIT_SLACK_BYTES = 64 };

/* What a stretch of bytes holds. */
struct split_facts {
    uint64_t lines_count; /* line feeds */
    bool has_quote;
    bool has_nul;
    bool has_carriage_return;
    bool has_high_byte; /* not ASCII: UTF-8 must be checked */
};

/* The facts of window[from, until) are added to *facts. */
void split_scan(const char *window, size_t from, size_t until, struct split_facts *facts);

/* Rows of a window without quotes and NUL bytes. */
struct split {
    const char *window;
    size_t until; /* of the window */
    const struct csv_layout *layout;
    bool has_carriage_return;
    bool has_high_byte;
    size_t offset;     /* where the next row begins */
    uint64_t line;     /* its line */
    size_t row_offset; /* where the last one given began; it ended at offset */
};

enum split_result {
    SPLIT_ROW,
    SPLIT_END, /* no whole line is left */
    SPLIT_ODD, /* the line at offset is for csv_read */
};

/*
 * The next row that is not blank: fields[column] of the columns the file has (the others are left
 * alone), *line its line. SPLIT_ODD and SPLIT_END leave offset and line at the line not taken.
 */
enum split_result split_row(struct split *split, struct text *fields, uint64_t *line);

#endif
