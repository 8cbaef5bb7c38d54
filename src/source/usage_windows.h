/*
 * Windows: the blocks of a CSV file in order, each in memory, with what must be known of it before
 * its rows are looked at.
 *
 *     windows_init(&windows, usage, csv, fingerprint)
 *     windows_read_ahead(&windows, err)                   or not
 *     windows_next(&windows, &own, &window, err) …        until *window is NULL
 *     windows_release(&windows)
 *
 * Either each thread reads blocks by itself, into a window of its own; or, after
 * windows_read_ahead, one thread more reads ahead of the single one that takes them, so that
 * reading, hashing and scanning cost that one little time. Where no more thread can be had, it is
 * as if nobody had asked for it. Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_WINDOWS_H
#define PERIODCLOSE_SOURCE_USAGE_WINDOWS_H

#include "fingerprint.h"
#include "split.h"
#include "usage_state.h"

/* So many bytes before bytes[0] are readable, and SPLIT_SLACK_BYTES behind the last one. */
enum { WINDOW_PAD_BYTES = 8 };

struct window {
    char *memory; /* NULL: none yet */
    char *bytes;  /* the block is bytes[1, end); bytes[0] is the byte before it */
    uint64_t index;
    uint64_t offset; /* in the file, of bytes[1] */
    size_t start;    /* its rows are in [start, end): 1, but behind the header in the first one */
    size_t end;
    size_t tail_end;          /* what was read beyond it is bytes[end, tail_end) */
    struct split_facts facts; /* of [start, end) */
    bool has_odd_quotes;      /* an odd number of them */
};

struct windows_ahead;

struct windows {
    const struct usage *usage;
    const struct csv_file *csv;
    struct fingerprint *fingerprint; /* NULL: blocks are not its blocks */
    uint64_t first_block;            /* that of the first row */
    uint64_t blocks_count;
    _Atomic uint64_t next_block;
    struct windows_ahead *ahead; /* NULL: nobody reads ahead */
};

/* The file has rows. */
void windows_init(struct windows *windows, const struct usage *usage, const struct csv_file *csv,
                  struct fingerprint *fingerprint);
bool windows_read_ahead(struct windows *windows, struct err *err);
/* Stops reading ahead. */
void windows_release(struct windows *windows);

/*
 * *window: the next block, good until the thread's next call; NULL behind the last one. own is the
 * thread's, all zero at first, and released by window_release.
 */
bool windows_next(struct windows *windows, struct window *own, struct window **window,
                  struct err *err);
void window_release(struct window *window); /* none is fine */

#endif
