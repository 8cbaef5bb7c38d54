/*
 * The engine below csv.h: bytes of a file to fields and rows, through libcsv, with our own counting
 * of lines and bounds. It knows nothing of columns: who reads a header and who reads rows gives it
 * the functions that take fields and rows. Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_CSV_READER_H
#define PERIODCLOSE_SOURCE_CSV_READER_H

#include "source/csv.h"

struct csv_reader_row {
    uint64_t line; /* where it begins */
    size_t fields_count;
    uint64_t next_offset; /* where the row after it begins */
    uint64_t next_line;
};

/* All but field_name may fail, which ends the reading with their error. */
struct csv_reader_events {
    void *context;
    /* Name of a field of the current row for people; NULL: it has none. */
    const char *(*field_name)(void *context, size_t field_index);
    /* A well-formed field: UTF-8 without NUL, not too long. value is valid during the call. */
    bool (*field)(void *context, size_t field_index, struct text value, struct err *err);
    /* A row all of whose fields were well-formed; *is_last = true stops the reading. */
    bool (*row)(void *context, const struct csv_reader_row *row, bool *is_last, struct err *err);
    /* Before each row; rows that turn out bad get no `row`. */
    void (*begin)(void *context);
    bool stops_at_bad_row; /* else reading goes on behind it where it can */
};

/* Reads the rows that begin in range of csv->file, as told in csv.h. *next_line may be NULL. */
bool csv_reader_run(const struct csv_file *csv, struct csv_range range,
                    const struct csv_reader_events *events, struct problems *problems,
                    uint64_t *next_line, struct err *err);

#endif
