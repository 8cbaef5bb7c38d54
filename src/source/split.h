/*
 * Split: the fast way through a part of a CSV file that holds no quote. It finds what libcsv would
 * find in such a part (tests/source/split_test.c holds the two against each other on random bytes)
 * and hands back what is odd in any way: that goes through csv_read, which also words the problem.
 *
 *     struct split_facts facts = {0};
 *     count = split_index(window, from, until, places, &facts)
 *     split_row(&split, fields) …
 *
 * Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_SPLIT_H
#define PERIODCLOSE_SOURCE_SPLIT_H

#include "source/csv.h"

/* split_index writes up to so many places beyond the last one it counts. */
enum { SPLIT_PLACES_SLACK = 64 };

/* What a stretch of bytes holds. */
struct split_facts {
    uint64_t lines_count; /* line feeds */
    bool has_quote;
    bool has_nul;
    bool has_carriage_return;
    bool has_high_byte; /* not ASCII: UTF-8 must be checked */
};

/*
 * Places of all commas and line feeds in window[from, until), ascending. places has room for
 * until - from + SPLIT_PLACES_SLACK. Facts are added to *facts. Returns the number of places.
 */
size_t split_index(const char *window, size_t from, size_t until, uint32_t *places,
                   struct split_facts *facts);

/* Rows of an indexed window without quotes and NUL bytes. */
struct split {
    const char *window;
    const uint32_t *places;
    size_t places_count;
    const struct csv_layout *layout;
    bool has_carriage_return;
    bool has_high_byte;
    size_t place;  /* the next one: index in places[] */
    size_t offset; /* where the next row begins */
    uint64_t line; /* its line */
};

enum split_result {
    SPLIT_ROW,
    SPLIT_END, /* no whole line is left */
    SPLIT_ODD, /* the line at offset is for csv_read */
};

/*
 * The next row that is not blank: fields[column] of the columns the file has (the others are left
 * alone), *line its line. SPLIT_ODD leaves offset and line at the odd one.
 */
enum split_result split_row(struct split *split, struct text *fields, uint64_t *line);

#endif
