/*
 * The rows of a small file, all of them or those of a part of it: those before the first quote, NUL
 * or odd line by split_row, the rest through libcsv. A window holds whole rows and the beginning of
 * the next one, which the next window begins with.
 */
#include <assert.h>

#include "core/memory.h"
#include "split.h"
#include "sys/process.h"

enum { WINDOW_BYTES = 256 * 1024 };

_Static_assert(3 * WINDOW_BYTES <= CSV_FIELD_BYTES_MAX, "what is too long spans a whole window");

/* --- one part --------------------------------------------------------------------------------- */

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

static uint64_t end_of(const struct csv_file *csv, const struct csv_range *range) {
    return range->until < csv->size_bytes ? range->until : csv->size_bytes;
}

/* As far as rows are plain; *rest: those that are not, where they begin. */
static bool read_plain(struct rows_window *window, struct csv_range *rest, struct err *err) {
    const struct csv_file *csv = window->csv;
    uint64_t end = end_of(csv, rest);
    bool is_plain = true;
    while (is_plain && rest->from < end) {
        uint64_t left = end - rest->from;
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

bool csv_read_part(const struct csv_file *csv, struct csv_range part,
                   bool (*row)(void *context, const struct csv_row *row, struct err *err),
                   void *context, struct problems *problems, struct err *err) {
    struct rows_window window = {.csv = csv, .take = row, .context = context};
    for (size_t column = 0; column < CSV_COLUMNS_MAX; column++) {
        window.row.fields[column] = (struct text){"", 0};
    }
    window.bytes = mem_alloc(WINDOW_BYTES + SPLIT_SLACK_BYTES);
    if (window.bytes == NULL) {
        return err_memory(err, WINDOW_BYTES);
    }
    bool is_done = read_plain(&window, &part, err);
    mem_free(window.bytes);
    return is_done && (part.from >= end_of(csv, &part) ||
                       csv_read(csv, part, row, context, problems, NULL, err));
}

/* --- into parts ------------------------------------------------------------------------------- */

static struct csv_range all_rows(const struct csv_file *csv) {
    return (struct csv_range){csv->layout.rows_offset, UINT64_MAX, csv->layout.rows_line};
}

struct cutting {
    const struct csv_file *csv;
    struct csv_range *parts; /* their lines: how many lines they have, until all are known */
    size_t parts_count;
    bool is_plain[CSV_PARTS_MAX];
};

/* Where the first line begins that begins behind target; 0: not in sight, or nowhere. */
static bool find_line(const struct csv_file *csv, uint64_t target, char *bytes, uint64_t *found,
                      struct err *err) {
    size_t read_bytes;
    if (!file_read_at(&csv->file, target, bytes, WINDOW_BYTES, &read_bytes, err)) {
        return false;
    }
    const char *feed = memchr(bytes, '\n', read_bytes);
    *found = feed != NULL ? target + (uint64_t)(feed - bytes) + 1 : 0;
    return true;
}

/* Where the parts begin. One is left when a boundary is not to be had. */
static bool find_parts(struct cutting *cutting, size_t parts_count, char *bytes, struct err *err) {
    const struct csv_file *csv = cutting->csv;
    struct csv_range *parts = cutting->parts;
    uint64_t first = parts[0].from;
    for (size_t index = 1; index < parts_count; index++) {
        uint64_t target = first + (csv->size_bytes - first) / parts_count * index;
        uint64_t from;
        if (!find_line(csv, target, bytes, &from, err)) {
            return false;
        }
        if (from <= parts[index - 1].from || from >= csv->size_bytes) {
            return true;
        }
        parts[index] = (struct csv_range){.from = from, .until = UINT64_MAX};
    }
    for (size_t index = 0; index + 1 < parts_count; index++) {
        parts[index].until = parts[index + 1].from;
    }
    cutting->parts_count = parts_count;
    return true;
}

/* Counts the lines of a part, and sees whether all of it is such that lines are rows. */
static bool scan_part(void *context, size_t index, struct err *err) {
    struct cutting *cutting = context;
    const struct csv_file *csv = cutting->csv;
    struct csv_range *part = &cutting->parts[index];
    char *bytes = mem_alloc(WINDOW_BYTES);
    if (bytes == NULL) {
        return err_memory(err, WINDOW_BYTES);
    }
    uint64_t lines_count = 0;
    uint64_t end = end_of(csv, part);
    bool is_read = true;
    bool is_plain = true;
    for (uint64_t from = part->from; is_read && is_plain && from < end; from += WINDOW_BYTES) {
        struct split_facts facts = {0};
        size_t wanted = end - from < WINDOW_BYTES ? (size_t)(end - from) : WINDOW_BYTES;
        size_t read_bytes = 0;
        is_read = file_read_at(&csv->file, from, bytes, wanted, &read_bytes, err);
        if (is_read) {
            split_scan(bytes, 0, read_bytes, &facts);
        }
        is_plain = read_bytes == wanted && !facts.has_quote && !facts.has_nul &&
                   (wanted < WINDOW_BYTES || facts.lines_count > 0);
        lines_count += facts.lines_count;
    }
    part->line = lines_count;
    cutting->is_plain[index] = is_plain;
    mem_free(bytes);
    return is_read;
}

/* From counts of lines to the lines where parts begin; all in one part unless all are plain. */
static void number_parts(struct cutting *cutting) {
    uint64_t line = cutting->csv->layout.rows_line;
    bool is_plain = true;
    for (size_t index = 0; index < cutting->parts_count; index++) {
        uint64_t lines_count = cutting->parts[index].line;
        is_plain = is_plain && cutting->is_plain[index];
        cutting->parts[index].line = line;
        line += lines_count;
    }
    if (!is_plain) {
        cutting->parts[0] = all_rows(cutting->csv);
        cutting->parts_count = 1;
    }
}

bool csv_cut(const struct csv_file *csv, struct csv_cut cut, struct csv_range parts[CSV_PARTS_MAX],
             size_t *parts_count, struct err *err) {
    assert(cut.parts_max >= 1 && cut.part_bytes >= 1);
    struct cutting cutting = {.csv = csv, .parts = parts, .parts_count = 1};
    parts[0] = all_rows(csv);
    *parts_count = 1;
    uint64_t rows_bytes = csv->size_bytes > parts[0].from ? csv->size_bytes - parts[0].from : 0;
    size_t wanted = cut.parts_max < CSV_PARTS_MAX ? cut.parts_max : CSV_PARTS_MAX;
    wanted = rows_bytes / cut.part_bytes < wanted ? (size_t)(rows_bytes / cut.part_bytes) : wanted;
    if (wanted < 2) {
        return true;
    }
    char *bytes = mem_alloc(WINDOW_BYTES);
    if (bytes == NULL) {
        return err_memory(err, WINDOW_BYTES);
    }
    bool is_done = find_parts(&cutting, wanted, bytes, err);
    mem_free(bytes);
    if (!is_done || cutting.parts_count == 1) {
        return is_done;
    }
    if (!process_parallel(cutting.parts_count, cutting.parts_count, scan_part, &cutting, err)) {
        return false;
    }
    number_parts(&cutting);
    *parts_count = cutting.parts_count;
    return true;
}
