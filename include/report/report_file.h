/*
 * Report files: RFC 4180 CSV for people and their spreadsheets (DESIGN.md 9).
 *
 * UTF-8, "\n", header row, fields quoted only where needed. A text that a spreadsheet would run as
 * a formula (it begins with = + - @ tab or CR) gets a leading apostrophe. Decimals in full, costs
 * with the currency's decimals, instants as YYYY-MM-DDTHH:MM:SS[.ffffff]Z. The file appears whole,
 * and is hashed and written beside the caller (sys/saver.h).
 *
 *     report_file_open(&file, sys, path, columns, columns_count, err)
 *     report_text(&file, …) report_decimal(&file, …) …   in the order of the columns
 *     report_end_row(&file, err)
 *     report_file_end(&file, err)                        no more rows; it is finished by itself
 *     report_file_commit(&file, &seal, err)              waits until it is durable
 *     report_file_abort(&file)                           instead, at any point
 *
 * Failures while putting are kept and returned by report_end_row.
 *
 * Fields that come again in many rows, at the same place, are kept as they stand in the file:
 *
 *     struct report_mark mark = report_mark(&file);
 *     report_text(&file, …) …
 *     report_keep_cells(&file, mark, &cells)             what was put since the mark, in this row
 *     report_cells(&file, &cells)                        in another row, instead of these puts
 */
#ifndef PERIODCLOSE_REPORT_REPORT_FILE_H
#define PERIODCLOSE_REPORT_REPORT_FILE_H

#include "core/digest.h"
#include "core/instant.h"
#include "core/money.h"
#include "sys/saver.h"

struct report_file {
    struct saver *saver;
    struct buffer buffer;
    size_t columns_count;
    size_t column;       /* of the row being written */
    uint64_t rows_count; /* without the header */
    struct err failure;
};

/* A place in the row being written. */
struct report_mark {
    size_t offset_bytes;
    size_t column;
};

/* Zero-initialise to start; release with report_cells_release. */
struct report_cells {
    struct buffer text;
    size_t column; /* of the first one */
    size_t columns_count;
};

struct report_seal {
    uint64_t rows_count;
    uint64_t size_bytes;
    struct digest digest;
};

bool report_file_open(struct report_file *file, const struct sys *sys, const char *path,
                      const char *const *columns, size_t columns_count, struct err *err);
void report_text(struct report_file *file, struct text value);
void report_words(struct report_file *file, const char *value); /* our own words: no guard */
void report_decimal(struct report_file *file, struct decimal value);
void report_money(struct report_file *file, struct decimal amount, const struct currency *currency);
void report_int64(struct report_file *file, int64_t value);
void report_instant(struct report_file *file, struct instant value);
void report_empty(struct report_file *file);
struct report_mark report_mark(const struct report_file *file);
void report_keep_cells(struct report_file *file, struct report_mark mark,
                       struct report_cells *cells);
void report_cells(struct report_file *file, const struct report_cells *cells);
void report_cells_release(struct report_cells *cells);
bool report_end_row(struct report_file *file, struct err *err);
bool report_file_end(struct report_file *file, struct err *err);
bool report_file_commit(struct report_file *file, struct report_seal *seal, struct err *err);
void report_file_abort(struct report_file *file); /* after commit, or zeroed: nothing */

#endif
