/*
 * A CSV file by all jobs at once, in blocks.
 *
 * A block owns the rows that begin in it. Where its first row begins depends on whether the block
 * begins inside quotes, and so on all quotes before it: workers take blocks in order, and each,
 * before it looks at its rows, waits until the blocks before have told how many quotes and lines
 * they hold. That is known right after a block was read, so nobody waits long, and the file is read
 * once. A block without a quote or a NUL goes through split_row; all others, and the rest of a
 * block from the first odd line on, go through csv_read, as does a row too long for the window.
 *
 * Strict CSV has an even number of quotes before every row. A file that is not strict may lead us
 * astray behind its first bad quote, but that quote is in a row that csv_read has refused, and
 * one bad row stops the run.
 */
#include <assert.h>

#include "core/memory.h"
#include "fingerprint.h"
#include "split.h"
#include "sys/process.h"
#include "usage_fold.h"

enum {
    PAD_BYTES = 8,        /* readable before the window: see feed_function */
    TAIL_BYTES = 4 * 1024 /* read beyond a block, for the row that crosses its end */
};

struct blocks {
    struct usage *usage;
    const struct csv_file *csv;
    feed_function *take;
    struct fingerprint *fingerprint; /* NULL: blocks are not its blocks */
    uint64_t first_block;            /* that of the first row */
    uint64_t blocks_count;
    _Atomic uint64_t next_block;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t turned;
    uint64_t turn;     /* the block whose quotes and lines are to be told next */
    bool is_in_quotes; /* at its start */
    uint64_t line;     /* of its first byte */
    bool has_stopped;  /* a worker failed */
};

/* One block in hand. window[0] is the byte before it. */
struct block {
    struct blocks *blocks;
    struct usage_feed *feed;
    char *memory;
    char *window;
    uint64_t offset; /* in the file, of window[1] */
    size_t start;    /* 1, but behind the header in the block that holds it */
    size_t end;      /* the block is window[1, end), its rows are in window[start, end) */
    size_t tail_end; /* what was read beyond it is window[end, tail_end) */
    struct split_facts facts;
    bool is_in_quotes;
    uint64_t line;
    struct feed_line lines[FEED_LINES_MAX]; /* split and not yet taken; absent fields are empty */
};

static bool block_init(struct block *block, struct err *err) {
    size_t window_bytes = 1 + block->blocks->usage->block_bytes + TAIL_BYTES;
    block->memory = mem_alloc(PAD_BYTES + window_bytes + SPLIT_SLACK_BYTES);
    if (block->memory == NULL) {
        return err_memory(err, window_bytes);
    }
    block->window = block->memory + PAD_BYTES;
    for (size_t row = 0; row < FEED_LINES_MAX; row++) {
        for (size_t column = 0; column < USAGE_COLUMNS_COUNT; column++) {
            block->lines[row].fields[column] = (struct text){.bytes = "", .size_bytes = 0};
        }
    }
    return true;
}

static void block_release(struct block *block) {
    mem_free(block->memory);
}

static bool block_load(struct block *block, uint64_t index, struct err *err) {
    const struct csv_file *csv = block->blocks->csv;
    size_t block_bytes = block->blocks->usage->block_bytes;
    block->offset = index * block_bytes;
    assert(block->offset < csv->size_bytes);
    uint64_t left = csv->size_bytes - block->offset;
    size_t wanted = left < block_bytes + TAIL_BYTES ? (size_t)left : block_bytes + TAIL_BYTES;
    size_t before = index > 0 ? 1 : 0;
    size_t read_bytes;
    if (!file_read_at(&csv->file, block->offset - before, block->window + 1 - before,
                      wanted + before, &read_bytes, err)) {
        return false;
    }
    if (read_bytes < wanted + before) {
        return err_set(err, ERR_INPUT, "'%s' was cut while it was read", csv->name);
    }
    if (block->blocks->fingerprint != NULL) {
        fingerprint_add(block->blocks->fingerprint, (size_t)index, block->window + 1);
    }
    block->start = index == block->blocks->first_block
                       ? 1 + (size_t)(csv->layout.rows_offset - block->offset)
                       : 1;
    block->end = 1 + (wanted < block_bytes ? wanted : block_bytes);
    block->tail_end = 1 + wanted;
    block->facts = (struct split_facts){0};
    split_scan(block->window, block->start, block->end, &block->facts);
    return true;
}

static bool count_quotes_is_odd(const struct block *block) {
    bool is_odd = false;
    for (size_t at = block->start; block->facts.has_quote && at < block->end; at++) {
        is_odd ^= block->window[at] == '"';
    }
    return is_odd;
}

/* Waits for the blocks before and tells those after. False: another worker failed. */
static bool block_take_turn(struct block *block, uint64_t index) {
    struct blocks *blocks = block->blocks;
    bool is_odd = count_quotes_is_odd(block);
    (void)pthread_mutex_lock(&blocks->mutex);
    while (blocks->turn != index && !blocks->has_stopped) {
        (void)pthread_cond_wait(&blocks->turned, &blocks->mutex);
    }
    block->is_in_quotes = blocks->is_in_quotes;
    block->line = blocks->line;
    blocks->is_in_quotes ^= is_odd;
    blocks->line += block->facts.lines_count;
    blocks->turn = index + 1;
    bool has_stopped = blocks->has_stopped;
    (void)pthread_cond_broadcast(&blocks->turned);
    (void)pthread_mutex_unlock(&blocks->mutex);
    return !has_stopped;
}

static void stop_others(struct blocks *blocks) {
    (void)pthread_mutex_lock(&blocks->mutex);
    blocks->has_stopped = true;
    (void)pthread_cond_broadcast(&blocks->turned);
    (void)pthread_mutex_unlock(&blocks->mutex);
}

/* --- the rows of a block -----------------------------------------------------------------------
 */

static bool take_csv_row(void *context, const struct csv_row *row, struct err *err) {
    struct block *block = context;
    struct feed_line line = {.line = row->line, .is_as_before = false};
    memcpy(line.fields, row->fields, sizeof line.fields);
    feed_find_orgs(block->feed, &line, 1);
    return block->blocks->take(block->feed, &line, false, err);
}

/* All rows from window[at] on that begin in the block, through libcsv. */
static bool read_slowly(struct block *block, size_t at, uint64_t line, struct err *err) {
    struct csv_range range = {
        .from = block->offset + at - 1,
        .until = block->offset + block->end - 1,
        .line = line,
    };
    return csv_read(block->blocks->csv, range, take_csv_row, block, block->feed->problems, NULL,
                    err);
}

/* Where the first row begins, from the start on; false: none does. A line ended before the first of
 * all, the header. */
static bool find_first_row(const struct block *block, size_t *at, uint64_t *line) {
    bool is_in_quotes = block->is_in_quotes;
    *line = block->line;
    *at = block->start;
    if (!is_in_quotes && block->window[block->start - 1] == '\n') {
        return true;
    }
    for (; *at < block->end; (*at)++) {
        char byte = block->window[*at];
        is_in_quotes ^= byte == '"';
        *line += byte == '\n';
        if (byte == '\n' && !is_in_quotes) {
            (*at)++;
            return *at < block->end;
        }
    }
    return false;
}

/*
 * The row that begins in the block and ends beyond it, by adding its rest to the window. False in
 * *is_added when it is for csv_read: too long, the last one without a line feed, or with a quote or
 * a NUL.
 */
static void add_crossing_row(struct block *block, struct split *split, bool *is_added) {
    const char *tail = block->window + block->end;
    const char *feed = memchr(tail, '\n', block->tail_end - block->end);
    *is_added = false;
    if (feed == NULL) {
        return;
    }
    struct split_facts facts = {0};
    split->until = (size_t)(feed - block->window) + 1;
    split_scan(block->window, block->end, split->until, &facts);
    split->has_carriage_return |= facts.has_carriage_return;
    split->has_high_byte |= facts.has_high_byte;
    *is_added = !facts.has_quote && !facts.has_nul;
}

/* The rows split so far. */
static bool take_lines(struct block *block, size_t *lines_count, struct err *err) {
    size_t count = *lines_count;
    *lines_count = 0;
    block->feed->fold.is_ready = false;
    if (count > 0) {
        feed_find_orgs(block->feed, block->lines, count);
    }
    for (size_t row = 0; row < count; row++) {
        if (!block->blocks->take(block->feed, &block->lines[row], true, err)) {
            return false;
        }
    }
    return true;
}

/* The same, and those that follow and repeat the last of them. */
static bool take_and_fold(struct block *block, size_t *lines_count, struct split *split,
                          struct err *err) {
    const struct text *fields = block->lines[*lines_count - 1].fields;
    struct text row = {split->window + split->row_offset, split->offset - split->row_offset};
    if (!take_lines(block, lines_count, err)) {
        return false;
    }
    fold_open(block->feed, fields, row);
    fold_rows(&block->feed->fold, split);
    return fold_close(block->feed, err);
}

static bool read_fast(struct block *block, struct err *err) {
    struct split split = {
        .window = block->window,
        .until = block->end,
        .layout = &block->blocks->csv->layout,
        .has_carriage_return = block->facts.has_carriage_return,
        .has_high_byte = block->facts.has_high_byte,
    };
    if (!find_first_row(block, &split.offset, &split.line)) {
        return true;
    }
    bool is_added = false;
    size_t count = 0;
    for (;;) {
        struct feed_line *line = &block->lines[count];
        enum split_result result = split_row(&split, line->fields, &line->line);
        if (result == SPLIT_ROW) {
            line->is_as_before = count > 0 && parse_is_same(line->fields[0], line[-1].fields[0]);
            bool is_repeated =
                line->is_as_before && parse_is_same(line->fields[1], line[-1].fields[1]);
            count++;
            if ((is_repeated || count == FEED_LINES_MAX) &&
                !take_and_fold(block, &count, &split, err)) {
                return false;
            }
            continue;
        }
        if (result == SPLIT_END && split.offset < block->end && !is_added) {
            add_crossing_row(block, &split, &is_added);
            if (is_added) {
                continue;
            }
        }
        if (!take_lines(block, &count, err)) {
            return false;
        }
        return (result == SPLIT_END && split.offset >= block->end) ||
               read_slowly(block, split.offset, split.line, err);
    }
}

static bool read_block(struct block *block, struct err *err) {
    if (!block->is_in_quotes && !block->facts.has_quote && !block->facts.has_nul) {
        return read_fast(block, err);
    }
    size_t at;
    uint64_t line;
    return !find_first_row(block, &at, &line) || read_slowly(block, at, line, err);
}

/* --- workers -----------------------------------------------------------------------------------
 */

static bool work_on_blocks(struct block *block, struct err *err) {
    struct blocks *blocks = block->blocks;
    for (;;) {
        uint64_t index = atomic_fetch_add(&blocks->next_block, 1);
        if (index >= blocks->blocks_count) {
            return true;
        }
        if (!interrupt_check(err) || !block_load(block, index, err)) {
            return false;
        }
        if (!block_take_turn(block, index)) {
            return true; /* the worker that failed says why */
        }
        if (!read_block(block, err)) {
            return false;
        }
        usage_progress(blocks->usage, block->end - block->start);
    }
}

static bool read_blocks_worker(void *context, size_t worker, struct err *err) {
    struct blocks *blocks = context;
    struct block block = {.blocks = blocks, .feed = &blocks->usage->feeds[worker]};
    bool is_done = block_init(&block, err) && work_on_blocks(&block, err);
    if (!is_done) {
        stop_others(blocks);
    }
    block_release(&block);
    return is_done;
}

bool usage_read_blocks(struct usage *usage, const struct csv_file *csv, feed_function *take,
                       struct fingerprint *fingerprint, struct err *err) {
    struct blocks blocks = {
        .usage = usage,
        .csv = csv,
        .take = take,
        .fingerprint = usage->block_bytes == FINGERPRINT_BLOCK_BYTES ? fingerprint : NULL,
        .first_block = csv->layout.rows_offset / usage->block_bytes,
        .line = csv->layout.rows_line,
    };
    if (csv->layout.rows_offset >= csv->size_bytes) {
        return true;
    }
    blocks.blocks_count = (csv->size_bytes + usage->block_bytes - 1) / usage->block_bytes;
    blocks.next_block = blocks.first_block;
    blocks.turn = blocks.first_block;
    uint64_t count = blocks.blocks_count - blocks.first_block;
    size_t workers = usage->jobs < count ? usage->jobs : (size_t)count;
    (void)pthread_mutex_init(&blocks.mutex, NULL);
    (void)pthread_cond_init(&blocks.turned, NULL);
    bool is_done = process_parallel(workers, workers, read_blocks_worker, &blocks, err);
    (void)pthread_cond_destroy(&blocks.turned);
    (void)pthread_mutex_destroy(&blocks.mutex);
    return is_done;
}
