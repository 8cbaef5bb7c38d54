#include "cli/print.h"

#include <ctype.h>
#include <stdio.h>

#include "cli/cli.h"

/* --- for people ---------------------------------------------------------------------------------
 */

/* Control characters: below space, DEL, and U+0080 to U+009F (C2 80 to C2 9F in UTF-8). */
static size_t control_size(struct text text, size_t at) {
    unsigned char byte = (unsigned char)text.bytes[at];
    if (byte < 0x20 || byte == 0x7f) {
        return 1;
    }
    bool is_second_page =
        byte == 0xc2 && at + 1 < text.size_bytes && (unsigned char)text.bytes[at + 1] < 0xa0;
    return is_second_page ? 2 : 0;
}

static bool escape_control(struct buffer *line, struct text control, struct err *err) {
    unsigned char byte = (unsigned char)control.bytes[control.size_bytes - 1];
    if (byte == '\n' || byte == '\t') {
        return buffer_append(line, text_from(byte == '\n' ? "\\n" : "\\t"), err);
    }
    return buffer_append_format(line, err, "\\x%02x", byte);
}

bool print_escape(struct buffer *line, struct text text, struct err *err) {
    size_t from = 0;
    for (size_t at = 0; at < text.size_bytes;) {
        size_t size = control_size(text, at);
        if (size == 0) {
            at++;
            continue;
        }
        if (!buffer_append(line, (struct text){text.bytes + from, at - from}, err) ||
            !escape_control(line, (struct text){text.bytes + at, size}, err)) {
            return false;
        }
        at += size;
        from = at;
    }
    return buffer_append(line, (struct text){text.bytes + from, text.size_bytes - from}, err);
}

/* Bytes 10xxxxxx go on with the character before. */
static bool begins_character(char byte) {
    return ((unsigned char)byte & 0xc0) != 0x80;
}

bool print_pad(struct buffer *line, struct text text, size_t width, struct err *err) {
    size_t begin = line->size_bytes;
    if (!print_escape(line, text, err)) {
        return false;
    }
    size_t characters = 0;
    size_t cut = line->size_bytes; /* where the last character that may stay begins */
    for (size_t at = begin; at < line->size_bytes; at++) {
        if (begins_character(line->bytes[at])) {
            characters++;
            cut = characters == width ? at : cut;
        }
    }
    if (characters > width) {
        line->size_bytes = cut;
        return buffer_append(line, text_from("…"), err);
    }
    return buffer_append_format(line, err, "%*s", (int)(width - characters), "");
}

/* Of an escaped text: its characters. */
static size_t count_characters(const char *bytes, size_t size_bytes) {
    size_t characters = 0;
    for (size_t at = 0; at < size_bytes; at++) {
        characters += begins_character(bytes[at]) ? 1 : 0;
    }
    return characters;
}

size_t print_width(struct text text) {
    size_t width = 0;
    for (size_t at = 0; at < text.size_bytes;) {
        size_t size = control_size(text, at);
        bool is_short = size == 1 && (text.bytes[at] == '\n' || text.bytes[at] == '\t');
        bool is_plain = size == 0;
        width += is_plain ? (begins_character(text.bytes[at]) ? 1 : 0) : is_short ? 2 : 4;
        at += is_plain ? 1 : size;
    }
    return width;
}

bool print_fill(struct buffer *line, struct text text, size_t width, struct err *err) {
    size_t begin = line->size_bytes;
    if (!print_escape(line, text, err)) {
        return false;
    }
    size_t characters = count_characters(line->bytes + begin, line->size_bytes - begin);
    return characters >= width ||
           buffer_append_format(line, err, "%*s", (int)(width - characters), "");
}

/* Commas between the thousands of the whole part. */
static size_t group_digits(const char *plain, char text[PRINT_NUMBER_MAX]) {
    size_t size = 0;
    if (*plain == '-') {
        text[size++] = *plain++;
    }
    size_t whole = strcspn(plain, ".");
    for (size_t digit = 0; digit < whole; digit++) {
        if (digit > 0 && (whole - digit) % 3 == 0) {
            text[size++] = ',';
        }
        text[size++] = plain[digit];
    }
    size_t rest = strlen(plain + whole);
    memcpy(text + size, plain + whole, rest + 1);
    return size + rest;
}

size_t print_decimal(struct decimal value, char text[PRINT_NUMBER_MAX]) {
    char plain[DECIMAL_TEXT_MAX];
    (void)decimal_format(value, plain);
    return group_digits(plain, text);
}

size_t print_count(uint64_t value, char text[PRINT_NUMBER_MAX]) {
    char plain[32];
    (void)snprintf(plain, sizeof plain, "%llu", (unsigned long long)value);
    return group_digits(plain, text);
}

size_t print_amount(struct decimal amount, const struct currency *currency,
                    char text[PRINT_NUMBER_MAX]) {
    char plain[DECIMAL_TEXT_MAX];
    int128 minor_unit = 1;
    for (int place = currency->decimals; place < DECIMAL_PLACES; place++) {
        minor_unit *= 10;
    }
    if (amount.units % minor_unit != 0) {
        return print_decimal(amount, text); /* an estimate, or an edited file: in full */
    }
    (void)money_format(amount, currency, plain);
    return group_digits(plain, text);
}

size_t print_money(struct decimal amount, const struct currency *currency,
                   char text[PRINT_NUMBER_MAX]) {
    size_t size = print_amount(amount, currency, text);
    text[size++] = ' ';
    for (const char *letter = currency->code; *letter != '\0'; letter++) {
        text[size++] = (char)toupper((unsigned char)*letter);
    }
    text[size] = '\0';
    return size;
}

size_t print_difference(struct decimal amount, const struct currency *currency,
                        char text[PRINT_NUMBER_MAX]) {
    size_t size = print_money(amount, currency, text);
    if (amount.units > 0) {
        memmove(text + 1, text, size + 1);
        text[0] = '+';
        size++;
    }
    return size;
}

/* --- CSV and JSON -------------------------------------------------------------------------------
 */

bool print_csv(struct console *console, struct text text, struct err *err) {
    bool is_quoted = false;
    for (size_t at = 0; at < text.size_bytes && !is_quoted; at++) {
        is_quoted = strchr(",\"\r\n", text.bytes[at]) != NULL && text.bytes[at] != '\0';
    }
    if (!is_quoted) {
        return console_out_text(console, text, err);
    }
    bool is_fine = console_out_text(console, text_from("\""), err);
    size_t from = 0;
    for (size_t at = 0; is_fine && at < text.size_bytes; at++) {
        if (text.bytes[at] == '"') {
            is_fine =
                console_out_text(console, (struct text){text.bytes + from, at + 1 - from}, err);
            from = at; /* the quote once more */
        }
    }
    return is_fine &&
           console_out_text(console, (struct text){text.bytes + from, text.size_bytes - from},
                            err) &&
           console_out_text(console, text_from("\""), err);
}

bool print_json(struct console *console, struct text text, struct err *err) {
    bool is_fine = console_out_text(console, text_from("\""), err);
    size_t from = 0;
    for (size_t at = 0; is_fine && at < text.size_bytes; at++) {
        unsigned char byte = (unsigned char)text.bytes[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f) {
            continue;
        }
        is_fine = console_out_text(console, (struct text){text.bytes + from, at - from}, err) &&
                  (byte == '"' || byte == '\\' ? console_out(console, err, "\\%c", byte)
                                               : console_out(console, err, "\\u%04x", byte));
        from = at + 1;
    }
    return is_fine &&
           console_out_text(console, (struct text){text.bytes + from, text.size_bytes - from},
                            err) &&
           console_out_text(console, text_from("\""), err);
}

enum { CELL_TEXT_MAX = DECIMAL_TEXT_MAX };

_Static_assert((int)CELL_TEXT_MAX >= (int)INSTANT_TEXT_MAX, "a cell has room for an instant");

/* Every type but UTF8, none of which needs quoting. */
static struct text cell_text(const struct table_cursor *cursor, size_t column, enum table_type type,
                             char text[CELL_TEXT_MAX]) {
    size_t size = 0;
    switch (type) {
    case TABLE_DECIMAL:
        size = decimal_format(table_get_decimal(cursor, column), text);
        break;
    case TABLE_UTF8:
        return table_get_text(cursor, column);
    case TABLE_INT64:
        size = (size_t)snprintf(text, CELL_TEXT_MAX, "%lld",
                                (long long)table_get_int64(cursor, column));
        break;
    case TABLE_TIMESTAMP:
        size = instant_format(table_get_instant(cursor, column), text);
        break;
    case TABLE_DATE:
        size = civil_format(table_get_date(cursor, column), text);
        break;
    case TABLE_BOOL:
        return text_from(table_get_bool(cursor, column) ? "true" : "false");
    }
    return (struct text){text, size};
}

bool print_cell_csv(struct console *console, const struct table_cursor *cursor, size_t column,
                    enum table_type type, struct err *err) {
    char text[CELL_TEXT_MAX];
    if (table_is_null(cursor, column)) {
        return true;
    }
    struct text cell = cell_text(cursor, column, type, text);
    return type == TABLE_UTF8 ? print_csv(console, cell, err)
                              : console_out_text(console, cell, err);
}

bool print_cell_json(struct console *console, const struct table_cursor *cursor, size_t column,
                     enum table_type type, struct err *err) {
    char text[CELL_TEXT_MAX];
    if (table_is_null(cursor, column)) {
        return console_out_text(console, text_from("null"), err);
    }
    struct text cell = cell_text(cursor, column, type, text);
    return type == TABLE_BOOL ? console_out_text(console, cell, err)
                              : print_json(console, cell, err);
}

bool print_format(const struct cli *cli, enum print_format *format, struct err *err) {
    const char *text = option_value(&cli->options, OPTION_FORMAT);
    *format = PRINT_TEXT;
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "csv") == 0 || strcmp(text, "json") == 0) {
        *format = text[0] == 'c' ? PRINT_CSV : PRINT_JSON;
        return true;
    }
    return err_set(err, ERR_USAGE, "--format: '%s' is neither csv nor json", text);
}
