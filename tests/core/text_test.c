#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "core/memory.h"
#include "core/text.h"

static void text_order_is_by_unsigned_bytes_and_a_prefix_comes_first(void **state) {
    (void)state;
    static const char *const ascending[] = {"",  "A",    "a",        "aa",
                                            "b", "\x7F", "\xC3\xA9", "\xF0\x9F\x99\x82"};
    enum { COUNT = sizeof ascending / sizeof ascending[0] };
    for (size_t left = 0; left < COUNT; left++) {
        for (size_t right = 0; right < COUNT; right++) {
            int order = text_compare(text_from(ascending[left]), text_from(ascending[right]));
            assert_int_equal((order > 0) - (order < 0), (left > right) - (left < right));
            assert_int_equal(text_equals(text_from(ascending[left]), text_from(ascending[right])),
                             left == right);
        }
    }
    struct text none = {.bytes = NULL};
    assert_int_equal(text_compare(none, text_from("")), 0);
    assert_true(text_compare(none, text_from("a")) < 0);
    assert_true(text_equals(none, text_from("")));
    struct text with_nul = {.bytes = "a\0b", .size_bytes = 3};
    assert_true(text_compare(text_from("a"), with_nul) < 0);
    assert_true(text_compare(with_nul, text_from("ab")) < 0);
}

/* Two texts of each length that differ at one place, both ways around. */
static void text_order_is_that_of_the_first_byte_that_differs_at_any_length(void **state) {
    (void)state;
    enum { BYTES_MAX = 20 };
    for (size_t size_bytes = 1; size_bytes <= BYTES_MAX; size_bytes++) {
        for (size_t place = 0; place < size_bytes; place++) {
            char lower[BYTES_MAX];
            char higher[BYTES_MAX];
            memset(lower, 'm', sizeof lower);
            memset(higher, 'm', sizeof higher);
            lower[place] = '\x7e';
            higher[place] = '\x81'; /* as a signed byte it would come first */
            if (place + 1 < size_bytes) {
                lower[place + 1] = 'z'; /* what follows does not count */
                higher[place + 1] = 'a';
            }
            struct text left = {.bytes = lower, .size_bytes = size_bytes};
            struct text right = {.bytes = higher, .size_bytes = size_bytes};
            assert_true(text_compare(left, right) < 0);
            assert_true(text_compare(right, left) > 0);
            assert_int_equal(text_compare(left, left), 0);
        }
    }
}

/* Every length against every other, where the longer one goes on and where both differ before. */
static void text_order_of_different_lengths_is_that_of_their_bytes(void **state) {
    (void)state;
    enum { BYTES_MAX = 20 };
    char bytes[BYTES_MAX] = "usage_of_storage_hot";
    char zeros[BYTES_MAX] = {0};
    for (size_t shorter = 0; shorter < BYTES_MAX; shorter++) {
        for (size_t longer = shorter + 1; longer <= BYTES_MAX; longer++) {
            struct text left = {.bytes = bytes, .size_bytes = shorter};
            struct text right = {.bytes = bytes, .size_bytes = longer};
            assert_true(text_compare(left, right) < 0);
            assert_true(text_compare(right, left) > 0);
            left.bytes = zeros;
            right.bytes = zeros;
            assert_true(text_compare(left, right) < 0);
            assert_true(text_compare(right, left) > 0);
            for (size_t place = 0; place < shorter; place++) {
                char lower[BYTES_MAX];
                memcpy(lower, bytes, sizeof lower);
                lower[place] = place % 2 == 0 ? '\0' : bytes[place] - 1;
                left = (struct text){.bytes = bytes, .size_bytes = shorter};
                right = (struct text){.bytes = lower, .size_bytes = longer};
                assert_true(text_compare(left, right) > 0);
                assert_true(text_compare(right, left) < 0);
            }
        }
    }
}

/* Encodes as RFC 3629 says, without asking whether the code point may be encoded. */
static size_t encode(uint32_t point, size_t size_bytes, char bytes[4]) {
    static const unsigned char lead[5] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (size_t index = size_bytes; index > 1; index--) {
        bytes[index - 1] = (char)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    bytes[0] = (char)(lead[size_bytes] | point);
    return size_bytes;
}

static void text_is_utf8_takes_every_code_point_in_its_shortest_form_only(void **state) {
    (void)state;
    for (uint32_t point = 0; point < 0x1FFFFF; point++) {
        size_t shortest = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        bool may_be = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
        for (size_t size_bytes = shortest; size_bytes <= 4; size_bytes++) {
            char bytes[4];
            struct text text = {bytes, encode(point, size_bytes, bytes)};
            if (text_is_utf8(text) != (may_be && size_bytes == shortest)) {
                fail_msg("U+%04X in %zu bytes", point, size_bytes);
            }
        }
    }
}

static void text_is_utf8_finds_a_bad_byte_at_any_place(void **state) {
    (void)state;
    static const char fine[] = "0123456789 na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x99\x82 0123456789";
    struct text text = text_from(fine);
    assert_true(text_is_utf8(text));
    for (size_t place = 0; place < text.size_bytes; place++) {
        char spoilt[sizeof fine];
        memcpy(spoilt, fine, sizeof fine);
        spoilt[place] = (char)0xFF;
        assert_false(text_is_utf8((struct text){spoilt, text.size_bytes}));
        bool is_whole = ((unsigned char)fine[place] & 0xC0) != 0x80;
        assert_int_equal(text_is_utf8((struct text){fine, place}), is_whole);
        if (!is_whole) {
            spoilt[place] = 'x';
            assert_false(text_is_utf8((struct text){spoilt, text.size_bytes}));
        }
    }
    assert_true(text_is_utf8((struct text){.bytes = NULL}));
    assert_true(text_is_utf8((struct text){.bytes = "a\0b", .size_bytes = 3}));
    assert_false(text_is_utf8(text_from("\xF8\x88\x80\x80\x80")));
    assert_false(text_is_utf8(text_from("\x80")));
}

static void buffer_grows_and_keeps_what_it_has(void **state) {
    (void)state;
    struct buffer buffer = {0};
    struct err err = {0};
    char expected[40000];
    size_t size_bytes = 0;
    for (int count = 0; count < 3000; count++) {
        assert_true(buffer_append_format(&buffer, &err, "%d;", count));
        size_bytes +=
            (size_t)snprintf(expected + size_bytes, sizeof expected - size_bytes, "%d;", count);
        assert_true(buffer_append(&buffer, (struct text){"a\0b", 3}, &err));
        memcpy(expected + size_bytes, "a\0b", 3);
        size_bytes += 3;
        assert_true(buffer_append(&buffer, (struct text){.bytes = NULL}, &err));
    }
    assert_true(text_equals(buffer_text(&buffer), (struct text){expected, size_bytes}));
    size_t capacity_bytes = buffer.capacity_bytes;
    buffer_clear(&buffer);
    assert_int_equal(buffer.size_bytes, 0);
    assert_true(buffer_append_format(&buffer, &err, "%s", ""));
    assert_int_equal(buffer_text(&buffer).size_bytes, 0);
    assert_int_equal(buffer.capacity_bytes, capacity_bytes);
    buffer_release(&buffer);
    assert_null(buffer.bytes);
    assert_int_equal(buffer.capacity_bytes, 0);
    assert_int_equal(err.code, ERR_NONE);
}

static bool always(void) {
    return true;
}

static void buffer_without_memory_keeps_what_it_has_and_says_so(void **state) {
    (void)state;
    struct buffer buffer = {0};
    struct err err = {0};
    assert_true(buffer_append(&buffer, text_from("kept"), &err));
    mem_set_fault(always);
    char large[1000] = {0};
    assert_false(buffer_append(&buffer, (struct text){large, sizeof large}, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    assert_false(buffer_append_format(&buffer, &err, "%0900d", 7));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    mem_set_fault(NULL);
    assert_false(buffer_reserve(&buffer, SIZE_MAX, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    assert_true(text_equals(buffer_text(&buffer), text_from("kept")));
    buffer_release(&buffer);
}

static void text_shown_bytes_leaves_out_what_a_terminal_acts_on(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t shown;
    } rows[] = {{"a", 1},
                {" ", 1},
                {"\xc3\xbc", 2},
                {"\xe6\x97\xa5", 3},
                {"\x1b[0m", 0},
                {"\x7f", 0},
                {"\n", 0},
                {"\xc2\x9b", 0},
                {"\xc2\xa0", 2},
                {"\xff", 0},
                {"\xc3", 0},
                {"\xed\xa0\x80", 0},
                {"\x80", 0},
                {"\xe6\x97", 0},
                {"\xf0\x9f\x98\x80", 4},
                {"\\", 1}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        assert_int_equal(text_shown_bytes(text_from(rows[row].bytes), 0), rows[row].shown);
    }
    assert_int_equal(text_shown_bytes(text_from("a\xc3\xbc"), 1), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_order_is_by_unsigned_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(text_order_is_that_of_the_first_byte_that_differs_at_any_length),
        cmocka_unit_test(text_order_of_different_lengths_is_that_of_their_bytes),
        cmocka_unit_test(text_is_utf8_takes_every_code_point_in_its_shortest_form_only),
        cmocka_unit_test(text_is_utf8_finds_a_bad_byte_at_any_place),
        cmocka_unit_test(text_shown_bytes_leaves_out_what_a_terminal_acts_on),
        cmocka_unit_test(buffer_grows_and_keeps_what_it_has),
        cmocka_unit_test(buffer_without_memory_keeps_what_it_has_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
