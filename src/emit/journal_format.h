/* The journal's bytes: records, the marks that end batches, and how both are checked. */
#ifndef PERIODCLOSE_SRC_EMIT_JOURNAL_FORMAT_H
#define PERIODCLOSE_SRC_EMIT_JOURNAL_FORMAT_H

#include "emit/journal.h"

/*
 * File:   header, then batches of records, each ended by a mark.
 * Header: magic 16, run id 32, checksum 8.
 * Record: checksum 8, length 4, type 4, content. The checksum is over length, type and content,
 *         seeded with the checksum of the record before (the header's for the first).
 * Mark:   a record of type RECORD_MARK; its content begins with a magic and ends with a checksum of
 *         its own, so that it is known wherever it stands.
 * Numbers are little-endian; a text has its length (4) before it.
 */
enum {
    JOURNAL_HEADER_BYTES = 56,
    RECORD_HEADER_BYTES = 16,
    RECORD_CONTENT_MAX = 64 * 1024,
    MARK_CONTENT_BYTES = 40,
    JOURNAL_TEXT_MAX = 4096, /* longer ones are cut */
};

enum record_type { RECORD_INTENT = 1, RECORD_ANSWER, RECORD_SWEPT, RECORD_MARK };

struct record {
    enum record_type type;
    struct text content;
    uint64_t checksum;
    size_t size_bytes; /* with its header */
};

struct mark {
    uint64_t number; /* of the batch, from 1 on */
    struct instant at;
};

bool header_format(const char *run_id, char header[JOURNAL_HEADER_BYTES]);
uint64_t header_checksum(const char header[JOURNAL_HEADER_BYTES]);
bool header_is_whole(const char header[JOURNAL_HEADER_BYTES]);

/* Appends a record; *chain is the checksum before, and becomes the record's. */
bool record_put(struct buffer *out, enum record_type type, struct text content, uint64_t *chain,
                struct err *err);
/* False when what stands at the start of bytes is no whole, right record. */
bool record_parse(struct text bytes, uint64_t chain, struct record *record);

void mark_format(struct mark mark, char content[MARK_CONTENT_BYTES]);
bool mark_parse(struct text content, struct mark *mark);
/* Is there a right mark with a number above `number` anywhere in bytes? */
bool mark_search(struct text bytes, uint64_t number);

bool intent_format(const struct journal_intent *intent, struct buffer *content, struct err *err);
bool intent_parse(struct text content, struct journal_intent *intent);
bool answer_format(const struct journal_answer *answer, struct buffer *content, struct err *err);
bool answer_parse(struct text content, struct journal_answer *answer);

#endif
