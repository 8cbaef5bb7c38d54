#include "source/spill.h"

#include <assert.h>
#include <stdatomic.h>

#include "core/memory.h"

struct chunk_header {
    uint32_t next; /* 0: the last one */
    uint32_t used_bytes;
    uint64_t padding; /* keeps pairs from crossing chunks */
};

_Static_assert(sizeof(struct chunk_header) == SPILL_PAIR_BYTES, "a header takes one pair's room");

struct spill {
    struct file file;
    size_t chunk_bytes;
    _Atomic uint32_t chunks_count;
};

bool spill_create(const struct sys *sys, const char *path, size_t chunk_bytes, struct spill **spill,
                  struct err *err) {
    assert(chunk_bytes >= SPILL_CHUNK_BYTES_MIN && chunk_bytes <= SPILL_CHUNK_BYTES_MAX);
    assert(chunk_bytes % SPILL_PAIR_BYTES == 0);
    struct spill *created = mem_alloc(sizeof *created);
    if (created == NULL) {
        return err_memory(err, sizeof *created);
    }
    created->chunk_bytes = chunk_bytes;
    if (!file_create(sys, path, &created->file, err)) {
        mem_free(created);
        return false;
    }
    *spill = created;
    return true;
}

void spill_destroy(struct spill *spill) {
    if (spill == NULL) {
        return;
    }
    struct err err = {0};
    file_abandon(&spill->file);
    /* What stays behind is scratch: the next run removes the folder. */
    if (!path_remove(spill->file.sys, spill->file.path, &err)) {
        err_release(&err);
    }
    mem_free(spill);
}

size_t spill_chunk_bytes(const struct spill *spill) {
    return spill->chunk_bytes;
}

static bool take_chunk_number(struct spill *spill, uint32_t *number, struct err *err) {
    uint32_t before = atomic_fetch_add(&spill->chunks_count, 1);
    if (before >= UINT32_MAX - 1024) {
        return err_set(err, ERR_RANGE, "'%s' has too many chunks", spill->file.path);
    }
    *number = before + 1;
    return true;
}

static uint64_t chunk_offset(const struct spill *spill, uint32_t chunk) {
    return (uint64_t)(chunk - 1) * spill->chunk_bytes;
}

static bool write_chunk(struct spill *spill, struct spill_stream *stream, uint32_t next,
                        struct err *err) {
    struct chunk_header header = {
        .next = next,
        .used_bytes = stream->used_bytes - (uint32_t)sizeof header,
    };
    memcpy(stream->buffer, &header, sizeof header);
    stream->size_bytes += header.used_bytes;
    return file_write_at(&spill->file, chunk_offset(spill, stream->chunk), stream->buffer,
                         stream->used_bytes, err);
}

bool spill_append(struct spill *spill, struct spill_stream *stream, const void *bytes,
                  size_t size_bytes, struct err *err) {
    const unsigned char *from = bytes;
    if (stream->buffer == NULL) {
        assert(stream->first_chunk == 0);
        stream->buffer = mem_alloc(spill->chunk_bytes);
        if (stream->buffer == NULL) {
            return err_memory(err, spill->chunk_bytes);
        }
        if (!take_chunk_number(spill, &stream->chunk, err)) {
            return false;
        }
        stream->first_chunk = stream->chunk;
        stream->used_bytes = sizeof(struct chunk_header);
    }
    while (size_bytes > 0) {
        if (stream->used_bytes == spill->chunk_bytes) {
            uint32_t next = 0;
            if (!take_chunk_number(spill, &next, err) || !write_chunk(spill, stream, next, err)) {
                return false;
            }
            stream->chunk = next;
            stream->used_bytes = sizeof(struct chunk_header);
        }
        size_t room = spill->chunk_bytes - stream->used_bytes;
        size_t part = size_bytes < room ? size_bytes : room;
        memcpy(stream->buffer + stream->used_bytes, from, part);
        stream->used_bytes += (uint32_t)part;
        from += part;
        size_bytes -= part;
    }
    return true;
}

bool spill_flush(struct spill *spill, struct spill_stream *stream, struct err *err) {
    if (stream->buffer == NULL) {
        return true;
    }
    if (!write_chunk(spill, stream, 0, err)) {
        return false;
    }
    spill_abandon(stream);
    return true;
}

void spill_abandon(struct spill_stream *stream) {
    mem_free(stream->buffer);
    stream->buffer = NULL;
}

bool spill_reader_open(struct spill_reader *reader, struct spill *spill,
                       const struct spill_stream *stream, struct err *err) {
    assert(stream->buffer == NULL);
    *reader = (struct spill_reader){
        .spill = spill,
        .next_chunk = stream->first_chunk,
        .left_bytes = stream->size_bytes,
    };
    if (reader->left_bytes == 0) {
        return true;
    }
    reader->buffer = mem_alloc(spill->chunk_bytes);
    if (reader->buffer == NULL) {
        return err_memory(err, spill->chunk_bytes);
    }
    return true;
}

void spill_reader_close(struct spill_reader *reader) {
    mem_free(reader->buffer);
    mem_free(reader->joined);
    *reader = SPILL_READER_CLOSED;
}

static bool read_chunk(struct spill_reader *reader, struct err *err) {
    struct spill *spill = reader->spill;
    struct chunk_header header;
    size_t read_bytes = 0;
    if (reader->next_chunk != 0 &&
        !file_read_at(&spill->file, chunk_offset(spill, reader->next_chunk), reader->buffer,
                      spill->chunk_bytes, &read_bytes, err)) {
        return false;
    }
    if (read_bytes >= sizeof header) {
        memcpy(&header, reader->buffer, sizeof header);
    }
    if (read_bytes < sizeof header || header.used_bytes == 0 ||
        header.used_bytes > read_bytes - sizeof header || header.used_bytes > reader->left_bytes) {
        return err_set(err, ERR_FILE, "'%s' is not as it was written: changed by somebody else",
                       spill->file.path);
    }
    reader->at = sizeof header;
    reader->used_bytes = (uint32_t)sizeof header + header.used_bytes;
    reader->next_chunk = header.next;
    return true;
}

bool spill_take_chunk(struct spill_reader *reader, const unsigned char **bytes, size_t *size_bytes,
                      struct err *err) {
    if (reader->left_bytes > 0 && reader->at == reader->used_bytes && !read_chunk(reader, err)) {
        return false;
    }
    *bytes = reader->buffer + reader->at;
    *size_bytes = reader->used_bytes - reader->at;
    if (*size_bytes > reader->left_bytes) {
        *size_bytes = (size_t)reader->left_bytes;
    }
    reader->at += (uint32_t)*size_bytes;
    reader->left_bytes -= *size_bytes;
    return true;
}

/* size_bytes that lie in more than one chunk. */
static bool take_joined(struct spill_reader *reader, size_t size_bytes, const unsigned char **bytes,
                        struct err *err) {
    if (reader->joined_capacity_bytes < size_bytes) {
        unsigned char *joined = mem_realloc(reader->joined, size_bytes);
        if (joined == NULL) {
            return err_memory(err, size_bytes);
        }
        reader->joined = joined;
        reader->joined_capacity_bytes = size_bytes;
    }
    size_t done = 0;
    while (done < size_bytes) {
        if (reader->at == reader->used_bytes && !read_chunk(reader, err)) {
            return false;
        }
        size_t here = reader->used_bytes - reader->at;
        size_t part = size_bytes - done < here ? size_bytes - done : here;
        memcpy(reader->joined + done, reader->buffer + reader->at, part);
        reader->at += (uint32_t)part;
        reader->left_bytes -= part;
        done += part;
    }
    *bytes = reader->joined;
    return true;
}

bool spill_take(struct spill_reader *reader, size_t size_bytes, const unsigned char **bytes,
                struct err *err) {
    if (size_bytes > reader->left_bytes) {
        return err_set(err, ERR_FILE, "'%s' is not as it was written: changed by somebody else",
                       reader->spill->file.path);
    }
    if (reader->used_bytes - reader->at < size_bytes) {
        return take_joined(reader, size_bytes, bytes, err);
    }
    *bytes = reader->buffer + reader->at;
    reader->at += (uint32_t)size_bytes;
    reader->left_bytes -= size_bytes;
    return true;
}
