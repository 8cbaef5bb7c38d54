/*
 * All rows of a small file: those before the first quote, NUL or odd line by split_row, the rest
 * through libcsv. A window holds whole rows and the beginning of the next one, which the next
 * window begins with.
 */
#include "core/memory.h"
#include "split.h"

enum { WINDOW_BYTES = 256 * 1024 };

struct rows_window {
    const struct csv_file *csv;
    char *bytes;
    uint64_t offset; /* in the file, of bytes[0], where a row begins */
    struct csv_row row;
    bool (*take)(void *context, const struct csv_row *row, struct err *err);
    void *context;
};

/* The rows of a window. *is_plain false: from split->offset on it is for libcsv. */
static bool take_window(struct rows_window *window, struct split *split, bool *is_plain,
                        struct err *err) {
    for (;;) {
        enum split_result result = split_row(split, window->row.fields, &window->row.line);
        if (result != SPLIT_ROW) {
            *is_plain = result == SPLIT_END && split->offset > 0;
            return true;
        }
        if (!window->take(window->context, &window->row, err)) {
            return false;
        }
    }
}

/* As far as rows are plain; *rest: those that are not, where they begin. */
static bool read_plain(struct rows_window *window, struct csv_range *rest, struct err *err) {
    const struct csv_file *csv = window->csv;
    bool is_plain = true;
    while (is_plain && rest->from < csv->size_bytes) {
        uint64_t left = csv->size_bytes - rest->from;
        size_t wanted = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        size_t read_bytes;
        if (!file_read_at(&csv->file, rest->from, window->bytes, wanted, &read_bytes, err)) {
            return false;
        }
        struct split_facts facts = {0};
        split_scan(window->bytes, 0, read_bytes, &facts);
        if (read_bytes < wanted || facts.has_quote || facts.has_nul) {
            return true;
        }
        struct split split = {
            .window = window->bytes,
            .until = read_bytes,
            .layout = &csv->layout,
            .has_carriage_return = facts.has_carriage_return,
            .has_high_byte = facts.has_high_byte,
            .line = rest->line,
        };
        if (!take_window(window, &split, &is_plain, err)) {
            return false;
        }
        rest->from += split.offset;
        rest->line = split.line;
    }
    return true;
}

bool csv_read_rows(const struct csv_file *csv,
                   bool (*row)(void *context, const struct csv_row *row, struct err *err),
                   void *context, struct problems *problems, struct err *err) {
    struct csv_range rest = {csv->layout.rows_offset, UINT64_MAX, csv->layout.rows_line};
    struct rows_window window = {.csv = csv, .take = row, .context = context};
    for (size_t column = 0; column < CSV_COLUMNS_MAX; column++) {
        window.row.fields[column] = (struct text){"", 0};
    }
    window.bytes = mem_alloc(WINDOW_BYTES + SPLIT_SLACK_BYTES);
    if (window.bytes == NULL) {
        return err_memory(err, WINDOW_BYTES);
    }
    bool is_done = read_plain(&window, &rest, err);
    mem_free(window.bytes);
    return is_done &&
           (rest.from >= csv->size_bytes || csv_read(csv, rest, row, context, problems, NULL, err));
}
