#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "core/memory.h"

static void assert_digest_is(const struct digest *digest, const char *expected) {
    char text[DIGEST_TEXT_MAX];
    digest_format(digest, text);
    assert_string_equal(text, expected);
}

/* The vectors of FIPS 180-2 and NIST's one million letters a. */
static void digest_is_sha_256(void **state) {
    (void)state;
    struct err err = {0};
    struct digest digest;
    assert_true(digest_of(NULL, 0, &digest, &err));
    assert_digest_is(&digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_true(digest_of("abc", 3, &digest, &err));
    assert_digest_is(&digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    enum { MILLION = 1000000 };
    char *letters = malloc(MILLION);
    assert_non_null(letters);
    memset(letters, 'a', MILLION);
    assert_true(digest_of(letters, MILLION, &digest, &err));
    assert_digest_is(&digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(letters);
}

static void hasher_takes_the_bytes_in_any_pieces(void **state) {
    (void)state;
    struct err err = {0};
    unsigned char bytes[1000];
    for (size_t index = 0; index < sizeof bytes; index++) {
        bytes[index] = (unsigned char)(index * 31 + index / 7);
    }
    struct digest whole;
    assert_true(digest_of(bytes, sizeof bytes, &whole, &err));
    for (size_t piece = 1; piece <= sizeof bytes; piece += 37) {
        struct hasher *hasher = hasher_create(&err);
        assert_non_null(hasher);
        for (size_t at = 0; at < sizeof bytes; at += piece) {
            size_t left = sizeof bytes - at;
            assert_true(hasher_add(hasher, bytes + at, left < piece ? left : piece, &err));
        }
        struct digest digest;
        assert_true(hasher_finish(hasher, &digest, &err));
        hasher_destroy(hasher);
        assert_true(digest_equals(&digest, &whole));
    }
    bytes[999] ^= 1;
    struct digest other;
    assert_true(digest_of(bytes, sizeof bytes, &other, &err));
    assert_false(digest_equals(&whole, &other));
}

static void digest_parse_takes_64_hex_digits_and_nothing_else(void **state) {
    (void)state;
    static const char text[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    struct digest digest;
    assert_true(digest_parse(text, &digest));
    assert_digest_is(&digest, text);
    assert_true(
        digest_parse("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", &digest));
    assert_digest_is(&digest, text);
    struct digest before = digest;
    for (size_t length = 0; length < 64; length++) {
        char cut[DIGEST_TEXT_MAX] = "";
        memcpy(cut, text, length);
        assert_false(digest_parse(cut, &digest));
        memcpy(cut, text, sizeof text);
        cut[length] = "g:/@`G -"[length % 8];
        assert_false(digest_parse(cut, &digest));
    }
    assert_false(
        digest_parse("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0", &digest));
    assert_true(digest_equals(&digest, &before));
}

static bool always(void) {
    return true;
}

static void hasher_without_memory_says_so(void **state) {
    (void)state;
    struct err err = {0};
    mem_set_fault(always);
    assert_null(hasher_create(&err));
    mem_set_fault(NULL);
    assert_int_equal(err.code, ERR_MEMORY);
    err_release(&err);
    hasher_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_is_sha_256),
        cmocka_unit_test(hasher_takes_the_bytes_in_any_pieces),
        cmocka_unit_test(digest_parse_takes_64_hex_digits_and_nothing_else),
        cmocka_unit_test(hasher_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
