/*
 * What counts, as in libcsv: commas and line feeds separate; spaces and tabs around a field are no
 * part of it; a line of nothing but spaces and tabs is no row; a carriage return may stand just
 * before a line feed.
 *
 * A window is looked at twice: split_scan runs over all of it for the little that must be known
 * before its rows are (whether the simple rules hold, how many lines there are), split_row for the
 * separators of the rows that it is asked for. Many rows are never split: see usage_fold.h. Sixteen
 * bytes are looked at a time where the processor can.
 */
#include "split.h"

#include <assert.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { STEP_BYTES = 64 };

_Static_assert((int)STEP_BYTES <= (int)SPLIT_SLACK_BYTES, "a step may begin at the last byte");

/* --- facts -------------------------------------------------------------------------------------
 */

static void scan_bytes(const char *window, size_t from, size_t until, struct split_facts *facts) {
    for (size_t offset = from; offset < until; offset++) {
        unsigned char byte = (unsigned char)window[offset];
        facts->lines_count += byte == '\n';
        facts->has_quote |= byte == '"';
        facts->has_nul |= byte == '\0';
        facts->has_carriage_return |= byte == '\r';
        facts->has_high_byte |= byte >= 0x80;
    }
}

#ifdef __SSE2__

enum { LANE_BYTES = 16, LANES_COUNT = STEP_BYTES / LANE_BYTES };

struct seen {
    __m128i quotes;
    __m128i returns;
    __m128i least; /* zero where a NUL was */
    __m128i high;
    __m128i lines; /* two sums */
};

static inline void see_step(const char *bytes, struct seen *seen) {
    __m128i lines = _mm_setzero_si128();
    for (int lane = 0; lane < LANES_COUNT; lane++) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)(bytes + lane * LANE_BYTES));
        lines = _mm_sub_epi8(lines, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\n')));
        seen->quotes = _mm_or_si128(seen->quotes, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"')));
        seen->returns = _mm_or_si128(seen->returns, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\r')));
        seen->least = _mm_min_epu8(seen->least, chunk);
        seen->high = _mm_or_si128(seen->high, chunk);
    }
    seen->lines = _mm_add_epi64(seen->lines, _mm_sad_epu8(lines, _mm_setzero_si128()));
}

void split_scan(const char *window, size_t from, size_t until, struct split_facts *facts) {
    struct seen seen = {.least = _mm_set1_epi8(-1)};
    size_t offset = from;
    for (; until - offset >= STEP_BYTES; offset += STEP_BYTES) {
        see_step(window + offset, &seen);
    }
    uint64_t lines[2];
    memcpy(lines, &seen.lines, sizeof lines);
    facts->lines_count += lines[0] + lines[1];
    facts->has_quote |= _mm_movemask_epi8(seen.quotes) != 0;
    facts->has_carriage_return |= _mm_movemask_epi8(seen.returns) != 0;
    __m128i nuls = _mm_cmpeq_epi8(seen.least, _mm_setzero_si128());
    facts->has_nul |= _mm_movemask_epi8(nuls) != 0;
    facts->has_high_byte |= _mm_movemask_epi8(seen.high) != 0;
    scan_bytes(window, offset, until, facts);
}

#else

void split_scan(const char *window, size_t from, size_t until, struct split_facts *facts) {
    scan_bytes(window, from, until, facts);
}

#endif

/* --- where the separators are ------------------------------------------------------------------
 */

#ifdef __SSE2__

/* Bit per byte of bytes[0, 64): it is a comma or a line feed. */
static inline uint64_t separators_of(const char *bytes) {
    uint64_t mask = 0;
    for (int lane = 0; lane < LANES_COUNT; lane++) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)(bytes + lane * LANE_BYTES));
        __m128i feeds = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\n'));
        __m128i commas = _mm_cmpeq_epi8(chunk, _mm_set1_epi8(','));
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_or_si128(feeds, commas));
        mask |= (uint64_t)bits << (lane * LANE_BYTES);
    }
    return mask;
}

#else

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

/* High bit of every byte that is zero, of the others none. */
static inline uint64_t zeros_of(uint64_t word) {
    return ~(((word & EACH_BYTE(0x7F)) + EACH_BYTE(0x7F)) | word | EACH_BYTE(0x7F));
}

static inline uint64_t separators_of(const char *bytes) {
    uint64_t mask = 0;
    for (int lane = 0; lane < STEP_BYTES / 8; lane++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * lane, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        uint64_t found = zeros_of(word ^ EACH_BYTE(',')) | zeros_of(word ^ EACH_BYTE('\n'));
        mask |= ((found >> 7) * UINT64_C(0x0102040810204080) >> 56) << (8 * lane);
    }
    return mask;
}

#endif

/* Walks the separators of window[…, until) in order. */
struct separators {
    const char *window;
    size_t base; /* of the step that left is of */
    uint64_t left;
    size_t until;
};

static inline struct separators separators_from(const struct split *split) {
    return (struct separators){
        .window = split->window,
        .base = split->offset,
        .left = separators_of(split->window + split->offset),
        .until = split->until,
    };
}

/* The place of the next one; until, or a place beyond it: there is none. */
static inline size_t separators_next(struct separators *walk) {
    while (walk->left == 0) {
        walk->base += STEP_BYTES;
        if (walk->base >= walk->until) {
            return walk->until;
        }
        walk->left = separators_of(walk->window + walk->base);
    }
    size_t place = walk->base + (size_t)__builtin_ctzll(walk->left);
    walk->left &= walk->left - 1;
    return place;
}

/* --- rows --------------------------------------------------------------------------------------
 */

static inline bool is_blank_byte(char byte) {
    return byte == ' ' || byte == '\t';
}

static inline struct text trim(const char *from, const char *until) {
    while (from < until && is_blank_byte(*from)) {
        from++;
    }
    while (until > from && is_blank_byte(until[-1])) {
        until--;
    }
    return (struct text){.bytes = from, .size_bytes = (size_t)(until - from)};
}

static inline struct text field_of(const char *window, size_t from, size_t until) {
    bool may_be_blank = until > from && ((unsigned char)window[from] <= ' ' ||
                                         (unsigned char)window[until - 1] <= ' ');
    return may_be_blank ? trim(window + from, window + until)
                        : (struct text){.bytes = window + from, .size_bytes = until - from};
}

static inline void end_line(struct split *split, size_t feed) {
    split->row_offset = split->offset;
    split->offset = feed + 1;
    split->line++;
}

/*
 * The common row: as many fields as there should be, no carriage return and no byte beyond ASCII in
 * the whole window. False: it is none of those, nothing was changed but fields[].
 */
static inline bool split_plain_row(struct split *split, struct text *fields) {
    const struct csv_layout *layout = split->layout;
    const char *window = split->window;
    size_t fields_count = layout->fields_count;
    if (split->has_carriage_return || split->has_high_byte || fields_count < 2 ||
        split->offset >= split->until) {
        return false;
    }
    struct separators walk = separators_from(split);
    size_t from = split->offset;
    size_t until = 0;
    for (size_t field = 0; field < fields_count; field++) {
        until = separators_next(&walk);
        if (until >= split->until || window[until] != (field + 1 < fields_count ? ',' : '\n')) {
            return false;
        }
        int16_t column = layout->column_of_field[field];
        if (column >= 0) {
            fields[column] = field_of(window, from, until);
        }
        from = until + 1;
    }
    end_line(split, until);
    return true;
}

/* The line [offset, feed), without the carriage return before its line feed. False: it is odd. */
static bool check_line(const struct split *split, size_t feed, size_t *end) {
    const char *line = split->window + split->offset;
    size_t size_bytes = feed - split->offset;
    if (split->has_carriage_return && size_bytes > 0) {
        size_bytes -= line[size_bytes - 1] == '\r';
        if (size_bytes > 0 && memchr(line, '\r', size_bytes) != NULL) {
            return false;
        }
    }
    *end = split->offset + size_bytes;
    return !split->has_high_byte || text_is_utf8((struct text){line, size_bytes});
}

/* The fields of the line [offset, end). False: it has not as many as there should be. */
static bool split_line(const struct split *split, size_t end, struct text *fields) {
    const struct csv_layout *layout = split->layout;
    const char *window = split->window;
    struct separators walk = separators_from(split);
    size_t from = split->offset;
    for (size_t field = 0; field < layout->fields_count; field++) {
        bool is_last = field + 1 == layout->fields_count;
        size_t until = separators_next(&walk);
        until = until < end ? until : end;
        if (is_last != (until == end)) {
            return false;
        }
        int16_t column = layout->column_of_field[field];
        if (column >= 0) {
            fields[column] = trim(window + from, window + until);
        }
        from = until + 1;
    }
    return true;
}

enum split_result split_row(struct split *split, struct text *fields, uint64_t *line) {
    assert(split->offset <= split->until);
    *line = split->line;
    if (split_plain_row(split, fields)) {
        return SPLIT_ROW;
    }
    const char *window = split->window;
    for (;;) {
        size_t left = split->until - split->offset;
        const char *found = left == 0 ? NULL : memchr(window + split->offset, '\n', left);
        if (found == NULL) {
            return SPLIT_END;
        }
        size_t feed = (size_t)(found - window);
        size_t end;
        if (!check_line(split, feed, &end)) {
            return SPLIT_ODD;
        }
        if (trim(window + split->offset, window + end).size_bytes == 0) {
            end_line(split, feed);
            continue;
        }
        if (!split_line(split, end, fields)) {
            return SPLIT_ODD;
        }
        *line = split->line;
        end_line(split, feed);
        return SPLIT_ROW;
    }
}
