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
#include "sys/process.h"
#include "usage_fold.h"
#include "usage_windows.h"

struct blocks {
    struct usage *usage;
    const struct csv_file *csv;
    feed_function *take;
    struct windows windows;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t turned;
    uint64_t turn;     /* the block whose quotes and lines are to be told next */
    bool is_in_quotes; /* at its start */
    uint64_t line;     /* of its first byte */
    bool has_stopped;  /* a worker failed */
};

/* The block in hand. */
struct block {
    struct blocks *blocks;
    struct usage_feed *feed;
    struct window own; /* see windows_next */
    struct window *window;
    bool is_in_quotes; /* at its start */
    uint64_t line;
    struct feed_line lines[FEED_LINES_MAX]; /* split and not yet taken; absent fields are empty */
};

static void block_init(struct block *block) {
    for (size_t row = 0; row < FEED_LINES_MAX; row++) {
        for (size_t column = 0; column < USAGE_COLUMNS_COUNT; column++) {
            block->lines[row].fields[column] = (struct text){.bytes = "", .size_bytes = 0};
        }
    }
}

/* Waits for the blocks before and tells those after. False: another worker failed. */
static bool block_take_turn(struct block *block) {
    struct blocks *blocks = block->blocks;
    const struct window *window = block->window;
    (void)pthread_mutex_lock(&blocks->mutex);
    while (blocks->turn != window->index && !blocks->has_stopped) {
        (void)pthread_cond_wait(&blocks->turned, &blocks->mutex);
    }
    block->is_in_quotes = blocks->is_in_quotes;
    block->line = blocks->line;
    blocks->is_in_quotes ^= window->has_odd_quotes;
    blocks->line += window->facts.lines_count;
    blocks->turn = window->index + 1;
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

/* All rows from bytes[at] on that begin in the block, through libcsv. */
static bool read_slowly(struct block *block, size_t at, uint64_t line, struct err *err) {
    const struct window *window = block->window;
    struct csv_range range = {
        .from = window->offset + at - 1,
        .until = window->offset + window->end - 1,
        .line = line,
    };
    return csv_read(block->blocks->csv, range, take_csv_row, block, block->feed->problems, NULL,
                    err);
}

/* Where the first row begins, from the start on; false: none does. A line ended before the first of
 * all, the header. */
static bool find_first_row(const struct block *block, size_t *at, uint64_t *line) {
    const struct window *window = block->window;
    bool is_in_quotes = block->is_in_quotes;
    *line = block->line;
    *at = window->start;
    if (!is_in_quotes && window->bytes[window->start - 1] == '\n') {
        return true;
    }
    for (; *at < window->end; (*at)++) {
        char byte = window->bytes[*at];
        is_in_quotes ^= byte == '"';
        *line += byte == '\n';
        if (byte == '\n' && !is_in_quotes) {
            (*at)++;
            return *at < window->end;
        }
    }
    return false;
}

/*
 * The row that begins in the block and ends beyond it, by adding its rest to what is split. False
 * in *is_added when it is for csv_read: too long, the last one without a line feed, or with a quote
 * or a NUL.
 */
static void add_crossing_row(const struct window *window, struct split *split, bool *is_added) {
    const char *tail = window->bytes + window->end;
    const char *feed = memchr(tail, '\n', window->tail_end - window->end);
    *is_added = false;
    if (feed == NULL) {
        return;
    }
    struct split_facts facts = {0};
    split->until = (size_t)(feed - window->bytes) + 1;
    split_scan(window->bytes, window->end, split->until, &facts);
    split->has_carriage_return |= facts.has_carriage_return;
    split->has_high_byte |= facts.has_high_byte;
    *is_added = !facts.has_quote && !facts.has_nul;
}

/* Whether the row that was split last seems to be repeated by the one that follows. */
static bool is_going_on(const struct split *split) {
    enum { ALIKE_BYTES = 16 };
    const char *last = split->window + split->row_offset;
    const char *next = split->window + split->offset;
    return memcmp(last, next, ALIKE_BYTES) == 0;
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
    const struct window *window = block->window;
    struct split split = {
        .window = window->bytes,
        .until = window->end,
        .layout = &block->blocks->csv->layout,
        .has_carriage_return = window->facts.has_carriage_return,
        .has_high_byte = window->facts.has_high_byte,
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
            if (is_repeated && is_going_on(&split)) {
                if (!take_and_fold(block, &count, &split, err)) {
                    return false;
                }
            } else if (count == FEED_LINES_MAX && !take_lines(block, &count, err)) {
                return false;
            }
            continue;
        }
        if (result == SPLIT_END && split.offset < window->end && !is_added) {
            add_crossing_row(window, &split, &is_added);
            if (is_added) {
                continue;
            }
        }
        if (!take_lines(block, &count, err)) {
            return false;
        }
        return (result == SPLIT_END && split.offset >= window->end) ||
               read_slowly(block, split.offset, split.line, err);
    }
}

static bool read_block(struct block *block, struct err *err) {
    const struct split_facts *facts = &block->window->facts;
    if (!block->is_in_quotes && !facts->has_quote && !facts->has_nul) {
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
        if (!interrupt_check(err) ||
            !windows_next(&blocks->windows, &block->own, &block->window, err)) {
            return false;
        }
        if (block->window == NULL || !block_take_turn(block)) {
            return true; /* the end, or the worker that failed says why */
        }
        if (!read_block(block, err)) {
            return false;
        }
        usage_progress(blocks->usage, block->window->end - block->window->start);
    }
}

static bool read_blocks_worker(void *context, size_t worker, struct err *err) {
    struct blocks *blocks = context;
    struct block block = {.blocks = blocks, .feed = &blocks->usage->feeds[worker]};
    block_init(&block);
    bool is_done = work_on_blocks(&block, err);
    if (!is_done) {
        stop_others(blocks);
    }
    window_release(&block.own);
    return is_done;
}

bool usage_read_blocks(struct usage *usage, const struct csv_file *csv, feed_function *take,
                       struct fingerprint *fingerprint, struct err *err) {
    if (csv->layout.rows_offset >= csv->size_bytes) {
        return true;
    }
    struct blocks blocks = {
        .usage = usage, .csv = csv, .take = take, .line = csv->layout.rows_line};
    windows_init(&blocks.windows, usage, csv, fingerprint);
    blocks.turn = blocks.windows.first_block;
    uint64_t count = blocks.windows.blocks_count - blocks.windows.first_block;
    size_t workers = usage->jobs < count ? usage->jobs : (size_t)count;
    (void)pthread_mutex_init(&blocks.mutex, NULL);
    (void)pthread_cond_init(&blocks.turned, NULL);
    /* Several jobs read their own blocks: a thread more would only take time from them. */
    bool is_done = (usage->jobs > 1 || count == 1 || windows_read_ahead(&blocks.windows, err)) &&
                   process_parallel(workers, workers, read_blocks_worker, &blocks, err);
    windows_release(&blocks.windows);
    (void)pthread_cond_destroy(&blocks.turned);
    (void)pthread_mutex_destroy(&blocks.mutex);
    return is_done;
}
