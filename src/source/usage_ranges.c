/*
 * How the ledger is cut into physical ranges.
 *
 * The server compiles the statement of a long range anew each time, which is worth it once a range
 * takes longer to read than that; so every connection begins with one range that is as long as can
 * be. What is left of the ledger by then is cut short, so that all connections end together.
 */
#include "usage_ranges.h"

enum {
    RANGE_BLOCKS_MIN = 2048,   /* 16 MB of 8 KB blocks: so that no connection idles at the end */
    RANGE_BLOCKS_MAX = 131072, /* 1 GB: what is read again when a connection is lost */
    LONG_BLOCKS_MIN = 16384,   /* takes longer to read than its statement to compile */
    BLOCK_LAST = INT32_MAX,
    SHORT_PART = 5,   /* one in so many blocks is in a short range */
    SHORT_RANGES = 8, /* about so many for each connection */
};

struct cutting {
    struct vector *ranges;
    int64_t workers;
    int64_t all_blocks;
    int64_t left_blocks;
};

static int64_t range_blocks(const struct cutting *cutting, int64_t part_blocks) {
    int64_t share = part_blocks;
    if (cutting->workers > 1) {
        int64_t short_blocks = cutting->all_blocks / SHORT_PART;
        share = cutting->left_blocks > short_blocks
                    ? (cutting->all_blocks - short_blocks + cutting->workers - 1) / cutting->workers
                    : short_blocks / (SHORT_RANGES * cutting->workers);
    }
    share = share < RANGE_BLOCKS_MIN ? RANGE_BLOCKS_MIN : share;
    share = share > RANGE_BLOCKS_MAX ? RANGE_BLOCKS_MAX : share;
    return share + RANGE_BLOCKS_MIN > part_blocks ? part_blocks : share;
}

static bool add_ranges(struct cutting *cutting, const struct usage_range *part, int64_t part_blocks,
                       struct err *err) {
    int64_t block = 0;
    do {
        struct usage_range *range = vector_add(cutting->ranges, err);
        if (range == NULL) {
            return false;
        }
        int64_t blocks = range_blocks(cutting, part_blocks - block);
        *range = *part;
        range->block_from = block;
        range->block_last = block + blocks - 1;
        block += blocks;
        cutting->left_blocks -= blocks;
        /* The last one is open: the partition may have grown since the snapshot. */
        range->block_until = block == part_blocks ? BLOCK_LAST : block;
        range->is_long = blocks >= LONG_BLOCKS_MIN;
    } while (block < part_blocks);
    return true;
}

static bool take_part(const struct db_result *parts, size_t row, struct usage_range *part,
                      int64_t *blocks, struct err *err) {
    return db_result_text(parts, row, 0, &part->from, err) &&
           db_result_text(parts, row, 1, &part->until, err) &&
           db_result_int64(parts, row, 2, blocks, err);
}

bool usage_ranges_cut(const struct db_result *parts, size_t workers, struct vector *ranges,
                      uint64_t *bytes, struct err *err) {
    struct cutting cutting = {.ranges = ranges, .workers = (int64_t)workers};
    struct usage_range part = {0};
    int64_t blocks;
    for (size_t row = 0; row < parts->rows_count; row++) {
        if (!take_part(parts, row, &part, &blocks, err)) {
            return false;
        }
        cutting.all_blocks += blocks;
    }
    cutting.left_blocks = cutting.all_blocks;
    *bytes = (uint64_t)cutting.all_blocks * USAGE_BLOCK_BYTES;
    for (size_t row = 0; row < parts->rows_count; row++) {
        if (!take_part(parts, row, &part, &blocks, err) ||
            !add_ranges(&cutting, &part, blocks, err)) {
            return false;
        }
    }
    return true;
}
