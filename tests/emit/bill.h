/*
 * What the tests of the sender have in common: a bill of groups and items, an account to send it to
 * (account.h), and lives of the program in between.
 */
#ifndef PERIODCLOSE_TESTS_EMIT_BILL_H
#define PERIODCLOSE_TESTS_EMIT_BILL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account.h"
#include "emit/sender.h"
#include "support/scratch.h"

static const char run_id[] = "0123456789abcdef0123456789abcdef";
static const char post_item[] = "POST /v1/invoiceitems";
static const char list_items[] = "GET /v1/invoiceitems";
#define HOUR_US (INT64_C(3600) * 1000000)
#define REFUSAL(type, code) "{\"error\":{\"type\":\"" type "\",\"code\":\"" code "\"}}"

enum { GROUPS_MAX = 128, WORKS_MAX = 4 };

/* What is billed: groups of items, and what became of them. */
struct bill {
    struct {
        const char *customer;
        const char *subscription;
        const char *held_reason;
        size_t items;
    } groups[GROUPS_MAX];
    size_t groups_count;
    size_t next;
    size_t done;
    struct emit_result results[GROUPS_MAX][WORKS_MAX];
    char names[GROUPS_MAX][24]; /* of the orgs */
};

static inline bool bill_next(void *context, struct emit_group *group, bool *is_found,
                             struct err *err) {
    static const char *const metrics[WORKS_MAX] = {"tokens", "runs", "seats", "storage"};
    struct bill *bill = context;
    *is_found = bill->next < bill->groups_count;
    if (!*is_found) {
        return true;
    }
    size_t index = bill->next++;
    (void)snprintf(bill->names[index], sizeof bill->names[index], "org%zu", index);
    group->org_id = text_from(bill->names[index]);
    group->customer = text_from(bill->groups[index].customer);
    group->subscription =
        text_from(bill->groups[index].subscription != NULL ? bill->groups[index].subscription : "");
    group->held_reason = bill->groups[index].held_reason;
    group->works_count = 0;
    for (size_t item = 0; item < bill->groups[index].items; item++) {
        struct emit_work *work = emit_group_add(group, err);
        assert_non_null(work);
        work->item = (struct emit_item){.org_id = group->org_id,
                                        .metric = text_from(metrics[item]),
                                        .period = "2026-10",
                                        .revision = 1,
                                        .currency = currency_find(text_from("usd"))};
        work->item.amount = (int64_t)(1000 + 10 * index + item);
        work->item.period_start.us = PEER_EPOCH_US - 31 * 24 * HOUR_US;
        work->item.period_end.us = PEER_EPOCH_US;
        assert_true(
            emit_key_of(work->item.org_id, work->item.metric, "2026-10", 1, &work->item.key, err));
    }
    return true;
}

static inline bool bill_done(void *context, const struct emit_group *group, struct err *err) {
    struct bill *bill = context;
    (void)err;
    assert_true(text_equals(group->org_id, text_from(bill->names[bill->done])));
    for (size_t index = 0; index < group->works_count; index++) {
        bill->results[bill->done][index] = group->works[index].result;
    }
    bill->done++;
    return true;
}

struct fixture {
    struct peer peer;
    struct account account;
    struct bill bill;
    struct sender_options options;
    struct journal *journal;
    struct sender *sender;
    struct sender_counts counts;
    struct journal_counts journal_counts;
};

static inline struct fixture *fixture_new(void) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    peer_open(&fixture.peer, account_answer, &fixture.account);
    fixture.options = (struct sender_options){.sys = &fixture.peer.sys,
                                              .base = fixture.peer.base,
                                              .secret = "sk_test_51verysecret",
                                              .version = "2026-07-29.dahlia",
                                              .run_id = run_id,
                                              .period = "2026-10",
                                              .in_flight = 8,
                                              .timeout_ms = 20000,
                                              .retry_delay_ms = 500,
                                              .max_wait_us = -1,
                                              .may_stand_alone = true};
    return &fixture;
}

static inline void add_groups(struct bill *bill, size_t count, size_t items) {
    static char customers[GROUPS_MAX][16];
    static char subscriptions[GROUPS_MAX][16];
    for (size_t group = 0; group < count; group++) {
        size_t index = bill->groups_count++;
        (void)snprintf(customers[index], sizeof customers[index], "cus_%zu", index);
        (void)snprintf(subscriptions[index], sizeof subscriptions[index], "sub_%zu", index);
        bill->groups[index].customer = customers[index];
        bill->groups[index].subscription = subscriptions[index];
        bill->groups[index].items = items;
    }
}

static inline void open_sender(struct fixture *fixture) {
    struct err err = {0};
    struct instant now = {fixture->peer.sys.now_us(&fixture->peer)};
    assert_true(journal_open(&fixture->peer.sys, "journal", run_id, now, &fixture->journal, &err));
    assert_true(sender_create(&fixture->options, fixture->journal, &fixture->sender, &err));
    fixture->bill.next = 0;
    fixture->bill.done = 0;
}

static inline void close_sender(struct fixture *fixture) {
    fixture->counts = sender_counts(fixture->sender);
    fixture->journal_counts = journal_counts(fixture->journal);
    sender_destroy(fixture->sender);
    journal_close(fixture->journal);
    fixture->sender = NULL;
    fixture->journal = NULL;
}

/* One life of the program; its end. */
static inline enum err_code live(struct fixture *fixture, struct err *err) {
    struct emit_feed feed = {.context = &fixture->bill, .next = bill_next, .done = bill_done};
    open_sender(fixture);
    bool is_fine = sender_run(fixture->sender, &feed, err);
    close_sender(fixture);
    assert_int_equal(is_fine, err->code == ERR_NONE);
    assert_null(strstr(err->message, "verysecret"));
    assert_null(strstr(err->hint, "verysecret"));
    return err->code;
}

static inline void live_well(struct fixture *fixture) {
    struct err err = {0};
    assert_int_equal(live(fixture, &err), ERR_NONE);
    assert_int_equal(fixture->bill.done, fixture->bill.groups_count);
}

/* Every item that was billed is there once. */
static inline void assert_once_each(const struct fixture *fixture, size_t count) {
    const struct account *account = &fixture->account;
    assert_int_equal(account->items_count, count);
    for (size_t index = 0; index < count; index++) {
        for (size_t other = 0; other < index; other++) {
            assert_string_not_equal(account->items[index].item_key, account->items[other].item_key);
        }
    }
}

static inline void use_rules(struct fixture *fixture, const struct account_rule *rules,
                             size_t count) {
    fixture->account.rules = rules;
    fixture->account.rules_count = count;
    memset(fixture->account.seen, 0, sizeof fixture->account.seen);
}

static const struct account_call *call_at(const struct fixture *fixture, const char *line,
                                          size_t nth) {
    for (size_t index = 0; index < fixture->account.calls_count; index++) {
        const struct account_call *call = &fixture->account.calls[index];
        if (strncmp(call->line, line, strlen(line)) == 0 && nth-- == 0) {
            return call;
        }
    }
    fail();
    return NULL;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

#endif
