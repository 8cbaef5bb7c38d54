#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../src/stage/emit_bills.h"
#include "support/assert_done.h"
#include "support/scratch.h"
#include "table/checkpoint.h"

static struct emit_bills *bills_new(void) {
    struct err err = {0};
    struct emit_bills *bills = NULL;
    assert_done(emit_bills_create("2026-10", &bills, &err), &err);
    return bills;
}

static const struct currency *currency(const char *code) {
    const struct currency *found = currency_find(text_from(code));
    assert_non_null(found);
    return found;
}

static struct emit_key key_of(unsigned number) {
    struct emit_key key = {{0}};
    key.bytes[0] = (unsigned char)(number >> 8);
    key.bytes[15] = (unsigned char)number;
    return key;
}

/* Out of memory that is written over afterwards, as that of a group and a table is. */
static void add(struct emit_bills *bills, unsigned number, const char *customer,
                const char *invoice_id, const char *code) {
    struct err err = {0};
    char texts[4][32];
    (void)snprintf(texts[0], sizeof texts[0], "%s", customer);
    (void)snprintf(texts[1], sizeof texts[1], "%s", invoice_id);
    (void)snprintf(texts[2], sizeof texts[2], "org_%u", number);
    (void)snprintf(texts[3], sizeof texts[3], "metric_%u", number);
    const struct emit_placed placed = {.key = key_of(number),
                                       .customer = text_from(texts[0]),
                                       .invoice_id = text_from(texts[1]),
                                       .org_id = text_from(texts[2]),
                                       .metric = text_from(texts[3]),
                                       .currency = currency(code),
                                       .amount = 1000 + (int64_t)number,
                                       .open_reason = invoice_id[0] == '\0' ? "failed" : NULL};
    assert_done(emit_bills_add(bills, &placed, &err), &err);
    memset(texts, '#', sizeof texts);
}

static bool next(struct emit_bills *bills, struct emit_group *group) {
    struct err err = {0};
    bool is_found = false;
    assert_done(emit_bills_next(bills, group, &is_found, &err), &err);
    return is_found;
}

static void assert_text(struct text text, const char *expected) {
    assert_true(text_equals(text, text_from(expected)));
}

/* --- what an item has to do with invoices -------------------------------------------------------
 */

struct case_known {
    struct journal_state known;
    const char *group_reason;
    const char *work_reason;
    bool is_placed;
    const char *customer;
    const char *invoice_id;
    const char *open_reason; /* NULL: it is sent */
};

#define ANSWER(what, on)                                                                           \
    .has_answer = true, .answer = {.outcome = (what),                                              \
                                   .customer = {"cus_then", sizeof "cus_then" - 1},                \
                                   .invoice_id = {(on), sizeof(on) - 1}}

static void an_item_is_on_the_invoice_it_was_sent_to_or_open(void **state) {
    (void)state;
    static const struct case_known cases[] = {
        {{ANSWER(OUTCOME_SENT, "in_7")}, NULL, NULL, true, "cus_then", "in_7", NULL},
        {{ANSWER(OUTCOME_FOUND, "in_8")}, NULL, NULL, true, "cus_then", "in_8", NULL},
        {{ANSWER(OUTCOME_SENT, "in_7")}, "suspended", "held", true, "cus_then", "in_7", NULL},
        {{ANSWER(OUTCOME_SENT, "")}, NULL, NULL, false, NULL, NULL, NULL}, /* a subscription's */
        {{ANSWER(OUTCOME_FOUND, "")}, NULL, NULL, false, NULL, NULL, NULL},
        {{ANSWER(OUTCOME_REFUSED, "")}, NULL, NULL, true, "cus_now", "", "failed"},
        {{ANSWER(OUTCOME_REFUSED, "")}, NULL, "no_upcoming_invoice", true, "cus_now", "", "held"},
        {{.has_answer = false}, NULL, NULL, true, "cus_now", "", "held"},
        {{ANSWER(OUTCOME_REFUSED, "")}, "suspended", NULL, true, "cus_now", "", "held"},
        {{.has_intent = true, .is_unsettled = true}, NULL, NULL, true, "cus_now", "", "unknown"},
        /* Sent, and gone on with since: it is not known where it is. */
        {{.has_intent = true, .is_unsettled = true, ANSWER(OUTCOME_SENT, "in_7")},
         NULL,
         NULL,
         true,
         "cus_now",
         "",
         "unknown"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const struct case_known *now = &cases[index];
        struct emit_group group = {.customer = text_from("cus_now"),
                                   .held_reason = now->group_reason};
        struct emit_work work = {.item = {.key = key_of(7),
                                          .org_id = text_from("globex"),
                                          .metric = text_from("tokens"),
                                          .currency = currency("jpy"),
                                          .amount = -2503},
                                 .held_reason = now->work_reason};
        struct emit_placed placed;
        assert_int_equal(emit_placed_of(&group, &work, &now->known, &placed), now->is_placed);
        if (!now->is_placed) {
            continue;
        }
        assert_text(placed.customer, now->customer);
        assert_text(placed.invoice_id, now->invoice_id);
        assert_text(placed.org_id, "globex");
        assert_text(placed.metric, "tokens");
        assert_ptr_equal(placed.currency, currency("jpy"));
        assert_int_equal(placed.amount, -2503);
        assert_memory_equal(&placed.key, &work.item.key, sizeof placed.key);
        assert_int_equal(placed.open_reason == NULL, now->open_reason == NULL);
        if (now->open_reason != NULL) {
            assert_string_equal(placed.open_reason, now->open_reason);
        }
    }
}

static void an_open_item_of_nobody_keeps_no_invoice_open(void **state) {
    (void)state;
    struct emit_group group = {.customer = text_from(""), .held_reason = "no_customer"};
    struct emit_work work = {.item = {.currency = currency("usd")}};
    struct emit_placed placed;
    assert_false(emit_placed_of(&group, &work, &(struct journal_state){0}, &placed));
}

/* --- parts --------------------------------------------------------------------------------------
 */

enum { CUSTOMERS = 40, PARTS = 3 };

static void add_pairs(struct emit_bills *bills) {
    for (unsigned number = 0; number < 2 * CUSTOMERS; number++) {
        char customer[16];
        (void)snprintf(customer, sizeof customer, "cus_%u", number % CUSTOMERS);
        add(bills, number, customer, "in_1", "usd");
    }
}

static void each_customer_is_in_one_part_with_all_it_has(void **state) {
    (void)state;
    struct emit_bills *bills = bills_new();
    struct emit_group group = {0};
    size_t groups_count = 0;
    emit_bills_begin(bills, 0, 0);
    add_pairs(bills);
    assert_int_equal(emit_bills_count(bills), 2 * CUSTOMERS);
    for (size_t part = 0; part < PARTS; part++) {
        emit_bills_begin(bills, part, PARTS);
        assert_int_equal(emit_bills_count(bills), 0);
        add_pairs(bills);
        assert_in_range(emit_bills_count(bills), 1, 2 * CUSTOMERS - 1);
        emit_bills_sort(bills);
        while (next(bills, &group)) {
            assert_int_equal(group.works_count, 2);
            groups_count++;
        }
    }
    assert_int_equal(groups_count, CUSTOMERS);
    emit_group_release(&group);
    emit_bills_destroy(bills);
}

static void more_items_than_there_was_room_for_are_kept(void **state) {
    (void)state;
    struct emit_bills *bills = bills_new();
    struct emit_group group = {0};
    emit_bills_begin(bills, 0, 1);
    for (unsigned number = 700; number > 0; number--) {
        add(bills, number, "cus_a", "in_1", "usd");
    }
    emit_bills_sort(bills);
    assert_true(next(bills, &group));
    assert_int_equal(group.works_count, 700);
    for (unsigned number = 1; number <= 700; number++) {
        const struct emit_item *item = &group.works[number - 1].item;
        char org_id[16];
        (void)snprintf(org_id, sizeof org_id, "org_%u", number);
        assert_text(item->org_id, org_id);
        assert_int_equal(item->amount, 1000 + (int64_t)number);
    }
    assert_false(next(bills, &group));
    emit_group_release(&group);
    emit_bills_destroy(bills);
}

/* --- feeding ------------------------------------------------------------------------------------
 */

struct expected_bill {
    const char *customer;
    const char *invoice_id;
    const char *code;
    uint64_t open_count;
    size_t works_count;
    unsigned numbers[2];
};

static void a_group_is_an_invoice_with_what_is_open_beside_it(void **state) {
    (void)state;
    static const struct expected_bill expected[] = {
        {"cus_a", "in_eur", "eur", 1, 1, {6}},
        {"cus_a", "in_1", "usd", 2, 2, {3, 9}},
        {"cus_a", "in_2", "usd", 2, 1, {1}},
        {"cus_c", "in_1", "usd", 0, 1, {5}},
    };
    struct emit_bills *bills = bills_new();
    struct emit_group group = {.held_reason = "left over"};
    emit_bills_begin(bills, 0, 1);
    add(bills, 9, "cus_a", "in_1", "usd");
    add(bills, 2, "cus_a", "", "usd");
    add(bills, 5, "cus_c", "in_1", "usd");
    add(bills, 4, "cus_b", "", "usd"); /* has no invoice at all */
    add(bills, 1, "cus_a", "in_2", "usd");
    add(bills, 8, "cus_a", "", "usd");
    add(bills, 6, "cus_a", "in_eur", "eur");
    add(bills, 3, "cus_a", "in_1", "usd");
    add(bills, 10, "cus_a", "", "eur");
    add(bills, 7, "cus_d", "", "eur");
    emit_bills_sort(bills);
    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++) {
        const struct expected_bill *bill = &expected[index];
        assert_true(next(bills, &group));
        assert_text(group.customer, bill->customer);
        assert_text(group.bill.invoice_id, bill->invoice_id);
        assert_text(group.subscription, "");
        assert_null(group.held_reason);
        assert_int_equal(group.bill.open_count, bill->open_count);
        if (bill->open_count > 0) {
            assert_string_equal(group.bill.open_reason, "failed");
        }
        assert_int_equal(group.works_count, bill->works_count);
        for (size_t work = 0; work < bill->works_count; work++) {
            const struct emit_item *item = &group.works[work].item;
            char name[32];
            struct emit_key key = key_of(bill->numbers[work]);
            assert_memory_equal(&item->key, &key, sizeof key);
            (void)snprintf(name, sizeof name, "metric_%u", bill->numbers[work]);
            assert_text(item->metric, name);
            assert_string_equal(item->period, "2026-10");
            assert_ptr_equal(item->currency, currency(bill->code));
            assert_int_equal(item->amount, 1000 + (int64_t)bill->numbers[work]);
        }
    }
    assert_false(next(bills, &group));
    emit_group_release(&group);
    emit_bills_destroy(bills);
}

/* --- what became of them ------------------------------------------------------------------------
 */

static void done(struct emit_bills *bills, const char *invoice_id, const char *code,
                 struct emit_bill bill) {
    struct err err = {0};
    struct emit_work works[2] = {{.item.currency = currency(code)},
                                 {.item.currency = currency(code)}};
    struct emit_group group = {
        .customer = text_from("cus_a"), .works = works, .works_count = 2, .bill = bill};
    group.bill.invoice_id = text_from(invoice_id);
    assert_done(emit_bills_done(bills, &group, &err), &err);
}

static struct table *write_and_open(struct emit_bills *bills) {
    struct err err = {0};
    struct table_writer *writer = NULL;
    struct table_seal seal;
    struct table *table = NULL;
    assert_done(
        table_writer_create(sys_real(), "invoices", &checkpoint_invoices, NULL, 0, &writer, &err),
        &err);
    assert_done(emit_bills_write(bills, writer, &err), &err);
    assert_done(table_writer_commit(writer, &seal, &err), &err);
    assert_done(table_open(sys_real(), "invoices", &checkpoint_invoices, &table, &err), &err);
    return table;
}

static void assert_column(const struct table_cursor *row, size_t column, const char *expected) {
    if (expected[0] == '\0') {
        assert_true(table_is_null(row, column));
    } else {
        assert_text(table_get_text(row, column), expected);
    }
}

static void assert_decimal(const struct table_cursor *row, size_t column, const char *expected) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(expected), &value), DECIMAL_OK);
    assert_int_equal(decimal_compare(table_get_decimal(row, column), value), 0);
}

/* In no order. */
static void end_each_way(struct emit_bills *bills) {
    done(bills, "in_7", "usd",
         (struct emit_bill){.status = INVOICE_DRAFT,
                            .reason = "items_open",
                            .state = "draft",
                            .open_count = 3,
                            .open_reason = "held",
                            .ours = 300,
                            .theirs = 300});
    done(bills, "in_3", "jpy",
         (struct emit_bill){.status = INVOICE_DIFFERENT,
                            .reason = "total",
                            .state = "draft",
                            .request_id = "req_3",
                            .detail = "as it says",
                            .ours_count = 5,
                            .ours = -707,
                            .theirs = 11});
    done(bills, "in_2", "usd",
         (struct emit_bill){.status = INVOICE_DRAFT,
                            .reason = "items_open",
                            .state = "draft",
                            .open_count = 1,
                            .open_reason = "failed",
                            .ours = 300,
                            .theirs = 300});
    done(bills, "in_1", "usd",
         (struct emit_bill){.status = INVOICE_FINALISED,
                            .reason = "",
                            .state = "open",
                            .request_id = "req_1",
                            .ours_count = 1,
                            .ours = 2507,
                            .theirs = 2507});
    done(bills, "in_4", "usd",
         (struct emit_bill){.status = INVOICE_FAILED,
                            .reason = "",
                            .request_id = "req_4",
                            .detail = "no such invoice"});
    done(bills, "in_5", "usd", (struct emit_bill){.status = INVOICE_OF_OTHERS, .reason = ""});
    done(bills, "in_6", "usd", (struct emit_bill){.status = INVOICE_UNKNOWN, .reason = ""});
}

struct expected_row {
    const char *invoice_id;
    const char *code;
    int64_t items;
    int64_t open;
    const char *ours;
    const char *theirs;
    const char *state;
    const char *status;
    const char *reason;
    const char *request_id;
    const char *detail;
};

static void a_row_tells_what_became_of_an_invoice(void **state) {
    (void)state;
    static const struct expected_row expected[] = {
        {"in_1", "usd", 2, 0, "25.07", "25.07", "open", "finalised", "", "req_1", ""},
        {"in_2", "usd", 2, 1, "3", "3", "draft", "draft", "items_open", "",
         "1 item of this customer is not sent: failed"},
        {"in_3", "jpy", 5, 0, "-707", "11", "draft", "different", "total", "req_3", "as it says"},
        {"in_4", "usd", 2, 0, "0", "0", "", "failed", "", "req_4", "no such invoice"},
        {"in_6", "usd", 2, 0, "0", "0", "", "unknown", "", "", ""},
        {"in_7", "usd", 2, 3, "3", "3", "draft", "draft", "items_open", "",
         "3 items of this customer are not sent: held"},
    };
    struct emit_bills *bills = bills_new();
    end_each_way(bills);
    struct table *table = write_and_open(bills);
    assert_int_equal(table_rows_count(table), sizeof expected / sizeof expected[0]);
    struct table_cursor row = table_cursor_start(table);
    for (size_t index = 0; table_cursor_next(&row); index++) {
        const struct expected_row *wanted = &expected[index];
        assert_column(&row, INVOICES_INVOICE_ID, wanted->invoice_id);
        assert_column(&row, INVOICES_CUSTOMER_ID, "cus_a");
        assert_column(&row, INVOICES_CURRENCY, wanted->code);
        assert_int_equal(table_get_int64(&row, INVOICES_ITEMS), wanted->items);
        assert_int_equal(table_get_int64(&row, INVOICES_OPEN_ITEMS), wanted->open);
        assert_decimal(&row, INVOICES_OURS, wanted->ours);
        assert_decimal(&row, INVOICES_THEIRS, wanted->theirs);
        assert_column(&row, INVOICES_STATE, wanted->state);
        assert_column(&row, INVOICES_STATUS, wanted->status);
        assert_column(&row, INVOICES_REASON, wanted->reason);
        assert_column(&row, INVOICES_REQUEST_ID, wanted->request_id);
        assert_column(&row, INVOICES_DETAIL, wanted->detail);
    }
    table_close(table);
    emit_bills_destroy(bills);
}

static void rows_outlast_the_part_they_came_from(void **state) {
    (void)state;
    struct emit_bills *bills = bills_new();
    struct emit_group group = {0};
    for (unsigned part = 0; part < 2; part++) {
        emit_bills_begin(bills, 0, 1);
        add(bills, 1 + part, part == 0 ? "cus_first" : "cus_other",
            part == 0 ? "in_first" : "in_later", "usd");
        emit_bills_sort(bills);
        struct err err = {0};
        assert_true(next(bills, &group));
        group.bill.status = INVOICE_DRAFT;
        group.bill.reason = "not_asked";
        (void)snprintf(group.bill.state, sizeof group.bill.state, "%s",
                       part == 0 ? "draft" : "open");
        assert_done(emit_bills_done(bills, &group, &err), &err);
    }
    struct table *table = write_and_open(bills);
    struct table_cursor row = table_cursor_start(table);
    assert_true(table_cursor_next(&row));
    assert_column(&row, INVOICES_INVOICE_ID, "in_first");
    assert_column(&row, INVOICES_CUSTOMER_ID, "cus_first");
    assert_column(&row, INVOICES_STATE, "draft");
    assert_true(table_cursor_next(&row));
    assert_column(&row, INVOICES_INVOICE_ID, "in_later");
    assert_false(table_cursor_next(&row));
    table_close(table);
    emit_group_release(&group);
    emit_bills_destroy(bills);
}

static void every_invoice_of_many_has_its_row(void **state) {
    (void)state;
    struct emit_bills *bills = bills_new();
    for (unsigned number = 300; number > 0; number--) {
        char invoice_id[16];
        (void)snprintf(invoice_id, sizeof invoice_id, "in_%04u", number);
        done(bills, invoice_id, "usd",
             (struct emit_bill){.status = INVOICE_DRAFT, .reason = "not_asked", .ours = number});
    }
    struct table *table = write_and_open(bills);
    struct table_cursor row = table_cursor_start(table);
    for (unsigned number = 1; number <= 300; number++) {
        char text[16];
        assert_true(table_cursor_next(&row));
        (void)snprintf(text, sizeof text, "in_%04u", number);
        assert_column(&row, INVOICES_INVOICE_ID, text);
        (void)snprintf(text, sizeof text, "%u.%02u", number / 100, number % 100);
        assert_decimal(&row, INVOICES_OURS, text);
    }
    assert_false(table_cursor_next(&row));
    table_close(table);
    emit_bills_destroy(bills);
}

static void without_invoices_the_table_is_empty(void **state) {
    (void)state;
    struct emit_bills *bills = bills_new();
    struct emit_group group = {0};
    emit_bills_begin(bills, 0, 1);
    emit_bills_sort(bills);
    assert_false(next(bills, &group));
    struct table *table = write_and_open(bills);
    assert_int_equal(table_rows_count(table), 0);
    table_close(table);
    emit_group_release(&group);
    emit_bills_destroy(bills);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_item_is_on_the_invoice_it_was_sent_to_or_open),
        TEST(an_open_item_of_nobody_keeps_no_invoice_open),
        TEST(each_customer_is_in_one_part_with_all_it_has),
        TEST(more_items_than_there_was_room_for_are_kept),
        TEST(a_group_is_an_invoice_with_what_is_open_beside_it),
        TEST(a_row_tells_what_became_of_an_invoice),
        TEST(rows_outlast_the_part_they_came_from),
        TEST(every_invoice_of_many_has_its_row),
        TEST(without_invoices_the_table_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
