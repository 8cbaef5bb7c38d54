/*
 * CSV files of a dataset folder: RFC 4180 through libcsv, with what libcsv leaves out.
 *
 * UTF-8 (a BOM is fine), header row, columns in any order, unknown columns ignored with a note, LF
 * or CRLF, last line may lack its newline, spaces and tabs around unquoted fields trimmed (and
 * those around the quotes of quoted ones; what is inside quotes is kept), blank lines skipped.
 *
 * Bad input, told with file, line, column, value and reason: NUL bytes, invalid UTF-8, fields over
 * CSV_FIELD_BYTES_MAX, rows over CSV_ROW_BYTES_MAX, rows with too few or too many fields, an
 * unclosed quote (the line where it opened), a missing column, a column that stands twice, a quote
 * inside an unquoted field, text after a closing quote, a carriage return outside quotes that no
 * line feed follows. Reading goes on in the next line, but stops for good after what is too long
 * and after an unclosed quote. A line ends with its line feed, also inside quotes. Files are read
 * in bounded windows; memory does not grow with the file or with a line.
 */
#ifndef PERIODCLOSE_SOURCE_CSV_H
#define PERIODCLOSE_SOURCE_CSV_H

#include "core/text.h"
#include "sys/files.h"

/* --- bad rows, collected ------------------------------------------------------------------------
 */

/*
 * Bad rows of all files. Only the first PROBLEMS_MAX by (file, line, column) are kept, all are
 * counted. One collector per thread; problems_merge adds one to another.
 */
enum { PROBLEMS_MAX = 100, PROBLEM_VALUE_MAX = 120 };

struct problems;

struct problems *problems_create(struct err *err);
void problems_destroy(struct problems *problems); /* NULL is fine */

/* column may be NULL (the whole row), line 0 (the whole file). value is shown cut to
 * PROBLEM_VALUE_MAX bytes with control bytes escaped. reason is printf-formatted. */
bool problems_add(struct problems *problems, const char *file, uint64_t line, const char *column,
                  struct text value, struct err *err, const char *reason_format, ...)
    __attribute__((format(printf, 7, 8)));
uint64_t problems_count(const struct problems *problems);

/* Moves all of `from` into `problems`, adding line_offset to their lines (0, the whole file, stays
 * 0). `from` is empty afterwards and still has to be destroyed. */
bool problems_merge(struct problems *problems, struct problems *from, uint64_t line_offset,
                    struct err *err);

/*
 * true without problems; else ERR_INPUT: message "3 bad rows: usage.csv 2, prices.csv 1"
 * ("problems" where one is of a whole file), details one line each, sorted: "usage.csv:17: quantity
 * '12x': is not a decimal number", and how many more there are.
 */
bool problems_check(const struct problems *problems, struct err *err);

/* Notes for people (unknown columns and the like), each kept once: printed to stderr by the caller.
 */
bool problems_note(struct problems *problems, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *problems_note_text(const struct problems *problems, size_t note_index); /* NULL: end */

/* --- reading ------------------------------------------------------------------------------------
 */

struct csv_column {
    const char *name;
    bool is_required;
};

enum {
    CSV_COLUMNS_MAX = 24,
    CSV_FIELDS_MAX = 1024,
    CSV_FIELD_BYTES_MAX = 1024 * 1024,
    CSV_ROW_BYTES_MAX = 16 * 1024 * 1024, /* as it stands in the file */
};

/* Where the declared columns stand in this file. */
struct csv_layout {
    const struct csv_column *columns; /* as declared */
    size_t columns_count;
    size_t fields_count;                     /* fields of the header: every row must have as many */
    int16_t column_of_field[CSV_FIELDS_MAX]; /* declared column, or -1 for an unknown one */
    bool has_column[CSV_COLUMNS_MAX];
    uint64_t rows_offset; /* bytes before the first row after the header */
    uint64_t rows_line;   /* line number of that row */
};

struct csv_file {
    const struct sys *sys;
    struct file file;
    char name[256]; /* as told to people: "usage.csv" */
    uint64_t size_bytes;
    struct csv_layout layout;
};

/* One row: fields in the order of the declared columns, absent ones empty. Valid during the call.
 */
struct csv_row {
    uint64_t line; /* where the row begins, 1 is the header */
    struct text fields[CSV_COLUMNS_MAX];
};

/*
 * Opens FOLDER/NAME and reads its header. A missing file: *is_found false when is_optional, else a
 * problem. A folder or a device: ERR_INPUT. What the OS refuses: ERR_FILE. Header problems go to
 * problems and leave *is_found false. columns must outlive csv.
 */
bool csv_open(const struct sys *sys, const char *folder, const char *name,
              const struct csv_column *columns, size_t columns_count, bool is_optional,
              struct csv_file *csv, bool *is_found, struct problems *problems, struct err *err);
void csv_close(struct csv_file *csv); /* closed is fine */

/*
 * Reads the rows that begin in [from, until), through libcsv. from must be the start of a row,
 * whose line number is line; until = UINT64_MAX for the rest. row is called once per good row;
 * returning false stops with its error. *next_line: the line after the last row read (may be NULL).
 * Any number of threads may read one csv_file, each with its own problems.
 */
struct csv_range {
    uint64_t from;
    uint64_t until;
    uint64_t line;
};

bool csv_read(const struct csv_file *csv, struct csv_range range,
              bool (*row)(void *context, const struct csv_row *row, struct err *err), void *context,
              struct problems *problems, uint64_t *next_line, struct err *err);

/*
 * Cuts all rows of a file into parts_count ranges, in order, that csv_read_part may read at the
 * same time: together they give what csv_read finds from the first row on. There is more than one
 * only where that is worth it (none is much smaller than part_bytes) and where rows can be told
 * apart from anywhere in the file: it holds no quote, no NUL, and no line that is long enough for
 * reading to stop there.
 */
enum { CSV_PARTS_MAX = 8, CSV_PART_BYTES = 512 * 1024 };

struct csv_cut {
    size_t parts_max; /* at least 1; more than CSV_PARTS_MAX count as so many */
    size_t part_bytes;
};

bool csv_cut(const struct csv_file *csv, struct csv_cut cut, struct csv_range parts[CSV_PARTS_MAX],
             size_t *parts_count, struct err *err);
/* What csv_read finds there, but faster where no quote is. */
bool csv_read_part(const struct csv_file *csv, struct csv_range part,
                   bool (*row)(void *context, const struct csv_row *row, struct err *err),
                   void *context, struct problems *problems, struct err *err);

#endif
