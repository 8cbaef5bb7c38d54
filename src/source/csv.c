/* Files with a header: which column stands where, and rows in the order the caller declared. */
#include "source/csv.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "csv_reader.h"

/* --- the header ------------------------------------------------------------------------------ */

struct header {
    struct csv_file *csv;
    struct problems *problems;
    struct buffer unknown; /* names, for the note */
    size_t fields_count;
    bool is_repeated[CSV_COLUMNS_MAX];
    bool is_read;
};

static const char *header_field_name(void *context, size_t field_index) {
    (void)context;
    (void)field_index;
    return NULL;
}

static void header_begin(void *context) {
    struct header *header = context;
    header->fields_count = 0;
}

static bool header_field(void *context, size_t field_index, struct text value, struct err *err) {
    struct header *header = context;
    struct csv_layout *layout = &header->csv->layout;
    if (field_index >= CSV_FIELDS_MAX) {
        return true; /* header_row refuses it */
    }
    layout->column_of_field[field_index] = -1;
    for (size_t column = 0; column < layout->columns_count; column++) {
        if (!text_equals(value, text_from(layout->columns[column].name))) {
            continue;
        }
        header->is_repeated[column] = layout->has_column[column];
        layout->has_column[column] = true;
        layout->column_of_field[field_index] = (int16_t)column;
        return true;
    }
    enum { NAMES_BYTES_MAX = 400, NAME_BYTES_MAX = 60 };
    if (header->unknown.size_bytes > NAMES_BYTES_MAX) {
        return true;
    }
    struct text name = value;
    if (name.size_bytes > NAME_BYTES_MAX) {
        name.size_bytes = NAME_BYTES_MAX;
    }
    return buffer_append_format(&header->unknown, err, "%s'%.*s'",
                                header->unknown.size_bytes > 0 ? ", " : "", (int)name.size_bytes,
                                name.bytes);
}

static bool header_check_columns(const struct header *header, uint64_t line, struct err *err) {
    const struct csv_layout *layout = &header->csv->layout;
    for (size_t column = 0; column < layout->columns_count; column++) {
        const char *name = layout->columns[column].name;
        if (header->is_repeated[column] &&
            !problems_add(header->problems, header->csv->name, line, name, (struct text){0}, err,
                          "the header has this column twice")) {
            return false;
        }
        if (layout->columns[column].is_required && !layout->has_column[column] &&
            !problems_add(header->problems, header->csv->name, line, name, (struct text){0}, err,
                          "the header lacks this column")) {
            return false;
        }
    }
    return true;
}

static bool header_row(void *context, const struct csv_reader_row *row, bool *is_last,
                       struct err *err) {
    struct header *header = context;
    struct csv_layout *layout = &header->csv->layout;
    *is_last = true;
    if (row->fields_count > CSV_FIELDS_MAX) {
        return problems_add(header->problems, header->csv->name, row->line, NULL, (struct text){0},
                            err, "the header has %zu fields, at most %d are read",
                            row->fields_count, CSV_FIELDS_MAX);
    }
    layout->fields_count = row->fields_count;
    layout->rows_offset = row->next_offset;
    layout->rows_line = row->next_line;
    header->is_read = true;
    return header_check_columns(header, row->line, err);
}

/* --- what separates its columns ---------------------------------------------------------------
 */

struct separator {
    char byte;
    const char *name;
};

static const struct separator other_separators[] = {
    {';', "semicolons"}, {'\t', "tabs"}, {'|', "vertical bars"}};

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct text trim_blanks(struct text text) {
    while (text.size_bytes > 0 && is_blank(text.bytes[0])) {
        text = (struct text){text.bytes + 1, text.size_bytes - 1};
    }
    while (text.size_bytes > 0 && is_blank(text.bytes[text.size_bytes - 1])) {
        text.size_bytes--;
    }
    return text;
}

static bool is_column(const struct csv_layout *layout, struct text name) {
    name = trim_blanks(name);
    bool is_quoted =
        name.size_bytes >= 2 && name.bytes[0] == '"' && name.bytes[name.size_bytes - 1] == '"';
    if (is_quoted) {
        name = (struct text){name.bytes + 1, name.size_bytes - 2};
    }
    for (size_t column = 0; column < layout->columns_count; column++) {
        if (text_equals(name, text_from(layout->columns[column].name))) {
            return true;
        }
    }
    return false;
}

/* Does the line name one of the columns, with others beside it? */
static bool separates(const struct csv_layout *layout, struct text line, char byte) {
    const char *end = memchr(line.bytes, byte, line.size_bytes);
    bool is_parted = end != NULL;
    while (end != NULL) {
        size_t size_bytes = (size_t)(end - line.bytes);
        if (is_column(layout, (struct text){line.bytes, size_bytes})) {
            return true;
        }
        line = (struct text){end + 1, line.size_bytes - size_bytes - 1};
        end = memchr(line.bytes, byte, line.size_bytes);
    }
    return is_parted && is_column(layout, line);
}

/* Of a file that a spreadsheet saved with another separator every column would be missing. */
static bool check_separator(const struct csv_file *csv, uint64_t from, bool *is_comma,
                            struct problems *problems, struct err *err) {
    char bytes[4096];
    size_t read_bytes;
    *is_comma = true;
    if (!file_read_at(&csv->file, from, bytes, sizeof bytes, &read_bytes, err)) {
        return false;
    }
    struct text line = trim_blanks((struct text){bytes, read_bytes});
    uint64_t number = 1;
    for (const char *byte = bytes; byte < line.bytes; byte++) {
        number += *byte == '\n';
    }
    const char *end = memchr(line.bytes, '\n', line.size_bytes);
    line.size_bytes = end != NULL ? (size_t)(end - line.bytes) : line.size_bytes;
    if (memchr(line.bytes, ',', line.size_bytes) != NULL) {
        return true;
    }
    for (size_t index = 0; index < sizeof other_separators / sizeof other_separators[0]; index++) {
        const struct separator *other = &other_separators[index];
        if (separates(&csv->layout, line, other->byte)) {
            *is_comma = false;
            return problems_add(problems, csv->name, number, NULL, (struct text){0}, err,
                                "the columns are separated by %s: save the file with commas "
                                "between them, and with points in numbers",
                                other->name);
        }
    }
    return true;
}

/* Where the header begins: behind a byte order mark. UTF-16 gets a word of its own. */
static bool skip_mark(struct csv_file *csv, struct csv_range *range, struct problems *problems,
                      struct err *err) {
    unsigned char mark[3] = {0};
    size_t mark_bytes;
    if (!file_read_at(&csv->file, 0, mark, sizeof mark, &mark_bytes, err)) {
        return false;
    }
    if (mark_bytes == 3 && memcmp(mark, "\xEF\xBB\xBF", 3) == 0) {
        range->from = 3;
    }
    if (mark_bytes >= 2 && (memcmp(mark, "\xFF\xFE", 2) == 0 || memcmp(mark, "\xFE\xFF", 2) == 0)) {
        range->from = UINT64_MAX;
        return problems_add(problems, csv->name, 1, NULL, (struct text){0}, err,
                            "the file is UTF-16: save it as UTF-8");
    }
    return true;
}

static bool read_header(struct csv_file *csv, struct header *header, struct err *err) {
    struct csv_range range = {.until = UINT64_MAX, .line = 1};
    uint64_t count = problems_count(header->problems);
    const struct csv_reader_events events = {
        .context = header,
        .field_name = header_field_name,
        .field = header_field,
        .row = header_row,
        .begin = header_begin,
        .stops_at_bad_row = true, /* the next row is no header */
    };
    if (!skip_mark(csv, &range, header->problems, err)) {
        return false;
    }
    bool is_comma = range.from != UINT64_MAX;
    if (is_comma && !check_separator(csv, range.from, &is_comma, header->problems, err)) {
        return false;
    }
    if (is_comma && !csv_reader_run(csv, range, &events, header->problems, NULL, err)) {
        return false;
    }
    if (!header->is_read && problems_count(header->problems) == count &&
        !problems_add(header->problems, csv->name, 0, NULL, (struct text){0}, err,
                      "the file is empty: it has no header row")) {
        return false;
    }
    header->is_read = header->is_read && problems_count(header->problems) == count;
    if (header->is_read && header->unknown.size_bytes > 0) {
        return problems_note(header->problems, err, "%s: columns not known here are ignored: %.*s",
                             csv->name, (int)header->unknown.size_bytes, header->unknown.bytes);
    }
    return true;
}

/* --- opening --------------------------------------------------------------------------------- */

static bool open_file(const struct sys *sys, const char *folder, const char *name, bool is_optional,
                      struct csv_file *csv, bool *is_found, struct problems *problems,
                      struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    *is_found = false;
    if (!path_format(path, err, "%s/%s", folder, name) ||
        !path_kind_of_input(sys, path, &kind, err)) {
        return false;
    }
    if (kind == PATH_MISSING) {
        return is_optional || problems_add(problems, name, 0, NULL, (struct text){0}, err,
                                           "the file is missing from the dataset folder");
    }
    if (kind != PATH_FILE) {
        return err_set(err, ERR_INPUT, "cannot read '%.700s': it is %s, not a file", path,
                       kind == PATH_DIRECTORY ? "a folder" : "a device or a pipe");
    }
    if (!file_open_read(sys, path, &csv->file, err)) {
        return false;
    }
    bool is_regular;
    if (!file_is_regular(&csv->file, &is_regular, err)) {
        return false;
    }
    if (!is_regular) {
        return err_set(err, ERR_INPUT, "cannot read '%.700s': it is not a file", path);
    }
    *is_found = true;
    return file_size(&csv->file, &csv->size_bytes, err);
}

bool csv_open(const struct sys *sys, const char *folder, const char *name,
              const struct csv_column *columns, size_t columns_count, bool is_optional,
              struct csv_file *csv, bool *is_found, struct problems *problems, struct err *err) {
    assert(columns_count <= CSV_COLUMNS_MAX);
    *csv = (struct csv_file){.sys = sys, .file = FILE_CLOSED};
    (void)snprintf(csv->name, sizeof csv->name, "%s", name);
    csv->layout.columns = columns;
    csv->layout.columns_count = columns_count;
    struct header header = {.csv = csv, .problems = problems};
    bool is_done = open_file(sys, folder, name, is_optional, csv, is_found, problems, err);
    if (is_done && *is_found) {
        is_done = read_header(csv, &header, err);
        *is_found = is_done && header.is_read;
    }
    if (!is_done || !*is_found) {
        *is_found = false;
        csv_close(csv);
    }
    buffer_release(&header.unknown);
    return is_done;
}

void csv_close(struct csv_file *csv) {
    file_abandon(&csv->file); /* it was only read: nothing can be lost */
}

/* --- rows ------------------------------------------------------------------------------------ */

struct rows {
    const struct csv_file *csv;
    struct problems *problems;
    bool (*row)(void *context, const struct csv_row *row, struct err *err);
    void *context;
    struct buffer bytes; /* of the fields of the row */
    size_t offsets[CSV_COLUMNS_MAX];
    size_t sizes[CSV_COLUMNS_MAX];
};

static void rows_begin(void *context) {
    struct rows *rows = context;
    buffer_clear(&rows->bytes);
    memset(rows->sizes, 0, sizeof rows->sizes);
}

static const char *rows_field_name(void *context, size_t field_index) {
    const struct rows *rows = context;
    const struct csv_layout *layout = &rows->csv->layout;
    if (field_index >= layout->fields_count || layout->column_of_field[field_index] < 0) {
        return NULL;
    }
    return layout->columns[layout->column_of_field[field_index]].name;
}

static bool rows_field(void *context, size_t field_index, struct text value, struct err *err) {
    struct rows *rows = context;
    const struct csv_layout *layout = &rows->csv->layout;
    if (field_index >= layout->fields_count || layout->column_of_field[field_index] < 0) {
        return true;
    }
    size_t column = (size_t)layout->column_of_field[field_index];
    rows->offsets[column] = rows->bytes.size_bytes;
    rows->sizes[column] = value.size_bytes;
    return buffer_append(&rows->bytes, value, err);
}

static bool rows_row(void *context, const struct csv_reader_row *found, bool *is_last,
                     struct err *err) {
    struct rows *rows = context;
    const struct csv_layout *layout = &rows->csv->layout;
    (void)is_last;
    if (found->fields_count != layout->fields_count) {
        return problems_add(rows->problems, rows->csv->name, found->line, NULL, (struct text){0},
                            err, "row has %zu field%s, the header has %zu", found->fields_count,
                            found->fields_count == 1 ? "" : "s", layout->fields_count);
    }
    struct csv_row row = {.line = found->line};
    for (size_t column = 0; column < layout->columns_count; column++) {
        row.fields[column] = (struct text){"", 0};
        if (rows->sizes[column] > 0) {
            row.fields[column].bytes = rows->bytes.bytes + rows->offsets[column];
            row.fields[column].size_bytes = rows->sizes[column];
        }
    }
    return rows->row(rows->context, &row, err);
}

bool csv_read(const struct csv_file *csv, struct csv_range range,
              bool (*row)(void *context, const struct csv_row *row, struct err *err), void *context,
              struct problems *problems, uint64_t *next_line, struct err *err) {
    struct rows rows = {.csv = csv, .problems = problems, .row = row, .context = context};
    const struct csv_reader_events events = {
        .context = &rows,
        .field_name = rows_field_name,
        .field = rows_field,
        .row = rows_row,
        .begin = rows_begin,
    };
    bool is_done = csv_reader_run(csv, range, &events, problems, next_line, err);
    buffer_release(&rows.bytes);
    return is_done;
}
