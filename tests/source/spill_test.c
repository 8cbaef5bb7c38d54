#include <stdlib.h>

#include "core/memory.h"
#include "scratch_spill.h"

static int setup(void **state) {
    (void)state;
    scratch_spill_create(256);
    return 0;
}

static void spill_gives_back_interleaved_streams_in_order(void **state) {
    (void)state;
    enum { STREAMS = 7, RECORDS = 500 };
    struct spill_stream streams[STREAMS] = {0};
    struct err err = {0};
    for (unsigned record = 0; record < RECORDS; record++) {
        for (unsigned stream = 0; stream < STREAMS; stream++) {
            /* Of many sizes, so that they cross chunks at every place. */
            unsigned char bytes[700];
            size_t size_bytes = (record * 13 + stream * 101) % sizeof bytes;
            memset(bytes, (int)(record + stream), sizeof bytes);
            assert_done(spill_append(spill, &streams[stream], &size_bytes, sizeof size_bytes, &err),
                        &err);
            assert_done(spill_append(spill, &streams[stream], bytes, size_bytes, &err), &err);
        }
    }
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        assert_done(spill_flush(spill, &streams[stream], &err), &err);
        struct spill_reader reader;
        assert_done(spill_reader_open(&reader, spill, &streams[stream], &err), &err);
        for (unsigned record = 0; record < RECORDS; record++) {
            const unsigned char *bytes;
            size_t size_bytes;
            assert_done(spill_take(&reader, sizeof size_bytes, &bytes, &err), &err);
            memcpy(&size_bytes, bytes, sizeof size_bytes);
            assert_int_equal(size_bytes, (record * 13 + stream * 101) % 700);
            assert_done(spill_take(&reader, size_bytes, &bytes, &err), &err);
            for (size_t at = 0; at < size_bytes; at++) {
                assert_int_equal(bytes[at], (unsigned char)(record + stream));
            }
        }
        assert_true(spill_is_at_end(&reader));
        spill_reader_close(&reader);
    }
}

static void spill_gives_back_pairs_chunk_by_chunk(void **state) {
    (void)state;
    struct spill_stream stream = {0};
    struct err err = {0};
    for (uint64_t value = 0; value < 1001; value++) {
        uint64_t pair[2] = {value, ~value};
        assert_done(spill_append_pair(spill, &stream, 256, pair, &err), &err);
    }
    assert_done(spill_flush(spill, &stream, &err), &err);
    struct spill_reader reader;
    assert_done(spill_reader_open(&reader, spill, &stream, &err), &err);
    uint64_t value = 0;
    while (!spill_is_at_end(&reader)) {
        const unsigned char *bytes;
        size_t size_bytes;
        assert_done(spill_take_chunk(&reader, &bytes, &size_bytes, &err), &err);
        assert_true(size_bytes > 0 && size_bytes % SPILL_PAIR_BYTES == 0);
        for (size_t at = 0; at < size_bytes; at += SPILL_PAIR_BYTES, value++) {
            uint64_t pair[2];
            memcpy(pair, bytes + at, sizeof pair);
            assert_int_equal(pair[0], value);
            assert_int_equal(pair[1], ~value);
        }
    }
    assert_int_equal(value, 1001);
    spill_reader_close(&reader);
}

static void the_last_word_is_taken_back_unless_it_is_alone_in_its_chunk(void **state) {
    (void)state;
    enum { CHUNK_WORDS = (256 - 16) / 8, WORDS = 2 * CHUNK_WORDS + 5 };
    struct spill_stream stream = {0};
    struct err err = {0};
    uint64_t expected[WORDS];
    size_t expected_count = 0;
    assert_false(spill_take_back_word(&stream));
    for (uint64_t value = 0; value < WORDS; value++) {
        assert_done(spill_append_word(spill, &stream, 256, value, &err), &err);
        expected[expected_count++] = value;
        if (value % 3 == 0) {
            bool is_alone = (expected_count - 1) % CHUNK_WORDS == 0;
            assert_int_equal(spill_take_back_word(&stream), !is_alone);
            expected_count -= is_alone ? 0 : 1;
        }
    }
    assert_done(spill_flush(spill, &stream, &err), &err);
    assert_int_equal(stream.size_bytes, expected_count * sizeof expected[0]);
    struct spill_reader reader;
    assert_done(spill_reader_open(&reader, spill, &stream, &err), &err);
    for (size_t index = 0; index < expected_count; index++) {
        const unsigned char *bytes;
        assert_done(spill_take(&reader, sizeof expected[0], &bytes, &err), &err);
        assert_memory_equal(bytes, &expected[index], sizeof expected[0]);
    }
    assert_true(spill_is_at_end(&reader));
    spill_reader_close(&reader);
}

static void spill_of_an_empty_stream_is_at_its_end(void **state) {
    (void)state;
    struct spill_stream stream = {0};
    struct err err = {0};
    assert_done(spill_flush(spill, &stream, &err), &err);
    assert_true(spill_is_empty(&stream));
    struct spill_reader reader;
    assert_done(spill_reader_open(&reader, spill, &stream, &err), &err);
    assert_true(spill_is_at_end(&reader));
    spill_reader_close(&reader);
}

static void spill_tells_a_file_that_was_changed(void **state) {
    (void)state;
    struct spill_stream stream = {0};
    struct err err = {0};
    uint64_t words[100] = {0};
    assert_done(spill_append(spill, &stream, words, sizeof words, &err), &err);
    assert_done(spill_flush(spill, &stream, &err), &err);
    test_folder_write(&folder, "scratch", text_from("cut"));
    struct spill_reader reader;
    const unsigned char *bytes;
    assert_done(spill_reader_open(&reader, spill, &stream, &err), &err);
    assert_false(spill_take(&reader, 8, &bytes, &err));
    assert_int_equal(err.code, ERR_FILE);
    spill_reader_close(&reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scratch_spill_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(spill_gives_back_interleaved_streams_in_order),
        TEST(spill_gives_back_pairs_chunk_by_chunk),
        TEST(spill_of_an_empty_stream_is_at_its_end),
        TEST(the_last_word_is_taken_back_unless_it_is_alone_in_its_chunk),
        TEST(spill_tells_a_file_that_was_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
