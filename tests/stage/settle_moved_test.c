#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../src/stage/settle.h"
#include "support/assert_done.h"

enum { ITEMS_MAX = 64 };

/* What stands at the other side, and how often it was listed. */
struct account {
    struct {
        unsigned number;
        const char *customer;
    } items[ITEMS_MAX];
    size_t items_count;
    size_t listings_count;
    bool fails;
};

static struct emit_key key_of(unsigned number) {
    struct emit_key key = {{0}};
    key.bytes[3] = (unsigned char)(97 * number); /* not in the order of numbers */
    key.bytes[15] = (unsigned char)number;
    return key;
}

static bool list(void *context,
                 bool (*take)(void *moved, const struct journal_answer *found, struct err *err),
                 void *moved, struct err *err) {
    struct account *account = context;
    account->listings_count++;
    for (size_t index = 0; index < account->items_count; index++) {
        char id[16];
        (void)snprintf(id, sizeof id, "ii_%u", account->items[index].number);
        const struct journal_answer found = {.key = key_of(account->items[index].number),
                                             .amount = 100 + (int64_t)account->items[index].number,
                                             .currency = text_from("eur"),
                                             .customer = text_from(account->items[index].customer),
                                             .object_id = text_from(id)};
        if (!take(moved, &found, err)) {
            return false;
        }
    }
    return !account->fails || err_set(err, ERR_INTERRUPTED, "cannot be listed");
}

static void stand(struct account *account, unsigned number, const char *customer) {
    account->items[account->items_count].number = number;
    account->items[account->items_count++].customer = customer;
}

static struct settle_moved *moved_new(struct account *account, size_t records_max) {
    struct err err = {0};
    const struct settle_listing listing = {.context = account, .list = list};
    struct settle_moved *moved = settle_moved_create(&listing, records_max, &err);
    assert_non_null(moved);
    return moved;
}

static void expect(struct settle_moved *moved, struct emit_work work, unsigned number,
                   const char *customer) {
    struct err err = {0};
    work.item.key = key_of(number);
    const struct emit_group group = {
        .customer = text_from(customer), .works = &work, .works_count = 1};
    assert_done(settle_moved_expect(moved, &group, &err), &err);
}

static void end(struct settle_moved *moved) {
    struct err err = {0};
    assert_done(settle_moved_end(moved, &err), &err);
}

static const json_t *find(struct settle_moved *moved, unsigned number) {
    struct emit_key key = key_of(number);
    return settle_moved_find(moved, &key);
}

static void what_stands_with_another_customer_is_found(void **state) {
    (void)state;
    struct account account = {.items_count = 0};
    stand(&account, 1, "cus_own");
    stand(&account, 2, "cus_before");
    stand(&account, 4, "cus_before"); /* of nobody's record */
    struct settle_moved *moved = moved_new(&account, 8);
    expect(moved, (struct emit_work){.attempt = 0}, 1, "cus_own");
    expect(moved, (struct emit_work){.attempt = 0}, 2, "cus_own");
    expect(moved, (struct emit_work){.attempt = 0}, 3, "cus_own");
    end(moved);
    assert_int_equal(account.listings_count, 1);
    assert_null(find(moved, 1));
    assert_null(find(moved, 3));
    assert_null(find(moved, 4));
    const json_t *found = find(moved, 2);
    assert_non_null(found);
    assert_string_equal(json_string_value(json_object_get(found, "id")), "ii_2");
    assert_int_equal(json_integer_value(json_object_get(found, "amount")), 102);
    assert_string_equal(json_string_value(json_object_get(found, "currency")), "eur");
    settle_moved_destroy(moved);
}

static void what_was_sent_or_waits_is_not_looked_for(void **state) {
    (void)state;
    struct account account = {.items_count = 0};
    struct settle_moved *moved = moved_new(&account, 8);
    expect(moved, (struct emit_work){.recorded_id = "ii_1"}, 1, "cus_own");
    expect(moved, (struct emit_work){.was_held = true}, 2, "cus_own");
    expect(moved, (struct emit_work){.held_reason = "earlier_revision"}, 3, "cus_own");
    end(moved);
    assert_int_equal(account.listings_count, 0); /* nothing is asked for nothing */
    settle_moved_destroy(moved);
}

/* However the records fall into parts, the same is found. */
static void part_by_part_the_same_is_found(void **state) {
    (void)state;
    enum { RECORDS = 30 };
    static const size_t parts[] = {1, 4, 7, 29, 30, 31, 1000};
    for (size_t part = 0; part < sizeof parts / sizeof parts[0]; part++) {
        struct account account = {.items_count = 0};
        for (unsigned number = 0; number < RECORDS; number++) {
            stand(&account, number, number % 5 == 0 ? "cus_before" : "cus_own");
        }
        struct settle_moved *moved = moved_new(&account, parts[part]);
        for (unsigned number = 0; number < RECORDS; number++) {
            expect(moved, (struct emit_work){.attempt = 0}, number, "cus_own");
        }
        end(moved);
        assert_int_equal(account.listings_count, (RECORDS + parts[part] - 1) / parts[part]);
        for (unsigned number = 0; number < RECORDS; number++) {
            const json_t *found = find(moved, number);
            assert_int_equal(found != NULL, number % 5 == 0);
            assert_true(found == NULL || json_integer_value(json_object_get(found, "amount")) ==
                                             100 + (int64_t)number);
        }
        settle_moved_destroy(moved);
    }
}

static void a_listing_that_fails_ends_it(void **state) {
    (void)state;
    struct err err = {0};
    struct account account = {.fails = true};
    struct emit_work work = {.item.key = key_of(1)};
    const struct emit_group group = {
        .customer = text_from("cus_own"), .works = &work, .works_count = 1};
    struct settle_moved *moved = moved_new(&account, 1);
    assert_done(settle_moved_expect(moved, &group, &err), &err);
    assert_fails(settle_moved_expect(moved, &group, &err), &err, ERR_INTERRUPTED,
                 "cannot be listed");
    settle_moved_destroy(moved);
    moved = moved_new(&account, 2);
    err = (struct err){0};
    assert_done(settle_moved_expect(moved, &group, &err), &err);
    assert_fails(settle_moved_end(moved, &err), &err, ERR_INTERRUPTED, "cannot be listed");
    settle_moved_destroy(moved);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_with_another_customer_is_found),
        cmocka_unit_test(what_was_sent_or_waits_is_not_looked_for),
        cmocka_unit_test(part_by_part_the_same_is_found),
        cmocka_unit_test(a_listing_that_fails_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
