/*
 * What counts, as in libcsv: commas and line feeds separate; spaces and tabs around a field are no
 * part of it; a line of nothing but spaces and tabs is no row; a carriage return may stand just
 * before a line feed. Sixteen bytes are looked at a time where the processor can; wider registers
 * were measured to save less than a tenth of a second per gigabyte.
 */
#include "split.h"

#include <assert.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* --- where the separators are ------------------------------------------------------------------
 */

static size_t index_bytes(const char *window, size_t from, size_t until, uint32_t *places,
                          struct split_facts *facts) {
    size_t count = 0;
    for (size_t offset = from; offset < until; offset++) {
        unsigned char byte = (unsigned char)window[offset];
        if (byte == ',' || byte == '\n') {
            places[count++] = (uint32_t)offset;
        }
        facts->lines_count += byte == '\n';
        facts->has_quote |= byte == '"';
        facts->has_nul |= byte == '\0';
        facts->has_carriage_return |= byte == '\r';
        facts->has_high_byte |= byte >= 0x80;
    }
    return count;
}

#ifdef __SSE2__

enum { STEP_BYTES = 64, LANE_BYTES = 16, LANES_COUNT = STEP_BYTES / LANE_BYTES };

struct seen {
    __m128i quotes;
    __m128i returns;
    __m128i least; /* zero where a NUL was */
    __m128i high;
    __m128i lines; /* two sums */
};

/* Bit per byte of window[0, 64): it is a comma or a line feed. */
static inline uint64_t look_at_step(const char *bytes, struct seen *seen) {
    uint64_t mask = 0;
    __m128i lines = _mm_setzero_si128();
    for (int lane = 0; lane < LANES_COUNT; lane++) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)(bytes + lane * LANE_BYTES));
        __m128i feeds = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\n'));
        __m128i commas = _mm_cmpeq_epi8(chunk, _mm_set1_epi8(','));
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_or_si128(feeds, commas));
        mask |= (uint64_t)bits << (lane * LANE_BYTES);
        lines = _mm_sub_epi8(lines, feeds);
        seen->quotes = _mm_or_si128(seen->quotes, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"')));
        seen->returns = _mm_or_si128(seen->returns, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\r')));
        seen->least = _mm_min_epu8(seen->least, chunk);
        seen->high = _mm_or_si128(seen->high, chunk);
    }
    seen->lines = _mm_add_epi64(seen->lines, _mm_sad_epu8(lines, _mm_setzero_si128()));
    return mask;
}

static void add_facts(const struct seen *seen, struct split_facts *facts) {
    uint64_t lines[2];
    memcpy(lines, &seen->lines, sizeof lines);
    facts->lines_count += lines[0] + lines[1];
    facts->has_quote |= _mm_movemask_epi8(seen->quotes) != 0;
    facts->has_carriage_return |= _mm_movemask_epi8(seen->returns) != 0;
    __m128i nuls = _mm_cmpeq_epi8(seen->least, _mm_setzero_si128());
    facts->has_nul |= _mm_movemask_epi8(nuls) != 0;
    facts->has_high_byte |= _mm_movemask_epi8(seen->high) != 0;
}

size_t split_index(const char *window, size_t from, size_t until, uint32_t *places,
                   struct split_facts *facts) {
    struct seen seen = {.least = _mm_set1_epi8(-1)};
    uint32_t *place = places;
    size_t offset = from;
    for (; until - offset >= STEP_BYTES; offset += STEP_BYTES) {
        uint64_t mask = look_at_step(window + offset, &seen);
        while (mask != 0) {
            *place++ = (uint32_t)offset + (uint32_t)__builtin_ctzll(mask);
            mask &= mask - 1;
        }
    }
    add_facts(&seen, facts);
    size_t count = (size_t)(place - places);
    return count + index_bytes(window, offset, until, place, facts);
}

#else

size_t split_index(const char *window, size_t from, size_t until, uint32_t *places,
                   struct split_facts *facts) {
    return index_bytes(window, from, until, places, facts);
}

#endif

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

static inline void end_line(struct split *split, size_t feed, size_t places_taken) {
    split->place += places_taken;
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
    const uint32_t *places = split->places + split->place;
    size_t fields_count = layout->fields_count;
    if (split->has_carriage_return || split->has_high_byte || fields_count < 2 ||
        split->places_count - split->place < fields_count) {
        return false;
    }
    size_t from = split->offset;
    for (size_t field = 0; field < fields_count; field++) {
        size_t until = places[field];
        int16_t column = layout->column_of_field[field];
        if (window[until] != (field + 1 < fields_count ? ',' : '\n')) {
            return false;
        }
        if (column >= 0) {
            struct text text = {window + from, until - from};
            bool is_trimmed = text.size_bytes == 0 ||
                              (!is_blank_byte(window[from]) && !is_blank_byte(window[until - 1]));
            fields[column] = is_trimmed ? text : trim(window + from, window + until);
        }
        from = until + 1;
    }
    end_line(split, places[fields_count - 1], fields_count);
    return true;
}

enum split_result split_row(struct split *split, struct text *fields, uint64_t *line) {
    *line = split->line;
    if (split_plain_row(split, fields)) {
        return SPLIT_ROW;
    }
    const struct csv_layout *layout = split->layout;
    const char *window = split->window;
    size_t fields_count = layout->fields_count;
    for (;;) {
        const uint32_t *places = split->places + split->place;
        size_t left = split->places_count - split->place;
        size_t from = split->offset;
        /* A line with fewer fields ends before the last place that a row would have. */
        size_t field = 0;
        while (field < left && field < fields_count && window[places[field]] == ',') {
            field++;
        }
        if (field == left) {
            return SPLIT_END;
        }
        size_t end;
        if (field == fields_count || !check_line(split, places[field], &end)) {
            return SPLIT_ODD;
        }
        if (field == 0 && trim(window + from, window + end).size_bytes == 0) {
            end_line(split, places[0], 1);
            continue;
        }
        if (field + 1 != fields_count) {
            return SPLIT_ODD;
        }
        for (size_t index = 0; index < fields_count; index++) {
            size_t until = index == field ? end : places[index];
            int16_t column = layout->column_of_field[index];
            if (column >= 0) {
                fields[column] = trim(window + from, window + until);
            }
            from = places[index] + 1;
        }
        *line = split->line;
        end_line(split, places[field], fields_count);
        return SPLIT_ROW;
    }
}
