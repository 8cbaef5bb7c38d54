#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/emit/brief.h"

static const char stripes_own[] =
    "{\n  \"id\": \"ii_1\",\n  \"object\": \"invoiceitem\",\n  \"amount\": -1234,\n"
    "  \"currency\": \"eur\", \"customer\" : \"cus_9\", \"invoice\":\"in_3\", \"discounts\":[], "
    "\"metadata\":{},\n"
    "  \"period\":{\"end\":1,\"id\":\"no\",\"amount\":7},\"proration\":false,\"livemode\":true,\n"
    "  \"pricing\":{\"price_details\":[{\"a\":[1,[2,{\"customer\":\"none\"}]]},null],\"x\":null},\n"
    "  \"description\":\"tokens: 3 \xC2\xA7 over \xE2\x82\xAC\", \"quantity\":1\r\n}\n\t";

static struct text all_of(const char *body) {
    return (struct text){body, strlen(body)};
}

static void the_fields_are_read(void **state) {
    (void)state;
    struct brief brief;
    assert_true(brief_scan(all_of(stripes_own), &brief));
    assert_true(text_equals(brief.id, text_from("ii_1")));
    assert_true(text_equals(brief.currency, text_from("eur")));
    assert_true(text_equals(brief.customer, text_from("cus_9")));
    assert_true(text_equals(brief.invoice, text_from("in_3")));
    assert_int_equal(brief.amount, -1234);
    assert_true(brief_scan(text_from("{}"), &brief));
    assert_int_equal(brief.id.size_bytes + brief.currency.size_bytes + brief.customer.size_bytes,
                     0);
    assert_true(brief_scan(text_from("{\"id\":7,\"amount\":\"8\",\"customer\":{\"id\":\"cus_1\"},"
                                     "\"currency\":[\"usd\"]}"),
                           &brief));
    assert_int_equal(brief.id.size_bytes + brief.currency.size_bytes + brief.customer.size_bytes,
                     0);
    assert_int_equal(brief.amount, 0);
}

static void what_is_not_plain_is_left_to_the_library(void **state) {
    (void)state;
    static const char *const bodies[] = {"",
                                         " ",
                                         "null",
                                         "[1]",
                                         "\"text\"",
                                         "{",
                                         "{\"id\":\"ii_1\"",
                                         "{\"id\":\"ii_1\",}",
                                         "{\"id\":\"ii_1\"]",
                                         "{\"a\":[1,]}",
                                         "{\"a\":[,1]}",
                                         "{\"a\":[1 2]}",
                                         "{\"a\":[1}}",
                                         "{\"a\" \"b\"}",
                                         "{\"a\":}",
                                         "{a:1}",
                                         "{,\"a\":1}",
                                         "{} more",
                                         "{}{}",
                                         "{\"a\":01}",
                                         "{\"a\":-}",
                                         "{\"a\":1.5}",
                                         "{\"a\":1e3}",
                                         "{\"a\":1234567890123456789}",
                                         "{\"a\":nul}",
                                         "{\"a\":trues}",
                                         "{\"a\":\"\\u0041\"}",
                                         "{\"a\":\"\t\"}",
                                         "{\"a\":\"\xC3\"}",
                                         "{\"id\":\"ii_1\",\"id\":\"ii_2\"}",
                                         "<html>Welcome to the hotel</html>"};
    struct brief brief;
    for (size_t index = 0; index < sizeof bodies / sizeof bodies[0]; index++) {
        assert_false(brief_scan(all_of(bodies[index]), &brief));
    }
    assert_false(brief_scan((struct text){"{}\0", 3}, &brief));
    assert_false(brief_scan((struct text){NULL, 0}, &brief));
}

static void depth_has_a_bound(void **state) {
    (void)state;
    char body[600];
    struct brief brief;
    for (int levels = 1; levels < 200; levels++) {
        char *at = body;
        at += sprintf(at, "{\"a\":");
        memset(at, '[', (size_t)levels);
        memset(at + levels, ']', (size_t)levels);
        (void)strcpy(at + 2 * levels, "}");
        assert_int_equal(brief_scan(all_of(body), &brief), levels < 63);
    }
}

static void assert_agrees(const char *bytes, size_t size) {
    struct brief brief;
    if (!brief_scan((struct text){bytes, size}, &brief)) {
        return;
    }
    json_t *object = json_loadb(bytes, size, 0, NULL);
    assert_true(json_is_object(object));
    struct brief expected = brief_of(object);
    assert_true(text_equals(brief.id, expected.id));
    assert_true(text_equals(brief.currency, expected.currency));
    assert_true(text_equals(brief.customer, expected.customer));
    assert_true(text_equals(brief.invoice, expected.invoice));
    assert_int_equal(brief.amount, expected.amount);
    json_decref(object);
}

/* Bodies with a few bytes changed, left out or put in: what is taken jansson takes alike. */
static void what_is_taken_the_library_takes_alike(void **state) {
    (void)state;
    static const char bytes[] = "{}[]\":,0123-.eE tfn\\\n\xC3\xA4\x01u";
    uint64_t random = 88172645463325252U;
    char body[sizeof stripes_own + 8];
    unsigned taken = 0;
    for (unsigned round = 0; round < 100000; round++) {
        size_t size = sizeof stripes_own - 1;
        memcpy(body, stripes_own, size);
        for (unsigned change = 0; change <= round % 3; change++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            size_t at = (random >> 8) % size;
            char byte = bytes[(random >> 40) % (sizeof bytes - 1)];
            switch (random & 3) {
            case 0:
                memmove(body + at, body + at + 1, size - at - 1);
                size--;
                break;
            case 1:
                memmove(body + at + 1, body + at, size - at);
                body[at] = byte;
                size++;
                break;
            default:
                body[at] = byte;
                break;
            }
        }
        struct brief brief;
        /* A copy of its very size, so that reading behind it is noticed. */
        char *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, body, size);
        taken += brief_scan((struct text){copy, size}, &brief) ? 1 : 0;
        assert_agrees(copy, size);
        free(copy);
    }
    assert_in_range(taken, 10000, 90000); /* neither all nor none */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fields_are_read),
        cmocka_unit_test(what_is_not_plain_is_left_to_the_library),
        cmocka_unit_test(depth_has_a_bound),
        cmocka_unit_test(what_is_taken_the_library_takes_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
