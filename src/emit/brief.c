#include "brief.h"

#include <assert.h>

#include "answer.h"

enum { DEPTH_MAX = 63, DIGITS_MAX = 18 };

struct scan {
    const char *at;
    const char *end;
    uint64_t objects; /* bit per level: an object, or else an array; the innermost is bit 0 */
    unsigned depth;
    unsigned seen; /* which of the fields of the brief were there */
};

/* --- tokens -------------------------------------------------------------------------------------
 */

static void skip_spaces(struct scan *scan) {
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t')) {
        scan->at++;
    }
}

static bool take(struct scan *scan, char byte) {
    if (scan->at < scan->end && *scan->at == byte) {
        scan->at++;
        return true;
    }
    return false;
}

/* Whether none of them ends a string or needs a look: a byte that is a quote, a backslash, a
 * control or no ASCII leaves its highest bit (others behind it may, too). */
static bool is_plain_eight(const char *bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t eight;
    memcpy(&eight, bytes, sizeof eight);
    uint64_t quotes = eight ^ (ones * '"');
    uint64_t slashes = eight ^ (ones * '\\');
    uint64_t found = (eight - ones * ' ') | (quotes - ones) | (slashes - ones) | eight;
    return (found & (ones * 0x80)) == 0;
}

/* Behind the first quote. One with an escape in it is left to jansson. */
static bool take_string(struct scan *scan, struct text *string) {
    const char *start = scan->at;
    bool is_ascii = true;
    while (scan->end - scan->at >= 8 && is_plain_eight(scan->at)) {
        scan->at += 8;
    }
    while (scan->at < scan->end && *scan->at != '"') {
        unsigned char byte = (unsigned char)*scan->at++;
        if (byte < ' ' || byte == '\\') {
            return false;
        }
        is_ascii = is_ascii && byte < 0x80;
    }
    *string = (struct text){start, (size_t)(scan->at - start)};
    return take(scan, '"') && (is_ascii || text_is_utf8(*string));
}

static bool is_digit(const struct scan *scan) {
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

/* Whole numbers alone. */
static bool take_number(struct scan *scan, int64_t *number) {
    bool is_negative = take(scan, '-');
    const char *start = scan->at;
    *number = 0;
    while (is_digit(scan) && scan->at - start < DIGITS_MAX) {
        *number = *number * 10 + (*scan->at++ - '0');
    }
    *number = is_negative ? -*number : *number;
    size_t digits_count = (size_t)(scan->at - start);
    bool goes_on = is_digit(scan) || (scan->at < scan->end &&
                                      (*scan->at == '.' || *scan->at == 'e' || *scan->at == 'E'));
    return digits_count > 0 && !goes_on && (digits_count == 1 || *start != '0');
}

static bool take_word(struct scan *scan, const char *word) {
    size_t size = strlen(word);
    bool is_there = (size_t)(scan->end - scan->at) >= size && memcmp(scan->at, word, size) == 0;
    scan->at += is_there ? size : 0;
    return is_there;
}

/* --- values -------------------------------------------------------------------------------------
 */

/* Of the outermost object. False: it was there before. */
static bool note(struct scan *scan, struct brief *brief, struct text name, struct text string,
                 int64_t number) {
    static const char *const names[] = {"id", "currency", "customer", "invoice", "amount"};
    struct text *const texts[] = {&brief->id, &brief->currency, &brief->customer, &brief->invoice};
    for (unsigned index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (!text_equals(name, text_from(names[index]))) {
            continue;
        }
        if (index < sizeof texts / sizeof texts[0]) {
            *texts[index] = string;
        } else {
            brief->amount = number;
        }
        bool is_first = (scan->seen >> index & 1U) == 0;
        scan->seen |= 1U << index;
        return is_first;
    }
    return true;
}

static bool begin(struct scan *scan, bool is_object) {
    if (scan->depth == DEPTH_MAX) {
        return false;
    }
    scan->objects = scan->objects << 1 | (is_object ? 1U : 0U);
    scan->depth++;
    return true;
}

static bool is_in_object(const struct scan *scan) {
    return (scan->objects & 1U) != 0;
}

static bool take_name(struct scan *scan, struct text *name) {
    skip_spaces(scan);
    if (!take(scan, '"') || !take_string(scan, name)) {
        return false;
    }
    skip_spaces(scan);
    return take(scan, ':');
}

/* A value, or the beginning of one with others inside: *is_open. */
static bool take_value(struct scan *scan, struct text *string, int64_t *number, bool *is_open) {
    *string = (struct text){"", 0};
    *number = 0;
    *is_open = false;
    skip_spaces(scan);
    if (scan->at == scan->end) {
        return false;
    }
    switch (*scan->at) {
    case '"':
        scan->at++;
        return take_string(scan, string);
    case '{':
    case '[':
        *is_open = true;
        return begin(scan, *scan->at++ == '{');
    case 't':
        return take_word(scan, "true");
    case 'f':
        return take_word(scan, "false");
    case 'n':
        return take_word(scan, "null");
    default:
        return take_number(scan, number);
    }
}

/* The ends of what is open, and what separates the next value; *is_over: all is closed. */
static bool take_ends(struct scan *scan, bool *is_over) {
    skip_spaces(scan);
    while (scan->depth > 0 && take(scan, is_in_object(scan) ? '}' : ']')) {
        scan->objects >>= 1;
        scan->depth--;
        skip_spaces(scan);
    }
    *is_over = scan->depth == 0;
    return *is_over || take(scan, ',');
}

/* One that may be empty is closed at once. */
static bool is_empty(struct scan *scan) {
    skip_spaces(scan);
    return scan->at < scan->end && *scan->at == (is_in_object(scan) ? '}' : ']');
}

bool brief_scan(struct text body, struct brief *brief) {
    struct scan scan = {.at = body.bytes, .end = body.bytes + body.size_bytes};
    struct text name = {"", 0};
    struct text string;
    int64_t number;
    bool is_open;
    bool is_over = false;
    *brief = brief_of(NULL);
    brief->is_given = true;
    if (body.size_bytes == 0 || !take_value(&scan, &string, &number, &is_open) || !is_open ||
        !is_in_object(&scan)) {
        return false;
    }
    while (!is_over) {
        if (!is_open || !is_empty(&scan)) {
            bool is_field = scan.depth == 1;
            if ((is_in_object(&scan) && !take_name(&scan, &name)) ||
                !take_value(&scan, &string, &number, &is_open) ||
                (is_field && !note(&scan, brief, name, string, number))) {
                return false;
            }
            if (is_open) {
                continue;
            }
        }
        is_open = false;
        if (!take_ends(&scan, &is_over)) {
            return false;
        }
    }
    return scan.at == scan.end;
}

struct brief brief_of(const json_t *object) {
    return (struct brief){
        .id = text_from(object_text(object, "id")),
        .currency = text_from(object_text(object, "currency")),
        .customer = text_from(object_text(object, "customer")),
        .invoice = text_from(object_text(object, "invoice")),
        .amount = json_integer_value(json_object_get(object, "amount")),
        .is_given = object != NULL,
    };
}
