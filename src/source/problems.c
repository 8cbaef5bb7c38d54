/*
 * Bad rows, collected. Kept are the first PROBLEMS_MAX in order of (file, line, column): room for
 * twice as many is filled, then sorted and cut, so that a file of a million bad rows costs a
 * million comparisons and no memory.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "source/csv.h"

enum {
    KEPT_MAX = 2 * PROBLEMS_MAX,
    NOTES_MAX = 64,
    FILES_SHOWN_MAX = 6,
    FILE_NAME_MAX = 256,
    REASON_MAX = 512,
    VALUE_TEXT_MAX = 4 * PROBLEM_VALUE_MAX + 8, /* every byte as \xNN, and what shows the cut */
};

/* text holds FILE NUL COLUMN NUL REST NUL: one request for memory. */
struct problem {
    uint64_t line;
    const char *column; /* empty: the whole row */
    const char *rest;   /* what follows the column: "VALUE': REASON" and so on */
    char *text;
};

struct file_count {
    char name[FILE_NAME_MAX];
    uint64_t problems_count;
    uint64_t rows_count;
    uint64_t last_line; /* of the problem added last: several of one row are one bad row */
    bool has_line_zero;
};

struct problems {
    struct problem kept[KEPT_MAX];
    size_t kept_count;
    bool is_cut; /* kept[PROBLEMS_MAX - 1] was the last of the first ones, all were not kept */
    uint64_t count;
    struct file_count *files;
    size_t files_count;
    char *notes[NOTES_MAX];
    size_t notes_count;
};

struct problems *problems_create(struct err *err) {
    struct problems *problems = mem_alloc(sizeof *problems);
    if (problems == NULL) {
        (void)err_memory(err, sizeof *problems);
    }
    return problems;
}

void problems_destroy(struct problems *problems) {
    if (problems == NULL) {
        return;
    }
    for (size_t index = 0; index < problems->kept_count; index++) {
        mem_free(problems->kept[index].text);
    }
    for (size_t index = 0; index < problems->notes_count; index++) {
        mem_free(problems->notes[index]);
    }
    mem_free(problems->files);
    mem_free(problems);
}

/* --- keeping the first ones ------------------------------------------------------------------ */

static int problem_compare(const void *left_problem, const void *right_problem) {
    const struct problem *left = left_problem;
    const struct problem *right = right_problem;
    int order = strcmp(left->text, right->text);
    if (order == 0) {
        order = (left->line > right->line) - (left->line < right->line);
    }
    if (order == 0) {
        order = strcmp(left->column, right->column);
    }
    return order != 0 ? order : strcmp(left->rest, right->rest);
}

static void problems_cut(struct problems *problems) {
    qsort(problems->kept, problems->kept_count, sizeof problems->kept[0], problem_compare);
    while (problems->kept_count > PROBLEMS_MAX) {
        problems->kept_count--;
        mem_free(problems->kept[problems->kept_count].text);
        problems->is_cut = true;
    }
}

/* Takes over problem.text. */
static void problems_keep(struct problems *problems, struct problem problem) {
    if (problems->kept_count == KEPT_MAX) {
        problems_cut(problems);
    }
    if (problems->is_cut && problem_compare(&problem, &problems->kept[PROBLEMS_MAX - 1]) > 0) {
        mem_free(problem.text); /* behind all that were kept when it was cut */
        return;
    }
    problems->kept[problems->kept_count] = problem;
    problems->kept_count++;
}

static struct file_count *find_file(struct problems *problems, const char *name, struct err *err) {
    for (size_t index = 0; index < problems->files_count; index++) {
        if (strncmp(problems->files[index].name, name, FILE_NAME_MAX - 1) == 0) {
            return &problems->files[index];
        }
    }
    size_t size_bytes = (problems->files_count + 1) * sizeof *problems->files;
    struct file_count *files = mem_realloc(problems->files, size_bytes);
    if (files == NULL) {
        (void)err_memory(err, size_bytes);
        return NULL;
    }
    problems->files = files;
    struct file_count *added = &files[problems->files_count];
    *added = (struct file_count){.last_line = UINT64_MAX};
    (void)snprintf(added->name, sizeof added->name, "%s", name);
    problems->files_count++;
    return added;
}

/* --- one problem ----------------------------------------------------------------------------- */

static void value_format(struct text value, char shown[VALUE_TEXT_MAX]) {
    size_t length = 0;
    size_t index = 0;
    while (index < value.size_bytes && index < PROBLEM_VALUE_MAX) {
        size_t size_bytes = value.bytes[index] == '\\' ? 0 : text_shown_bytes(value, index);
        if (size_bytes > PROBLEM_VALUE_MAX - index) {
            break;
        }
        if (size_bytes > 0) {
            memcpy(shown + length, value.bytes + index, size_bytes);
            length += size_bytes;
            index += size_bytes;
            continue;
        }
        char byte = value.bytes[index];
        const char *name = byte == '\n'   ? "\\n"
                           : byte == '\r' ? "\\r"
                           : byte == '\t' ? "\\t"
                           : byte == '\\' ? "\\\\"
                                          : NULL;
        int written = name != NULL ? snprintf(shown + length, VALUE_TEXT_MAX - length, "%s", name)
                                   : snprintf(shown + length, VALUE_TEXT_MAX - length, "\\x%02x",
                                              (unsigned)(unsigned char)byte);
        assert(written > 0);
        length += (size_t)written;
        index++;
    }
    (void)snprintf(shown + length, VALUE_TEXT_MAX - length, "%s",
                   index < value.size_bytes ? "..." : "");
}

/* FILE NUL COLUMN NUL REST NUL */
static bool problem_create(struct problem *problem, const char *file, const char *column,
                           struct text value, const char *reason, struct err *err) {
    char shown[VALUE_TEXT_MAX];
    value_format(value, shown);
    bool has_value = value.size_bytes > 0;
    size_t file_bytes = strlen(file) + 1;
    size_t column_bytes = strlen(column) + 1;
    size_t rest_bytes = strlen(shown) + strlen(reason) + 8;
    problem->text = mem_alloc(file_bytes + column_bytes + rest_bytes);
    if (problem->text == NULL) {
        return err_memory(err, file_bytes + column_bytes + rest_bytes);
    }
    memcpy(problem->text, file, file_bytes);
    memcpy(problem->text + file_bytes, column, column_bytes);
    char *rest = problem->text + file_bytes + column_bytes;
    if (has_value) {
        (void)snprintf(rest, rest_bytes, "%s'%s': %s", column[0] != '\0' ? " " : "", shown, reason);
    } else {
        (void)snprintf(rest, rest_bytes, "%s%s", column[0] != '\0' ? ": " : "", reason);
    }
    problem->column = problem->text + file_bytes;
    problem->rest = rest;
    return true;
}

bool problems_add(struct problems *problems, const char *file, uint64_t line, const char *column,
                  struct text value, struct err *err, const char *reason_format, ...) {
    char reason[REASON_MAX];
    va_list arguments;
    va_start(arguments, reason_format);
    (void)vsnprintf(reason, sizeof reason, reason_format, arguments);
    va_end(arguments);
    struct file_count *count = find_file(problems, file, err);
    struct problem problem = {.line = line};
    if (count == NULL ||
        !problem_create(&problem, file, column != NULL ? column : "", value, reason, err)) {
        return false;
    }
    count->problems_count++;
    count->rows_count += count->last_line != line ? 1 : 0;
    count->last_line = line;
    count->has_line_zero = count->has_line_zero || line == 0;
    problems->count++;
    problems_keep(problems, problem);
    return true;
}

uint64_t problems_count(const struct problems *problems) {
    return problems->count;
}

static bool merge_counts(struct problems *problems, struct problems *from, uint64_t line_offset,
                         struct err *err) {
    for (size_t index = 0; index < from->files_count; index++) {
        if (find_file(problems, from->files[index].name, err) == NULL) {
            return false;
        }
    }
    for (size_t index = 0; index < from->files_count; index++) {
        const struct file_count *added = &from->files[index];
        struct file_count *count = find_file(problems, added->name, err);
        assert(count != NULL); /* made above */
        count->problems_count += added->problems_count;
        count->rows_count += added->rows_count;
        count->has_line_zero = count->has_line_zero || added->has_line_zero;
        if (added->last_line != UINT64_MAX) {
            count->last_line = added->last_line + (added->last_line > 0 ? line_offset : 0);
        }
    }
    problems->count += from->count;
    from->files_count = 0;
    from->count = 0;
    return true;
}

/* Once: a file that is opened again, to tell where its rows disagree, says nothing new. */
static void take_note(struct problems *problems, char *note) {
    bool is_told = false;
    for (size_t index = 0; index < problems->notes_count; index++) {
        is_told |= strcmp(problems->notes[index], note) == 0;
    }
    if (is_told || problems->notes_count == NOTES_MAX) {
        mem_free(note);
        return;
    }
    problems->notes[problems->notes_count++] = note;
}

bool problems_merge(struct problems *problems, struct problems *from, uint64_t line_offset,
                    struct err *err) {
    assert(problems != from);
    if (!merge_counts(problems, from, line_offset, err)) {
        return false;
    }
    for (size_t index = 0; index < from->kept_count; index++) {
        struct problem problem = from->kept[index];
        problem.line += problem.line > 0 ? line_offset : 0;
        problems_keep(problems, problem);
    }
    from->kept_count = 0;
    from->is_cut = false;
    for (size_t index = 0; index < from->notes_count; index++) {
        take_note(problems, from->notes[index]);
    }
    from->notes_count = 0;
    return true;
}

/* --- telling --------------------------------------------------------------------------------- */

static int file_compare(const void *left_file, const void *right_file) {
    const struct file_count *left = left_file;
    const struct file_count *right = right_file;
    if (left->rows_count != right->rows_count) {
        return left->rows_count > right->rows_count ? -1 : 1;
    }
    return strcmp(left->name, right->name);
}

static bool append_details(const struct problems *problems, struct problem *sorted,
                           struct buffer *details, struct err *err) {
    size_t shown = problems->kept_count < PROBLEMS_MAX ? problems->kept_count : PROBLEMS_MAX;
    memcpy(sorted, problems->kept, problems->kept_count * sizeof *sorted);
    qsort(sorted, problems->kept_count, sizeof *sorted, problem_compare);
    for (size_t index = 0; index < shown; index++) {
        const struct problem *problem = &sorted[index];
        char line[32] = "";
        if (problem->line > 0) {
            (void)snprintf(line, sizeof line, ":%llu", (unsigned long long)problem->line);
        }
        if (!buffer_append_format(details, err, "%s%s: %s%s\n", problem->text, line,
                                  problem->column, problem->rest)) {
            return false;
        }
    }
    if (problems->count > shown &&
        !buffer_append_format(details, err, "and %llu more\n",
                              (unsigned long long)(problems->count - shown))) {
        return false;
    }
    return buffer_append(details, (struct text){"", 1}, err); /* its NUL */
}

static bool append_message(const struct problems *problems, struct file_count *sorted,
                           struct buffer *message, struct err *err) {
    memcpy(sorted, problems->files, problems->files_count * sizeof *sorted);
    qsort(sorted, problems->files_count, sizeof *sorted, file_compare);
    uint64_t rows_count = 0;
    bool has_line_zero = false;
    for (size_t index = 0; index < problems->files_count; index++) {
        rows_count += sorted[index].rows_count;
        has_line_zero = has_line_zero || sorted[index].has_line_zero;
    }
    if (!buffer_append_format(message, err, "%llu %s%s:", (unsigned long long)rows_count,
                              has_line_zero ? "problem" : "bad row", rows_count == 1 ? "" : "s")) {
        return false;
    }
    for (size_t index = 0; index < problems->files_count && index < FILES_SHOWN_MAX; index++) {
        if (!buffer_append_format(message, err, "%s %.100s %llu", index > 0 ? "," : "",
                                  sorted[index].name,
                                  (unsigned long long)sorted[index].rows_count)) {
            return false;
        }
    }
    if (problems->files_count > FILES_SHOWN_MAX &&
        !buffer_append_format(message, err, ", and %zu more file%s",
                              problems->files_count - FILES_SHOWN_MAX,
                              problems->files_count - FILES_SHOWN_MAX == 1 ? "" : "s")) {
        return false;
    }
    return true;
}

bool problems_check(const struct problems *problems, struct err *err) {
    if (problems->count == 0) {
        return true;
    }
    struct buffer details = {0};
    struct buffer message = {0};
    size_t sorted_bytes = problems->kept_count * sizeof(struct problem);
    size_t files_bytes = problems->files_count * sizeof(struct file_count);
    struct problem *sorted = mem_alloc(sorted_bytes);
    struct file_count *files = mem_alloc(files_bytes);
    if (sorted == NULL || files == NULL) {
        (void)err_memory(err, sorted == NULL ? sorted_bytes : files_bytes);
    } else if (append_message(problems, files, &message, err) &&
               append_details(problems, sorted, &details, err)) {
        (void)err_set(err, ERR_INPUT, "%.*s", (int)message.size_bytes, message.bytes);
        (void)err_hint(err, "nothing was written; correct the rows listed and run again");
        err_take_details(err, details.bytes);
        details = (struct buffer){0};
    }
    mem_free(sorted);
    mem_free(files);
    buffer_release(&message);
    buffer_release(&details);
    return false;
}

/* --- notes ----------------------------------------------------------------------------------- */

bool problems_note(struct problems *problems, struct err *err, const char *format, ...) {
    if (problems->notes_count == NOTES_MAX) {
        return true; /* nothing is lost that the result depends on */
    }
    enum { NOTE_MAX = 1024 };
    char *note = mem_alloc(NOTE_MAX);
    if (note == NULL) {
        return err_memory(err, NOTE_MAX);
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(note, NOTE_MAX, format, arguments);
    va_end(arguments);
    take_note(problems, note);
    return true;
}

const char *problems_note_text(const struct problems *problems, size_t note_index) {
    return note_index < problems->notes_count ? problems->notes[note_index] : NULL;
}
