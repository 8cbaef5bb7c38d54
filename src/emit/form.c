#include "emit/form.h"

/* Letters, digits and "-_.~": bit n of word w is byte 64 w + n. */
static bool is_plain(unsigned char byte) {
    static const uint64_t words[4] = {UINT64_C(0x03FF600000000000), UINT64_C(0x47FFFFFE87FFFFFE)};
    return (words[byte >> 6] >> (byte & 63) & 1U) != 0;
}

/* Bare brackets in a value, too, are what Stripe's own clients send. */
static bool encode(struct buffer *form, struct text value, bool has_bare_brackets,
                   struct err *err) {
    static const char hex[] = "0123456789ABCDEF";
    if (value.size_bytes == 0) {
        return true;
    }
    if (!buffer_reserve(form, value.size_bytes * 3, err)) {
        return false;
    }
    char *at = form->bytes + form->size_bytes;
    for (size_t index = 0; index < value.size_bytes; index++) {
        unsigned char byte = (unsigned char)value.bytes[index];
        if (is_plain(byte) || (has_bare_brackets && (byte == '[' || byte == ']'))) {
            *at++ = (char)byte;
        } else {
            *at++ = '%';
            *at++ = hex[byte >> 4];
            *at++ = hex[byte & 15];
        }
    }
    form->size_bytes = (size_t)(at - form->bytes);
    return true;
}

bool form_encode(struct buffer *form, struct text value, struct err *err) {
    return encode(form, value, false, err);
}

/* Names are our own words: only their brackets are no plain bytes. */
static bool form_name(struct buffer *form, const char *name, struct err *err) {
    size_t size = strlen(name);
    if (!buffer_reserve(form, size + 2, err)) {
        return false;
    }
    char *at = form->bytes + form->size_bytes;
    if (form->size_bytes > 0) {
        *at++ = '&';
    }
    memcpy(at, name, size);
    at[size] = '=';
    form->size_bytes = (size_t)(at + size + 1 - form->bytes);
    return true;
}

bool form_text(struct buffer *form, const char *name, struct text value, struct err *err) {
    return form_name(form, name, err) && encode(form, value, true, err);
}

/* By hand: a body has several of them, and there may be a million bodies. */
bool form_digits(struct buffer *form, int64_t value, struct err *err) {
    char digits[24];
    char *at = digits + sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) {
        *--at = '-';
    }
    return buffer_append(form, (struct text){at, (size_t)(digits + sizeof digits - at)}, err);
}

bool form_int64(struct buffer *form, const char *name, int64_t value, struct err *err) {
    return form_name(form, name, err) && form_digits(form, value, err);
}

bool form_bool(struct buffer *form, const char *name, bool value, struct err *err) {
    return form_name(form, name, err) &&
           buffer_append(form, text_from(value ? "true" : "false"), err);
}
