/*
 * Writing values on stdout: for people, as CSV, as JSON.
 *
 * Names come from customers: for people, control bytes are shown as \n or \x1b, so that no name can
 * steer a terminal or break a line. CSV and JSON carry every byte.
 */
#ifndef PERIODCLOSE_CLI_PRINT_H
#define PERIODCLOSE_CLI_PRINT_H

#include "cli/console.h"
#include "core/money.h"
#include "table/table.h"

/* Room for 39 digits, their commas, point, sign, a currency, NUL. */
enum { PRINT_NUMBER_MAX = 72 };

/* For people: text with control bytes escaped, appended to line. */
/* The same without cutting what is longer. */
bool print_fill(struct buffer *line, struct text text, size_t width, struct err *err);
/* Characters that the text takes when it is printed. */
size_t print_width(struct text text);
bool print_escape(struct buffer *line, struct text text, struct err *err);
/* The same, cut ("…") or filled with spaces to width characters. */
bool print_pad(struct buffer *line, struct text text, size_t width, struct err *err);

/* "1,234,567.5"; "1,234,567". Return the length. */
size_t print_decimal(struct decimal value, char text[PRINT_NUMBER_MAX]);
size_t print_count(uint64_t value, char text[PRINT_NUMBER_MAX]);
/* "1,234.50": the currency's decimals. */
size_t print_amount(struct decimal amount, const struct currency *currency,
                    char text[PRINT_NUMBER_MAX]);
/* "1,234.50 USD" */
size_t print_money(struct decimal amount, const struct currency *currency,
                   char text[PRINT_NUMBER_MAX]);
/* "+1,234.50 USD": a difference, with its sign. */
size_t print_difference(struct decimal amount, const struct currency *currency,
                        char text[PRINT_NUMBER_MAX]);

/* A CSV field (RFC 4180, quoted only where needed) and a JSON string with its quotes. */
bool print_csv(struct console *console, struct text text, struct err *err);
bool print_json(struct console *console, struct text text, struct err *err);

/* One value of a table: as a CSV field; as JSON (64-bit numbers and decimals as strings). */
bool print_cell_csv(struct console *console, const struct table_cursor *cursor, size_t column,
                    enum table_type type, struct err *err);
bool print_cell_json(struct console *console, const struct table_cursor *cursor, size_t column,
                     enum table_type type, struct err *err);

/* --format: csv, json, or not given. ERR_USAGE for anything else. */
enum print_format { PRINT_TEXT, PRINT_CSV, PRINT_JSON };
struct cli;
bool print_format(const struct cli *cli, enum print_format *format, struct err *err);

#endif
