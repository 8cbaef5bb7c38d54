#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "emit/item.h"

static struct decimal number(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static struct emit_item item_of(const char *org_id, const char *billed) {
    struct err err = {0};
    struct emit_item item = {
        .org_id = text_from(org_id),
        .metric = text_from("tokens"),
        .period = "2026-10",
        .revision = 3,
        .currency = currency_find(text_from("usd")),
        .billed = number(billed),
        .overage = number("250000.5"),
        .limit = number("500000"),
        .unit_price = number("0.0001"),
        .period_start = {INT64_C(1790812800000000)},
        .period_end = {INT64_C(1793491200000000)},
    };
    assert_true(emit_key_of(item.org_id, item.metric, item.period, 3, &item.key, &err));
    assert_true(emit_item_set_amount(&item, &err));
    return item;
}

static struct emit_key key_of_lines(const struct emit_key *keys, size_t count) {
    struct emit_key key;
    struct err err = {0};
    assert_true(emit_lines_key(keys, count, &key, &err));
    return key;
}

static bool is_same(struct emit_key left, struct emit_key right) {
    return memcmp(left.bytes, right.bytes, sizeof left.bytes) == 0;
}

static void the_key_of_lines_depends_on_the_items_and_not_on_their_order(void **state) {
    (void)state;
    const struct emit_key a = item_of("a", "25").key;
    const struct emit_key b = item_of("b", "25").key;
    const struct emit_key c = item_of("c", "25").key;
    const struct emit_key orders[][3] = {{a, b, c}, {c, b, a}, {b, a, c}};
    struct emit_key all = key_of_lines(orders[0], 3);
    for (size_t index = 1; index < sizeof orders / sizeof orders[0]; index++) {
        assert_true(is_same(key_of_lines(orders[index], 3), all));
    }
    /* The given ones stay as they are: others are told apart by their place. */
    assert_true(is_same(orders[1][0], c) && is_same(orders[1][2], a));
}

static void fewer_or_other_items_have_another_key(void **state) {
    (void)state;
    const struct emit_key a = item_of("a", "25").key;
    const struct emit_key b = item_of("b", "25").key;
    const struct emit_key c = item_of("c", "25").key;
    const struct emit_key sets[][2] = {{a, b}, {a, c}, {b, c}};
    struct emit_key alone = key_of_lines(&a, 1);
    assert_false(is_same(alone, a)); /* as an item of its own it goes under its own key */
    for (size_t left = 0; left < 3; left++) {
        assert_false(is_same(key_of_lines(sets[left], 2), alone));
        for (size_t right = left + 1; right < 3; right++) {
            assert_false(is_same(key_of_lines(sets[left], 2), key_of_lines(sets[right], 2)));
        }
    }
}

static void the_key_is_the_digest_of_the_sorted_keys(void **state) {
    (void)state;
    struct err err = {0};
    struct digest digest;
    struct emit_key keys[2] = {{{0}}, {{0}}};
    unsigned char sorted[2 * EMIT_KEY_BYTES] = {0};
    memset(keys[0].bytes, 0x90, sizeof keys[0].bytes); /* bytes are not signed */
    memset(keys[1].bytes, 0x11, sizeof keys[1].bytes);
    memset(sorted, 0x11, EMIT_KEY_BYTES);
    memset(sorted + EMIT_KEY_BYTES, 0x90, EMIT_KEY_BYTES);
    assert_true(digest_of(sorted, sizeof sorted, &digest, &err));
    assert_memory_equal(key_of_lines(keys, 2).bytes, digest.bytes, EMIT_KEY_BYTES);
}

static void a_line_says_what_its_item_would(void **state) {
    (void)state;
    static const struct emit_target target = {.run_id = "0123abcd", .is_discountable = true};
    const struct emit_item first = item_of("org_1", "25");
    struct emit_item second = item_of("org & 2", "-3.5");
    second.run_id = "of another run"; /* that recorded it */
    struct buffer body = {0};
    struct err err = {0};
    char keys[2][EMIT_KEY_TEXT_MAX];
    char expected[2048];
    emit_key_format(&first.key, keys[0]);
    emit_key_format(&second.key, keys[1]);
    assert_true(emit_line_body(&first, 0, &target, &body, &err));
    assert_true(emit_line_body(&second, 1, &target, &body, &err));
    int size =
        snprintf(expected, sizeof expected,
                 "&lines[0][period][start]=1790812800&lines[0][period][end]=1793491199"
                 "&lines[0][metadata][item_key]=%s&lines[0][metadata][run_id]=0123abcd"
                 "&lines[0][metadata][org_id]=org_1&lines[0][metadata][metric]=tokens"
                 "&lines[0][metadata][period]=2026-10&lines[0][metadata][quantity]=250000.5"
                 "&lines[0][metadata][revision]=3&lines[1][amount]=-350&lines[1][description]=",
                 keys[0]);
    assert_non_null(memmem(body.bytes, body.size_bytes, expected, (size_t)size));
    size = snprintf(expected, sizeof expected,
                    "&lines[1][metadata][item_key]=%s"
                    "&lines[1][metadata][run_id]=of%%20another%%20run"
                    "&lines[1][metadata][org_id]=org%%20%%26%%202",
                    keys[1]);
    assert_non_null(memmem(body.bytes, body.size_bytes, expected, (size_t)size));
    static const char begins[] = "lines[0][amount]=2500&lines[0][description]=tokens";
    assert_true(body.size_bytes > sizeof begins);
    assert_memory_equal(body.bytes, begins, sizeof begins - 1);
    static const char discountable[] = "&lines[0][discountable]=true&";
    assert_non_null(memmem(body.bytes, body.size_bytes, discountable, sizeof discountable - 1));
    buffer_release(&body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_of_lines_depends_on_the_items_and_not_on_their_order),
        cmocka_unit_test(fewer_or_other_items_have_another_key),
        cmocka_unit_test(the_key_is_the_digest_of_the_sorted_keys),
        cmocka_unit_test(a_line_says_what_its_item_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
