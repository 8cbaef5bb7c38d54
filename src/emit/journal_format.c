#include "journal_format.h"

#include <assert.h>
#include <xxhash.h>

static const char file_magic[16] = "periodclose jrn1";
static const char mark_magic[16] = {(char)0xB7, 'e', 'n', 'd', ' ', 'o',        'f',        ' ',
                                    'b',        'a', 't', 'c', 'h', (char)0x9D, (char)0xE3, '\n'};

/* --- numbers and texts --------------------------------------------------------------------------
 */

static void put_number(char *bytes, uint64_t value, size_t size_bytes) {
    for (size_t index = 0; index < size_bytes; index++) {
        bytes[index] = (char)(unsigned char)(value >> (8 * index));
    }
}

static uint64_t get_number(const char *bytes, size_t size_bytes) {
    uint64_t value = 0;
    for (size_t index = 0; index < size_bytes; index++) {
        value |= (uint64_t)(unsigned char)bytes[index] << (8 * index);
    }
    return value;
}

static bool append_number(struct buffer *out, uint64_t value, size_t size_bytes, struct err *err) {
    char bytes[8];
    put_number(bytes, value, size_bytes);
    return buffer_append(out, (struct text){bytes, size_bytes}, err);
}

static bool append_text(struct buffer *out, struct text value, struct err *err) {
    size_t size = value.size_bytes < JOURNAL_TEXT_MAX ? value.size_bytes : JOURNAL_TEXT_MAX;
    while (size < value.size_bytes && size > 0 &&
           ((unsigned char)value.bytes[size] & 0xC0) == 0x80) {
        size--;
    }
    return append_number(out, size, 4, err) &&
           (size == 0 || buffer_append(out, (struct text){value.bytes, size}, err));
}

static bool append_key(struct buffer *out, const struct emit_key *key, struct err *err) {
    return buffer_append(out, (struct text){(const char *)key->bytes, sizeof key->bytes}, err);
}

/* Reads on from the start of *rest; false when there is not enough. */
static bool take_number(struct text *rest, size_t size_bytes, uint64_t *value) {
    if (rest->size_bytes < size_bytes) {
        return false;
    }
    *value = get_number(rest->bytes, size_bytes);
    *rest = (struct text){rest->bytes + size_bytes, rest->size_bytes - size_bytes};
    return true;
}

static bool take_text(struct text *rest, struct text *value) {
    uint64_t size;
    if (!take_number(rest, 4, &size) || size > rest->size_bytes) {
        return false;
    }
    *value = (struct text){rest->bytes, (size_t)size};
    *rest = (struct text){rest->bytes + size, rest->size_bytes - (size_t)size};
    return true;
}

static bool take_key(struct text *rest, struct emit_key *key) {
    if (rest->size_bytes < sizeof key->bytes) {
        return false;
    }
    memcpy(key->bytes, rest->bytes, sizeof key->bytes);
    *rest = (struct text){rest->bytes + sizeof key->bytes, rest->size_bytes - sizeof key->bytes};
    return true;
}

/* --- header, records, marks ---------------------------------------------------------------------
 */

uint64_t header_checksum(const char header[JOURNAL_HEADER_BYTES]) {
    return XXH3_64bits(header, JOURNAL_HEADER_BYTES - 8);
}

bool header_is_whole(const char header[JOURNAL_HEADER_BYTES]) {
    return memcmp(header, file_magic, sizeof file_magic) == 0 &&
           get_number(header + JOURNAL_HEADER_BYTES - 8, 8) == header_checksum(header);
}

bool header_format(const char *run_id, char header[JOURNAL_HEADER_BYTES]) {
    enum { RUN_ID_BYTES = 32 };
    if (strlen(run_id) != RUN_ID_BYTES) {
        return false;
    }
    memcpy(header, file_magic, sizeof file_magic);
    memcpy(header + sizeof file_magic, run_id, RUN_ID_BYTES);
    put_number(header + JOURNAL_HEADER_BYTES - 8, header_checksum(header), 8);
    return true;
}

bool record_put(struct buffer *out, enum record_type type, struct text content, uint64_t *chain,
                struct err *err) {
    assert(content.size_bytes <= RECORD_CONTENT_MAX);
    if (!buffer_reserve(out, RECORD_HEADER_BYTES + content.size_bytes, err)) {
        return false;
    }
    char *at = out->bytes + out->size_bytes;
    put_number(at + 8, content.size_bytes, 4);
    put_number(at + 12, type, 4);
    if (content.size_bytes > 0) {
        memcpy(at + RECORD_HEADER_BYTES, content.bytes, content.size_bytes);
    }
    *chain = XXH3_64bits_withSeed(at + 8, 8 + content.size_bytes, *chain);
    put_number(at, *chain, 8);
    out->size_bytes += RECORD_HEADER_BYTES + content.size_bytes;
    return true;
}

bool record_parse(struct text bytes, uint64_t chain, struct record *record) {
    if (bytes.size_bytes < RECORD_HEADER_BYTES) {
        return false;
    }
    uint64_t size = get_number(bytes.bytes + 8, 4);
    uint64_t type = get_number(bytes.bytes + 12, 4);
    if (size > RECORD_CONTENT_MAX || size > bytes.size_bytes - RECORD_HEADER_BYTES ||
        type < RECORD_INTENT || type > RECORD_MARK) {
        return false;
    }
    uint64_t checksum = XXH3_64bits_withSeed(bytes.bytes + 8, 8 + (size_t)size, chain);
    *record = (struct record){
        .type = (enum record_type)type,
        .content = {bytes.bytes + RECORD_HEADER_BYTES, (size_t)size},
        .checksum = checksum,
        .size_bytes = RECORD_HEADER_BYTES + (size_t)size,
    };
    return checksum == get_number(bytes.bytes, 8);
}

void mark_format(struct mark mark, char content[MARK_CONTENT_BYTES]) {
    memcpy(content, mark_magic, sizeof mark_magic);
    put_number(content + 16, mark.number, 8);
    put_number(content + 24, (uint64_t)mark.at.us, 8);
    put_number(content + 32, XXH3_64bits(content, 32), 8);
}

bool mark_parse(struct text content, struct mark *mark) {
    if (content.size_bytes != MARK_CONTENT_BYTES ||
        memcmp(content.bytes, mark_magic, sizeof mark_magic) != 0 ||
        get_number(content.bytes + 32, 8) != XXH3_64bits(content.bytes, 32)) {
        return false;
    }
    mark->number = get_number(content.bytes + 16, 8);
    mark->at.us = (int64_t)get_number(content.bytes + 24, 8);
    return true;
}

bool mark_search(struct text bytes, uint64_t number) {
    while (bytes.size_bytes >= MARK_CONTENT_BYTES) {
        const char *found = memmem(bytes.bytes, bytes.size_bytes, mark_magic, sizeof mark_magic);
        struct mark mark;
        if (found == NULL ||
            (size_t)(bytes.bytes + bytes.size_bytes - found) < MARK_CONTENT_BYTES) {
            return false;
        }
        if (mark_parse((struct text){found, MARK_CONTENT_BYTES}, &mark) && mark.number > number) {
            return true;
        }
        size_t skipped = (size_t)(found - bytes.bytes) + 1;
        bytes = (struct text){bytes.bytes + skipped, bytes.size_bytes - skipped};
    }
    return false;
}

/* --- contents -----------------------------------------------------------------------------------
 */

bool intent_format(const struct journal_intent *intent, struct buffer *content, struct err *err) {
    return append_key(content, &intent->key, err) &&
           append_number(content, intent->attempt, 4, err) &&
           append_number(content, (uint64_t)intent->at.us, 8, err) &&
           append_key(content, &intent->content, err) &&
           append_number(content, intent->place, 4, err) &&
           append_text(content, intent->place_id, err) &&
           append_text(content, intent->customer, err);
}

bool intent_parse(struct text content, struct journal_intent *intent) {
    uint64_t attempt;
    uint64_t at;
    uint64_t place;
    if (!take_key(&content, &intent->key) || !take_number(&content, 4, &attempt) ||
        !take_number(&content, 8, &at) || !take_key(&content, &intent->content) ||
        !take_number(&content, 4, &place) || place >= PLACES_COUNT ||
        !take_text(&content, &intent->place_id) || !take_text(&content, &intent->customer)) {
        return false;
    }
    intent->attempt = (unsigned)attempt;
    intent->at.us = (int64_t)at;
    intent->place = (enum emit_place)place;
    return content.size_bytes == 0;
}

bool answer_format(const struct journal_answer *answer, struct buffer *content, struct err *err) {
    return append_key(content, &answer->key, err) &&
           append_number(content, answer->attempt, 4, err) &&
           append_number(content, answer->outcome, 4, err) &&
           append_number(content, (uint64_t)answer->status, 4, err) &&
           append_number(content, (uint64_t)answer->amount, 8, err) &&
           append_text(content, answer->currency, err) &&
           append_text(content, answer->customer, err) &&
           append_text(content, answer->object_id, err) &&
           append_text(content, answer->request_id, err) &&
           append_text(content, answer->detail, err) &&
           append_text(content, answer->invoice_id, err);
}

bool answer_parse(struct text content, struct journal_answer *answer) {
    uint64_t attempt;
    uint64_t outcome;
    uint64_t status;
    uint64_t amount;
    if (!take_key(&content, &answer->key) || !take_number(&content, 4, &attempt) ||
        !take_number(&content, 4, &outcome) || !take_number(&content, 4, &status) ||
        !take_number(&content, 8, &amount) || outcome < OUTCOME_SENT || outcome > OUTCOME_ABSENT ||
        !take_text(&content, &answer->currency) || !take_text(&content, &answer->customer) ||
        !take_text(&content, &answer->object_id) || !take_text(&content, &answer->request_id) ||
        !take_text(&content, &answer->detail)) {
        return false;
    }
    /* Journals of before have none. */
    answer->invoice_id = (struct text){"", 0};
    if (content.size_bytes > 0 && !take_text(&content, &answer->invoice_id)) {
        return false;
    }
    answer->attempt = (unsigned)attempt;
    answer->outcome = (enum journal_outcome)outcome;
    answer->status = (int)status;
    answer->amount = (int64_t)amount;
    return content.size_bytes == 0;
}
