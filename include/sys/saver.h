/*
 * Savers: a file that matters, hashed, written and made durable beside the work that fills it.
 *
 *     saver_create(sys, path, &saver, err)    creates PATH.tmp, as file_replace_begin does
 *     saver_give(saver, &buffer, err) …       the content in order, a buffer at a time
 *     saver_give_pieces(saver, &buffer, pieces, pieces_count, err) …    or without copying it
 *     saver_end(saver)                        nothing more comes: the rest goes on by itself
 *     saver_finish(saver, &digest, err)       waits until the file is there, durable
 *     saver_destroy(saver)                    instead, at any point: leaves no PATH.tmp
 *
 * Of many files in one folder, that are read before they must be durable, in place of saver_finish:
 *
 *     saver_digest(saver, &digest, err)       waits until all is in PATH.tmp
 *     saver_leave(saver, err)                 waits until PATH.tmp is durable: file_replace_adopt
 *
 * A saver has a thread of its own from its first buffer on, because SHA-256, writing and waiting
 * for the disk take as long as computing what is written. Where no thread can be had the caller
 * does all of it, in the same order: that is how the tests that count calls see it. What the thread
 * fails at is told by the next saver_give or by saver_finish.
 *
 * A few buffers are under way at most; then saver_give waits. The thread allocates nothing. Each
 * function is for one thread at a time.
 */
#ifndef PERIODCLOSE_SYS_SAVER_H
#define PERIODCLOSE_SYS_SAVER_H

#include "core/digest.h"
#include "sys/files.h"

/* A buffer is best given at about this size: it fits in a cache while it is hashed and copied. */
enum { SAVER_BUFFER_BYTES = 128 * 1024, SAVER_PIECES_MAX = 200 };

struct saver;

/*
 * A stretch of content. Lent: the memory is left alone by its owner until the next
 * saver_give_pieces or saver_settle has come back. Given: it is of mem_alloc, and the saver's own
 * from now on. Neither: the next size_bytes of the buffer that comes with it.
 */
struct saver_piece {
    const void *lent;
    void *given;
    size_t size_bytes;
};

bool saver_create(const struct sys *sys, const char *path, struct saver **saver, struct err *err);
const char *saver_path(const struct saver *saver);
uint64_t saver_size_bytes(const struct saver *saver); /* given so far */

/* The buffer comes back empty, with the memory of one given before. */
bool saver_give(struct saver *saver, struct buffer *buffer, struct err *err);
/* Up to SAVER_PIECES_MAX pieces, all of the buffer among them. What is given is taken also by a
 * failure. */
bool saver_give_pieces(struct saver *saver, struct buffer *buffer, const struct saver_piece *pieces,
                       size_t pieces_count, struct err *err);
/* Waits until nothing lent is needed any more. A failure is told later. */
void saver_settle(struct saver *saver);
void saver_end(struct saver *saver);
/* SHA-256 of the whole content, ended. */
bool saver_digest(struct saver *saver, struct digest *digest, struct err *err);
/* Would saver_leave come back at once? True also where there is no thread to wait for. */
bool saver_is_left(struct saver *saver);
/* The saver is gone after both, also after a failure. */
bool saver_leave(struct saver *saver, struct err *err);
bool saver_finish(struct saver *saver, struct digest *digest, struct err *err);
void saver_destroy(struct saver *saver); /* NULL is fine */

#endif
