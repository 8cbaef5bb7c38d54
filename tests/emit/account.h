/*
 * An account as small as the sender's tests need: it makes invoice items, once for each
 * Idempotency-Key, lists them, and goes wrong by rules. What it was asked is kept. (The simulator
 * of tests/stripe_sim is the whole thing; this one lives in the test's own thread, on its clock.)
 */
#ifndef PERIODCLOSE_TESTS_EMIT_ACCOUNT_H
#define PERIODCLOSE_TESTS_EMIT_ACCOUNT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/peer.h"

enum { ACCOUNT_MAX = 512, ACCOUNT_TEXT_MAX = 96 };

struct account_item {
    char id[ACCOUNT_TEXT_MAX];
    char idempotency_key[ACCOUNT_TEXT_MAX];
    char item_key[ACCOUNT_TEXT_MAX];
    char customer[ACCOUNT_TEXT_MAX];
    char amount[ACCOUNT_TEXT_MAX];
    char currency[ACCOUNT_TEXT_MAX];
    char period[ACCOUNT_TEXT_MAX];
    char place[ACCOUNT_TEXT_MAX]; /* subscription or invoice */
};

/* From the nth request on whose line begins so, `times` of them are answered otherwise. */
struct account_rule {
    const char *line; /* "POST /v1/invoiceitems" */
    size_t nth;       /* from 1 on; 0: 1 */
    size_t times;     /* 0: 1 */
    bool does;        /* the work is done before */
    bool is_silent;
    enum peer_end end; /* with status 0: without an answer */
    int status;
    const char *headers;
    const char *body;
};

struct account_call {
    char line[2 * ACCOUNT_TEXT_MAX];
    char idempotency_key[ACCOUNT_TEXT_MAX];
    char customer[ACCOUNT_TEXT_MAX];
    int64_t at_us;
    int64_t until_us;
    size_t waiting;
};

struct account {
    const struct account_rule *rules;
    size_t rules_count;
    size_t seen[16]; /* of each rule */
    int64_t answer_us;
    size_t page_max;          /* 0: 100 */
    const char *subscription; /* what GET /v1/subscriptions/… says */
    bool is_forgetful;        /* keeps no Idempotency-Keys */
    struct account_item items[ACCOUNT_MAX];
    size_t items_count;
    struct account_call calls[ACCOUNT_MAX];
    size_t calls_count;
    void (*watch)(struct account *account, const struct peer_request *request); /* or NULL */
};

static inline void account_show(const struct account_item *item, char *text, size_t size) {
    (void)snprintf(text, size,
                   "{\"id\":\"%s\",\"object\":\"invoiceitem\",\"amount\":%s,\"currency\":\"%s\","
                   "\"customer\":\"%s\",\"metadata\":{\"item_key\":\"%s\",\"period\":\"%s\"}}",
                   item->id, item->amount, item->currency, item->customer, item->item_key,
                   item->period);
}

static inline struct account_item *account_make(struct account *account, const char *form,
                                                const char *key, bool *is_replayed) {
    for (size_t index = 0; index < account->items_count && !account->is_forgetful; index++) {
        if (strcmp(account->items[index].idempotency_key, key) == 0) {
            *is_replayed = true;
            return &account->items[index];
        }
    }
    struct account_item *item = &account->items[account->items_count++];
    (void)snprintf(item->id, sizeof item->id, "ii_%zu", account->items_count);
    (void)snprintf(item->idempotency_key, sizeof item->idempotency_key, "%s", key);
    peer_field(form, "metadata[item_key]", item->item_key, sizeof item->item_key);
    peer_field(form, "metadata[period]", item->period, sizeof item->period);
    peer_field(form, "customer", item->customer, sizeof item->customer);
    peer_field(form, "amount", item->amount, sizeof item->amount);
    peer_field(form, "currency", item->currency, sizeof item->currency);
    peer_field(form, "subscription", item->place, sizeof item->place);
    if (item->place[0] == '\0') {
        peer_field(form, "invoice", item->place, sizeof item->place);
    }
    return item;
}

/* Newest first, of one customer or of all, behind starting_after. */
static inline void account_list(const struct account *account, const char *query,
                                struct peer_answer *answer) {
    char customer[ACCOUNT_TEXT_MAX];
    char after[ACCOUNT_TEXT_MAX];
    static char text[ACCOUNT_MAX * 400];
    char shown[800];
    size_t page_max = account->page_max > 0 ? account->page_max : 100;
    size_t count = 0;
    bool has_more = false;
    peer_field(query, "customer", customer, sizeof customer);
    peer_field(query, "starting_after", after, sizeof after);
    bool is_behind = after[0] == '\0';
    (void)snprintf(text, sizeof text, "{\"object\":\"list\",\"data\":[");
    for (size_t index = account->items_count; index-- > 0;) {
        const struct account_item *item = &account->items[index];
        bool is_wanted = customer[0] == '\0' || strcmp(customer, item->customer) == 0;
        if (is_behind && is_wanted && count == page_max) {
            has_more = true;
        } else if (is_behind && is_wanted) {
            account_show(item, shown, sizeof shown);
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                           count++ > 0 ? "," : "", shown);
        }
        is_behind = is_behind || strcmp(after, item->id) == 0;
    }
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "],\"has_more\":%s}",
                   has_more ? "true" : "false");
    peer_say(answer, 200, "Request-Id: req_list\r\n", text);
}

static inline const struct account_rule *account_rule_for(struct account *account,
                                                          const char *line) {
    const struct account_rule *found = NULL;
    for (size_t index = 0; index < account->rules_count; index++) {
        const struct account_rule *rule = &account->rules[index];
        if (strncmp(line, rule->line, strlen(rule->line)) != 0) {
            continue;
        }
        size_t seen = ++account->seen[index];
        size_t nth = rule->nth > 0 ? rule->nth : 1;
        size_t times = rule->times > 0 ? rule->times : 1;
        if (found == NULL && seen >= nth && seen < nth + times) {
            found = rule;
        }
    }
    return found;
}

static inline void account_note(struct account *account, const struct peer_request *request,
                                const char *query) {
    struct account_call *call = &account->calls[account->calls_count++];
    (void)snprintf(call->line, sizeof call->line, "%.*s", (int)strcspn(request->head, "\r"),
                   request->head);
    peer_header(request, "Idempotency-Key", call->idempotency_key, sizeof call->idempotency_key);
    peer_field(request->body[0] != '\0' ? request->body : query, "customer", call->customer,
               sizeof call->customer);
    call->at_us = request->at_us;
    call->until_us = request->at_us + account->answer_us;
    call->waiting = request->waiting;
}

static inline void account_answer(void *context, const struct peer_request *request,
                                  struct peer_answer *answer) {
    struct account *account = context;
    char key[ACCOUNT_TEXT_MAX];
    char text[800];
    bool is_replayed = false;
    const char *mark = strchr(request->head, '?');
    const char *query = mark != NULL ? mark + 1 : "";
    if (account->watch != NULL) {
        account->watch(account, request);
    }
    account_note(account, request, query);
    peer_header(request, "Idempotency-Key", key, sizeof key);
    answer->after_us = account->answer_us;
    const struct account_rule *rule = account_rule_for(account, request->head);
    bool is_item = strncmp(request->head, "POST /v1/invoiceitems ", 22) == 0;
    const struct account_item *made = NULL;
    if (is_item && (rule == NULL || rule->does)) {
        made = account_make(account, request->body, key, &is_replayed);
    }
    if (rule != NULL) {
        answer->end = rule->end;
        answer->after_us = rule->is_silent ? INT64_C(1) << 60 : answer->after_us;
        if (rule->status != 0) {
            peer_say(answer, rule->status, rule->headers != NULL ? rule->headers : "",
                     rule->body != NULL ? rule->body : "");
        }
    } else if (made != NULL) {
        account_show(made, text, sizeof text);
        peer_say(answer, 200,
                 is_replayed ? "Request-Id: req_again\r\nIdempotent-Replayed: true\r\n"
                             : "Request-Id: req_item\r\n",
                 text);
    } else if (strncmp(request->head, "GET /v1/invoiceitems", 20) == 0) {
        account_list(account, query, answer);
    } else if (strncmp(request->head, "GET /v1/subscriptions/", 22) == 0) {
        peer_say(answer, 200, "", account->subscription);
    } else {
        peer_say(answer, 200, "", "{\"id\":\"in_1\",\"object\":\"invoice\"}");
    }
}

/* How many of the calls begin so. */
static inline size_t account_calls(const struct account *account, const char *line) {
    size_t count = 0;
    for (size_t index = 0; index < account->calls_count; index++) {
        count += strncmp(account->calls[index].line, line, strlen(line)) == 0 ? 1 : 0;
    }
    return count;
}

#endif
