/*
 * libcsv is fed line by line. It gives no line numbers, so lines are counted here; it takes a lone
 * carriage return for the end of a row, so what ended a row is compared with the bytes before the
 * line feed; it would keep a field of any length, so its buffer is looked at after each piece; it
 * shows an unclosed quote only at the end of the file, so the line where a field that is open at
 * the end of a line began is remembered. A row is given out only after its whole line was seen.
 */
#include "csv_reader.h"

#include <assert.h>
#include <csv.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

enum { WINDOW_BYTES = 256 * 1024, FIELD_BLOCK_BYTES = 4 * 1024 };

struct csv_reader {
    const struct csv_file *csv;
    const struct csv_reader_events *events;
    struct problems *problems;
    struct err *err;
    bool is_failed;  /* err is set */
    bool is_stopped; /* nothing more is read */
    struct csv_parser parser;

    /* the line */
    uint64_t line;
    uint64_t line_fields; /* that ended in it */
    unsigned carriage_returns;
    bool is_ended;    /* a line feed outside quotes, or the file, ended the row */
    bool is_skipping; /* the rest of it, after bad syntax */
    bool has_bytes;
    char last_byte;

    /* the row */
    bool is_in_row; /* it began in an earlier line, which ended inside quotes */
    bool is_bad;
    uint64_t row_line;
    uint64_t row_bytes;
    uint64_t quote_line; /* where the field began that is open at the end of a line */
    size_t fields_count;
};

static void fail(struct csv_reader *reader) {
    reader->is_failed = true;
    reader->is_stopped = true;
}

/* --- telling what is bad --------------------------------------------------------------------- */

static void set_bad(struct csv_reader *reader) {
    reader->is_bad = true;
    reader->is_stopped = reader->is_stopped || reader->events->stops_at_bad_row;
}

static void add_problem(struct csv_reader *reader, uint64_t line, size_t field_index,
                        struct text value, const char *reason) {
    const char *column = reader->events->field_name(reader->events->context, field_index);
    set_bad(reader);
    char number[32];
    if (column == NULL) {
        (void)snprintf(number, sizeof number, "field %zu", field_index + 1);
        column = number;
    }
    if (!problems_add(reader->problems, reader->csv->name, line, column, value, reader->err, "%s",
                      reason)) {
        fail(reader);
    }
}

static void add_row_problem(struct csv_reader *reader, uint64_t line, const char *reason) {
    set_bad(reader);
    if (!problems_add(reader->problems, reader->csv->name, line, NULL, (struct text){0},
                      reader->err, "%s", reason)) {
        fail(reader);
    }
}

static uint64_t open_field_line(const struct csv_reader *reader) {
    bool began_here = !reader->is_in_row || reader->line_fields > 0;
    return began_here ? reader->line : reader->quote_line;
}

/* --- libcsv ---------------------------------------------------------------------------------- */

static bool parser_start(struct csv_reader *reader) {
    if (csv_init(&reader->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) != 0) {
        return err_set(reader->err, ERR_MEMORY, "cannot start the CSV parser");
    }
    csv_set_realloc_func(&reader->parser, mem_realloc);
    csv_set_free_func(&reader->parser, mem_free);
    csv_set_blk_size(&reader->parser, FIELD_BLOCK_BYTES);
    return true;
}

/* Forgets the field and the row it is in; its buffer is kept. */
static void parser_reset(struct csv_reader *reader) {
    unsigned char *buffer = reader->parser.entry_buf;
    size_t buffer_bytes = reader->parser.entry_size;
    if (!parser_start(reader)) {
        fail(reader);
        mem_free(buffer);
        return;
    }
    reader->parser.entry_buf = buffer;
    reader->parser.entry_size = buffer_bytes;
}

static void take_field(void *bytes, size_t size_bytes, void *context) {
    struct csv_reader *reader = context;
    size_t field_index = reader->fields_count;
    struct text value = {bytes, size_bytes};
    reader->fields_count++;
    reader->line_fields++;
    if (reader->is_failed) {
        return;
    }
    uint64_t line = reader->is_in_row ? reader->row_line : reader->line;
    if (size_bytes > CSV_FIELD_BYTES_MAX) {
        add_problem(reader, line, field_index, value, "is over 1048576 bytes long");
        reader->is_stopped = true; /* as when the field's end is not even in sight */
    } else if (size_bytes > 0 && memchr(bytes, '\0', size_bytes) != NULL) {
        add_problem(reader, line, field_index, value, "holds a NUL byte");
    } else if (!text_is_utf8(value)) {
        add_problem(reader, line, field_index, value, "is not valid UTF-8");
    } else if (!reader->is_bad &&
               !reader->events->field(reader->events->context, field_index, value, reader->err)) {
        fail(reader);
    }
}

static void take_end(int end, void *context) {
    struct csv_reader *reader = context;
    if (end == '\r') {
        reader->carriage_returns++;
    } else {
        reader->is_ended = true;
    }
}

/* The parser refused the byte at `parsed` of this piece: bad syntax, or no memory. */
static void take_refusal(struct csv_reader *reader, struct text piece, size_t parsed) {
    if (csv_error(&reader->parser) != CSV_EPARSE) {
        (void)err_memory(reader->err, reader->parser.entry_size + FIELD_BLOCK_BYTES);
        fail(reader);
        return;
    }
    struct text rest = {piece.bytes + parsed, piece.size_bytes - parsed};
    const char *line_end = memchr(rest.bytes, '\n', rest.size_bytes);
    if (line_end != NULL) {
        rest.size_bytes = (size_t)(line_end - rest.bytes);
    }
    if (rest.size_bytes > 0 && rest.bytes[rest.size_bytes - 1] == '\r') {
        rest.size_bytes--;
    }
    add_problem(reader, reader->line, reader->fields_count, rest,
                reader->parser.quoted != 0 ? "stands after a closing quote"
                                           : "a quote inside an unquoted field");
    reader->is_skipping = true;
    parser_reset(reader);
}

static void check_bounds(struct csv_reader *reader) {
    bool is_quoted = reader->parser.quoted != 0;
    if (reader->parser.entry_pos > CSV_FIELD_BYTES_MAX) {
        struct text value = {(const char *)reader->parser.entry_buf, PROBLEM_VALUE_MAX};
        add_problem(reader, is_quoted ? open_field_line(reader) : reader->line,
                    reader->fields_count, value,
                    is_quoted ? "is over 1048576 bytes long, or its quote is not closed"
                              : "is over 1048576 bytes long");
        reader->is_stopped = true;
    } else if (reader->row_bytes > CSV_ROW_BYTES_MAX) {
        add_row_problem(reader, reader->is_in_row ? reader->row_line : reader->line,
                        "row is over 16777216 bytes long");
        reader->is_stopped = true;
    }
}

static void feed(struct csv_reader *reader, struct text piece) {
    if (reader->is_skipping) {
        return;
    }
    reader->row_bytes += piece.size_bytes;
    size_t parsed =
        csv_parse(&reader->parser, piece.bytes, piece.size_bytes, take_field, take_end, reader);
    if (parsed < piece.size_bytes) {
        take_refusal(reader, piece, parsed);
    } else {
        check_bounds(reader);
    }
}

/* --- lines and rows -------------------------------------------------------------------------- */

static void begin_row(struct csv_reader *reader) {
    reader->is_in_row = false;
    reader->is_bad = false;
    reader->fields_count = 0;
    reader->row_bytes = 0;
    reader->events->begin(reader->events->context);
}

static void begin_line(struct csv_reader *reader) {
    reader->line_fields = 0;
    reader->carriage_returns = 0;
    reader->is_ended = false;
    reader->is_skipping = false;
    reader->has_bytes = false;
    reader->last_byte = '\0';
}

static void end_row(struct csv_reader *reader, uint64_t next_offset) {
    struct csv_reader_row row = {
        .line = reader->is_in_row ? reader->row_line : reader->line,
        .fields_count = reader->fields_count,
        .next_offset = next_offset,
        .next_line = reader->line + 1,
    };
    if (!reader->is_bad && row.fields_count > 0) {
        bool is_last = false;
        if (!reader->events->row(reader->events->context, &row, &is_last, reader->err)) {
            fail(reader);
        }
        reader->is_stopped = reader->is_stopped || is_last;
    }
    begin_row(reader);
}

/* After the last byte of a line, which is before_end + "\n", or the end of the file. */
static void end_line(struct csv_reader *reader, char before_end, bool is_end_of_file,
                     uint64_t next_offset) {
    unsigned allowed = reader->is_ended && !is_end_of_file && before_end == '\r' ? 1 : 0;
    if (reader->is_skipping) {
        begin_row(reader);
    } else if (reader->carriage_returns > allowed) {
        add_row_problem(reader, reader->line, "a carriage return without a line feed after it");
        parser_reset(reader);
        begin_row(reader);
    } else if (reader->is_ended) {
        end_row(reader, next_offset);
    } else if (!is_end_of_file) {
        reader->quote_line = open_field_line(reader);
        reader->row_line = reader->is_in_row ? reader->row_line : reader->line;
        reader->is_in_row = true;
    }
    reader->line++;
    begin_line(reader);
}

/* The rows in a window that begins at offset; a line may go on in the next one. */
static void take_window(struct csv_reader *reader, struct text window, uint64_t offset,
                        uint64_t until) {
    size_t position = 0;
    while (position < window.size_bytes && !reader->is_stopped) {
        if (!reader->has_bytes && !reader->is_in_row && offset + position >= until) {
            reader->is_stopped = true;
            return;
        }
        const char *piece = window.bytes + position;
        const char *line_end = memchr(piece, '\n', window.size_bytes - position);
        size_t piece_bytes =
            line_end != NULL ? (size_t)(line_end - piece) + 1 : window.size_bytes - position;
        char before_end = reader->last_byte;
        if (piece_bytes > 1) {
            before_end = piece[piece_bytes - 2];
        }
        reader->has_bytes = true;
        reader->last_byte = piece[piece_bytes - 1];
        feed(reader, (struct text){piece, piece_bytes});
        position += piece_bytes;
        if (line_end != NULL && !reader->is_stopped) {
            end_line(reader, before_end, false, offset + position);
        }
    }
}

static void take_end_of_file(struct csv_reader *reader, uint64_t offset) {
    if (!reader->has_bytes && !reader->is_in_row) {
        return;
    }
    if (!reader->is_skipping && csv_fini(&reader->parser, take_field, take_end, reader) != 0) {
        struct text value = {(const char *)reader->parser.entry_buf, reader->parser.entry_pos};
        add_problem(reader, open_field_line(reader), reader->fields_count, value,
                    "has an opening quote that is never closed");
        return;
    }
    if (!reader->is_failed) {
        end_line(reader, reader->last_byte, true, offset);
    }
}

static bool read_windows(struct csv_reader *reader, struct csv_range range, char *window) {
    uint64_t offset = range.from;
    while (!reader->is_stopped && offset < reader->csv->size_bytes) {
        uint64_t left = reader->csv->size_bytes - offset;
        size_t wanted = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        size_t read_bytes;
        if (!file_read_at(&reader->csv->file, offset, window, wanted, &read_bytes, reader->err)) {
            return false;
        }
        if (read_bytes < wanted) {
            return err_set(reader->err, ERR_INPUT,
                           "'%s' was cut while it was read: %llu of %llu "
                           "bytes are left",
                           reader->csv->name, (unsigned long long)(offset + read_bytes),
                           (unsigned long long)reader->csv->size_bytes);
        }
        take_window(reader, (struct text){window, wanted}, offset, range.until);
        offset += wanted;
    }
    if (!reader->is_stopped) {
        take_end_of_file(reader, offset);
    }
    return !reader->is_failed;
}

bool csv_reader_run(const struct csv_file *csv, struct csv_range range,
                    const struct csv_reader_events *events, struct problems *problems,
                    uint64_t *next_line, struct err *err) {
    struct csv_reader reader = {
        .csv = csv, .events = events, .problems = problems, .err = err, .line = range.line};
    char *window = mem_alloc(WINDOW_BYTES);
    if (window == NULL) {
        return err_memory(err, WINDOW_BYTES);
    }
    bool is_done = parser_start(&reader);
    if (is_done) {
        begin_line(&reader);
        begin_row(&reader);
        is_done = read_windows(&reader, range, window);
        csv_free(&reader.parser);
    }
    mem_free(window);
    if (is_done && next_line != NULL) {
        *next_line = reader.line;
    }
    assert(is_done || err->code != ERR_NONE);
    return is_done;
}
