/* The fast readers of numbers and time stamps against decimal_parse and instant_parse. */
#include <time.h>

#include "../../src/source/usage_state.h"
#include "support/test_folder.h"

static uint64_t random_next(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static uint64_t random_seed(void) {
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed * 2654435761u + 1;
}

enum { PAD_BYTES = 8, TEXT_BYTES_MAX = 12 };

/* Texts of digits, points and now and then something else, with readable bytes around them. */
static struct text random_number(uint64_t *random, char memory[PAD_BYTES + TEXT_BYTES_MAX + 8]) {
    static const char others[] = ",\n\r-+ eE/:\x80\xB0\0x";
    for (size_t at = 0; at < PAD_BYTES + TEXT_BYTES_MAX + 8; at++) {
        uint64_t kind = random_next(random) % 16;
        memory[at] = (char)('0' + random_next(random) % 10);
        if (kind == 0) {
            memory[at] = '.';
        } else if (kind == 1) {
            memory[at] = others[random_next(random) % (sizeof others - 1)];
        }
    }
    return (struct text){memory + PAD_BYTES, (size_t)(random_next(random) % TEXT_BYTES_MAX)};
}

static void quantity_is_read_as_decimal_parse_reads_it(void **state) {
    (void)state;
    uint64_t random = random_seed();
    size_t taken = 0;
    for (size_t round = 0; round < 300000; round++) {
        char memory[PAD_BYTES + TEXT_BYTES_MAX + 8];
        struct text text = random_number(&random, memory);
        int64_t packed;
        struct decimal expected;
        bool is_number = decimal_parse(text, &expected) == DECIMAL_OK;
        if (parse_quantity_short(text, &packed)) {
            assert_true(is_number);
            assert_int_equal(decimal_compare(packed_to_decimal(packed), expected), 0);
            taken++;
        } else if (is_number && text.size_bytes <= PARSE_QUANTITY_BYTES) {
            assert_true(text.bytes[0] == '-' || text.bytes[0] == '+');
        }
    }
    assert_true(taken > 10000);
}

static void line_feed_is_found_where_the_first_one_is(void **state) {
    (void)state;
    static const char some[] = "\n\n\v\t\x8A\x0B,5\0\x01";
    uint64_t random = random_seed();
    for (size_t round = 0; round < 300000; round++) {
        char bytes[8];
        for (size_t at = 0; at < sizeof bytes; at++) {
            bytes[at] = some[random_next(&random) % (sizeof some - 1)];
        }
        const char *expected = memchr(bytes, '\n', sizeof bytes);
        size_t offset = SIZE_MAX;
        assert_int_equal(parse_find_feed(bytes, &offset), expected != NULL);
        if (expected != NULL) {
            assert_int_equal(offset, expected - bytes);
        }
    }
}

static void words_are_equal_for_equal_texts_only(void **state) {
    (void)state;
    uint64_t random = random_seed();
    size_t equal_count = 0;
    for (size_t round = 0; round < 300000; round++) {
        char memory[2][8 + 17 + 8];
        struct text texts[2];
        uint64_t words[2][2] = {0};
        bool is_short[2];
        for (size_t which = 0; which < 2; which++) {
            size_t size_bytes = (size_t)(random_next(&random) % 18);
            for (size_t at = 0; at < sizeof memory[which]; at++) {
                memory[which][at] = (char)(random_next(&random) % 16 == 0 ? 'b' : 'a');
            }
            texts[which] = (struct text){memory[which] + 8, size_bytes};
            is_short[which] = parse_words(texts[which], words[which]);
            assert_int_equal(is_short[which], size_bytes >= 1 && size_bytes <= 16);
        }
        bool is_equal = is_short[0] && is_short[1] && words[0][0] == words[1][0] &&
                        words[0][1] == words[1][1] && texts[0].size_bytes == texts[1].size_bytes;
        assert_int_equal(is_equal, is_short[0] && text_equals(texts[0], texts[1]));
        equal_count += is_equal;
    }
    assert_true(equal_count > 1000);
}

static void instant_is_read_as_instant_parse_reads_it(void **state) {
    (void)state;
    uint64_t random = random_seed();
    struct parse_dates dates = {0};
    size_t taken = 0;
    for (size_t round = 0; round < 300000; round++) {
        char memory[32];
        (void)snprintf(memory, sizeof memory, "20%02u-%02u-%02uT%02u:%02u:%02uZ",
                       (unsigned)(24 + random_next(&random) % 3),
                       (unsigned)(random_next(&random) % 14), (unsigned)(random_next(&random) % 33),
                       (unsigned)(random_next(&random) % 26), (unsigned)(random_next(&random) % 62),
                       (unsigned)(random_next(&random) % 62));
        struct text text = {memory, 20};
        if (random_next(&random) % 4 == 0) {
            static const char odd[] = "0:-TtZz. /+9\xFF";
            memory[random_next(&random) % 20] = odd[random_next(&random) % (sizeof odd - 1)];
        }
        struct instant expected;
        struct instant result;
        const char *reason = instant_parse(text, &expected);
        assert_ptr_equal(parse_instant(text, &dates, &result), reason);
        if (reason == NULL) {
            assert_int_equal(result.us, expected.us);
            taken++;
        }
    }
    assert_true(taken > 10000);
}

/* What a word takes it gives back; it refuses only what is too large for it. */
static void flow_word_gives_back_what_it_took(void **state) {
    (void)state;
    uint64_t random = random_seed();
    size_t taken = 0;
    for (size_t round = 0; round < 300000; round++) {
        uint32_t slot = (uint32_t)(random_next(&random) >> (49 + random_next(&random) % 8));
        uint64_t seconds = random_next(&random) >> (40 + random_next(&random) % 10);
        uint64_t offset_us = seconds * 1000000 + (random_next(&random) % 8 == 0 ? 500000 : 0);
        int64_t mantissa = (int64_t)(random_next(&random) >> (36 + random_next(&random) % 20));
        mantissa = random_next(&random) % 8 == 0 ? -mantissa : mantissa;
        unsigned places = (unsigned)(random_next(&random) % 10);
        bool fits = slot < 8192 && seconds < 4194304 && offset_us % 1000000 == 0 && mantissa >= 0 &&
                    mantissa < 67108864 && places < 8;
        uint64_t word;
        assert_int_equal(flow_word_pack(slot, offset_us, packed_from(mantissa, places), &word),
                         fits);
        if (fits) {
            uint32_t slot_again;
            uint64_t offset_again_us;
            int64_t packed_again;
            flow_word_unpack(word, &slot_again, &offset_again_us, &packed_again);
            assert_int_equal(slot_again, slot);
            assert_int_equal(offset_again_us, offset_us);
            assert_int_equal(packed_again, packed_from(mantissa, places));
            taken++;
        }
    }
    assert_true(taken > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantity_is_read_as_decimal_parse_reads_it),
        cmocka_unit_test(line_feed_is_found_where_the_first_one_is),
        cmocka_unit_test(words_are_equal_for_equal_texts_only),
        cmocka_unit_test(instant_is_read_as_instant_parse_reads_it),
        cmocka_unit_test(flow_word_gives_back_what_it_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
