/*
 * Spill: many streams of bytes in one scratch file, so that rows can be spread into thousands of
 * buckets without thousands of open files and without memory that grows with the rows.
 *
 *     struct spill_stream stream = {0};
 *     spill_append(spill, &stream, bytes, size_bytes, err) …   one thread per stream
 *     spill_flush(spill, &stream, err)                         once; the stream is then read-only
 *     spill_reader_open(&reader, spill, &stream, err)          as often as needed
 *     spill_take(&reader, size_bytes, &bytes, err) …           until spill_is_at_end(&reader)
 *     spill_reader_close(&reader)
 *
 * The file is an array of chunks of one size. A chunk begins with the number of the stream's next
 * chunk and how many bytes of it are used; the stream itself only knows its first one. A stream
 * holds the memory of one chunk from its first byte until it is flushed. Streams of one spill may
 * be written and read by different threads at the same time. What is in the file may be lost: it is
 * never synced, and spill_destroy removes it. Codes: ERR_FILE, ERR_MEMORY.
 */
#ifndef PERIODCLOSE_SOURCE_SPILL_H
#define PERIODCLOSE_SOURCE_SPILL_H

#include <string.h>

#include "sys/files.h"

enum {
    SPILL_CHUNK_BYTES_MIN = 256,
    SPILL_CHUNK_BYTES_MAX = 64 * 1024,
    SPILL_PAIR_BYTES = 16, /* chunks hold a whole number of these, and of words */
};

struct spill;

struct spill_stream {
    unsigned char *buffer; /* the chunk being filled, its header first; NULL: empty or flushed */
    uint32_t used_bytes;   /* of the buffer, header included */
    uint32_t chunk;        /* number of the one being filled */
    uint32_t first_chunk;  /* 0: none, they are numbered from 1 */
    uint64_t size_bytes;   /* of all chunks written; all of the stream once it is flushed */
};

/* chunk_bytes: a multiple of SPILL_PAIR_BYTES within the bounds above. */
bool spill_create(const struct sys *sys, const char *path, size_t chunk_bytes, struct spill **spill,
                  struct err *err);
void spill_destroy(struct spill *spill); /* NULL is fine */
size_t spill_chunk_bytes(const struct spill *spill);

bool spill_append(struct spill *spill, struct spill_stream *stream, const void *bytes,
                  size_t size_bytes, struct err *err);
bool spill_flush(struct spill *spill, struct spill_stream *stream, struct err *err);
/* Gives the memory back of a stream that will not be flushed. */
void spill_abandon(struct spill_stream *stream);

static inline bool spill_is_empty(const struct spill_stream *stream) {
    return stream->first_chunk == 0;
}

/* Two words, the common case of spill_append. chunk_bytes is the spill's. */
static inline bool spill_append_pair(struct spill *spill, struct spill_stream *stream,
                                     size_t chunk_bytes, const uint64_t pair[2], struct err *err) {
    if (stream->buffer != NULL && stream->used_bytes + SPILL_PAIR_BYTES <= chunk_bytes) {
        memcpy(stream->buffer + stream->used_bytes, pair, SPILL_PAIR_BYTES);
        stream->used_bytes += SPILL_PAIR_BYTES;
        return true;
    }
    return spill_append(spill, stream, pair, SPILL_PAIR_BYTES, err);
}

/* The same of one word. */
static inline bool spill_append_word(struct spill *spill, struct spill_stream *stream,
                                     size_t chunk_bytes, uint64_t word, struct err *err) {
    if (stream->buffer != NULL && stream->used_bytes + sizeof word <= chunk_bytes) {
        memcpy(stream->buffer + stream->used_bytes, &word, sizeof word);
        stream->used_bytes += (uint32_t)sizeof word;
        return true;
    }
    return spill_append(spill, stream, &word, sizeof word, err);
}

/*
 * Takes back the word that was appended last. False, and nothing happens, when it is all that the
 * stream's chunk holds.
 */
static inline bool spill_take_back_word(struct spill_stream *stream) {
    const uint32_t head_bytes = SPILL_PAIR_BYTES;
    if (stream->buffer == NULL || stream->used_bytes <= head_bytes + sizeof(uint64_t)) {
        return false;
    }
    stream->used_bytes -= (uint32_t)sizeof(uint64_t);
    return true;
}

struct spill_reader {
    struct spill *spill;
    unsigned char *buffer; /* one chunk */
    uint32_t at;           /* in the buffer */
    uint32_t used_bytes;
    uint32_t next_chunk;
    uint64_t left_bytes; /* not yet taken */
    unsigned char *joined;
    size_t joined_capacity_bytes;
};

#define SPILL_READER_CLOSED ((struct spill_reader){.buffer = NULL})

bool spill_reader_open(struct spill_reader *reader, struct spill *spill,
                       const struct spill_stream *stream, struct err *err);
void spill_reader_close(struct spill_reader *reader); /* closed is fine */

static inline bool spill_is_at_end(const struct spill_reader *reader) {
    return reader->left_bytes == 0;
}

/* The next size_bytes (asserted to be there), valid until the next call; aligned to nothing. */
bool spill_take(struct spill_reader *reader, size_t size_bytes, const unsigned char **bytes,
                struct err *err);

/* All that is left of the current chunk, at least one byte unless at the end: for streams of pairs
 * only, or of words only. */
bool spill_take_chunk(struct spill_reader *reader, const unsigned char **bytes, size_t *size_bytes,
                      struct err *err);

#endif
