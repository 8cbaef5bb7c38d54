/*
 * Invoices of our own in the account of the sender's tests (account.h): made, listed, shown, given
 * lines, finalised. Rules of the account hold here too. One customer, one draft at a time.
 */
#ifndef PERIODCLOSE_TESTS_EMIT_INVOICING_H
#define PERIODCLOSE_TESTS_EMIT_INVOICING_H

#include "bill.h"

enum { INVOICING_LINES_MAX = 16, INVOICING_TEXT_MAX = 12000 };

static const char make_invoice[] = "POST /v1/invoices ";
static const char add_lines[] = "POST /v1/invoices/in_1/add_lines ";
static const char get_lines[] = "GET /v1/invoices/in_1/lines";
static const char show_invoice[] = "GET /v1/invoices/in_1 ";
static const char finalize[] = "POST /v1/invoices/in_1/finalize ";

struct invoicing_line {
    char item_key[ACCOUNT_TEXT_MAX];
    char amount[ACCOUNT_TEXT_MAX];
    char period[ACCOUNT_TEXT_MAX];
    char run_id[ACCOUNT_TEXT_MAX];
    size_t invoice; /* 1: in_1 */
};

struct invoicing {
    struct account *account;
    size_t invoices_count;
    char state[16]; /* of the last one; those before are open */
    char invoice_key[ACCOUNT_TEXT_MAX];
    struct invoicing_line lines[INVOICING_LINES_MAX];
    size_t lines_count;
    char done_keys[INVOICING_LINES_MAX][ACCOUNT_TEXT_MAX]; /* of what was carried out */
    size_t done_count;
    size_t shown_max;   /* lines shown with an answer; 0: all */
    int64_t more_cents; /* in the total, by nobody's line */
};

static inline bool invoicing_is(const struct peer_request *request, const char *line) {
    return strncmp(request->head, line, strlen(line)) == 0;
}

/* Whether the key is a new one. */
static inline bool invoicing_begin(struct invoicing *invoicing,
                                   const struct peer_request *request) {
    char key[ACCOUNT_TEXT_MAX];
    peer_header(request, "Idempotency-Key", key, sizeof key);
    for (size_t index = 0; index < invoicing->done_count; index++) {
        if (strcmp(invoicing->done_keys[index], key) == 0) {
            return false;
        }
    }
    assert_true(key[0] != '\0' && invoicing->done_count < INVOICING_LINES_MAX);
    memcpy(invoicing->done_keys[invoicing->done_count++], key, sizeof key);
    return true;
}

static inline void invoicing_field(const char *form, size_t line, const char *field, char *value) {
    char name[64];
    (void)snprintf(name, sizeof name, "lines[%zu]%s", line, field);
    peer_field(form, name, value, ACCOUNT_TEXT_MAX);
}

static inline void invoicing_add(struct invoicing *invoicing, const char *form) {
    struct invoicing_line line = {.invoice = invoicing->invoices_count};
    for (size_t index = 0;; index++) {
        invoicing_field(form, index, "[amount]", line.amount);
        if (line.amount[0] == '\0') {
            return;
        }
        invoicing_field(form, index, "[metadata][item_key]", line.item_key);
        invoicing_field(form, index, "[metadata][period]", line.period);
        invoicing_field(form, index, "[metadata][run_id]", line.run_id);
        assert_true(invoicing->lines_count < INVOICING_LINES_MAX);
        invoicing->lines[invoicing->lines_count++] = line;
    }
}

static inline void invoicing_carry_out(struct invoicing *invoicing,
                                       const struct peer_request *request) {
    if (!invoicing_begin(invoicing, request)) {
        return;
    }
    if (invoicing_is(request, make_invoice)) {
        invoicing->invoices_count++;
        (void)snprintf(invoicing->state, sizeof invoicing->state, "draft");
        peer_field(request->body, "metadata[invoice_key]", invoicing->invoice_key,
                   ACCOUNT_TEXT_MAX);
    } else if (invoicing_is(request, finalize)) {
        (void)snprintf(invoicing->state, sizeof invoicing->state, "open");
    } else {
        invoicing_add(invoicing, request->body);
    }
}

/* Of one invoice, from one on: as many as are shown, and whether there are more. */
static inline void invoicing_put_lines(const struct invoicing *invoicing, size_t number,
                                       size_t from, char *text) {
    size_t count_max = invoicing->shown_max > 0 ? invoicing->shown_max : INVOICING_LINES_MAX;
    size_t count = 0;
    bool has_more = false;
    strcat(text, "\"data\":[");
    for (size_t index = from; index < invoicing->lines_count; index++) {
        const struct invoicing_line *line = &invoicing->lines[index];
        has_more = has_more || (line->invoice == number && count == count_max);
        if (line->invoice == number && count < count_max) {
            char shown[600];
            (void)snprintf(
                shown, sizeof shown,
                "%s{\"id\":\"il_%zu\",\"amount\":%s,\"currency\":\"usd\",\"parent\":{"
                "\"invoice_item_details\":{\"invoice_item\":\"ii_line_%zu\"}},"
                "\"metadata\":{\"item_key\":\"%s\",\"period\":\"%s\",\"run_id\":\"%s\"}}",
                count++ > 0 ? "," : "", index + 1, line->amount, index + 1, line->item_key,
                line->period, line->run_id);
            strcat(text, shown);
        }
    }
    strcat(text, has_more ? "],\"has_more\":true" : "],\"has_more\":false");
}

static inline void invoicing_show(const struct invoicing *invoicing, size_t number, char *text) {
    char head[400];
    int64_t total = invoicing->more_cents;
    for (size_t index = 0; index < invoicing->lines_count; index++) {
        total += invoicing->lines[index].invoice == number
                     ? strtoll(invoicing->lines[index].amount, NULL, 10)
                     : 0;
    }
    (void)snprintf(head, sizeof head,
                   "{\"id\":\"in_%zu\",\"object\":\"invoice\",\"status\":\"%s\",\"total\":%lld,"
                   "\"metadata\":{\"invoice_key\":\"%s\"},\"lines\":{",
                   number, number == invoicing->invoices_count ? invoicing->state : "open",
                   (long long)total, invoicing->invoice_key);
    strcat(text, head);
    invoicing_put_lines(invoicing, number, 0, text);
    strcat(text, "}}");
}

static inline void invoicing_say(struct invoicing *invoicing, const struct peer_request *request,
                                 struct peer_answer *answer) {
    static char text[INVOICING_TEXT_MAX];
    char after[ACCOUNT_TEXT_MAX];
    const char *path = strstr(request->head, "/in_");
    size_t number = path != NULL ? strtoul(path + 4, NULL, 10) : invoicing->invoices_count;
    text[0] = '\0';
    if (strstr(request->head, "/lines?") != NULL) {
        peer_field(strchr(request->head, '?') + 1, "starting_after", after, sizeof after);
        strcat(text, "{\"object\":\"list\",");
        invoicing_put_lines(invoicing, number, after[0] != '\0' ? strtoul(after + 3, NULL, 10) : 0,
                            text);
        strcat(text, "}");
    } else if (invoicing_is(request, "GET /v1/invoices?")) {
        strcat(text, "{\"object\":\"list\",\"data\":[");
        for (size_t each = invoicing->invoices_count; each > 0; each--) {
            invoicing_show(invoicing, each, text);
            strcat(text, each > 1 ? "," : "");
        }
        strcat(text, "],\"has_more\":false}");
    } else {
        invoicing_show(invoicing, number, text);
    }
    peer_say(answer, 200, "Request-Id: req_invoice\r\n", text);
}

static inline void invoicing_answer(void *context, const struct peer_request *request,
                                    struct peer_answer *answer) {
    struct invoicing *invoicing = context;
    struct account *account = invoicing->account;
    const char *mark = strchr(request->head, '?');
    if (strstr(request->head, " /v1/invoices") == NULL) {
        account_answer(account, request, answer);
        return;
    }
    account_note(account, request, mark != NULL ? mark + 1 : "");
    const struct account_rule *rule = account_rule_for(account, request->head);
    if (request->head[0] == 'P' && (rule == NULL || rule->does)) {
        invoicing_carry_out(invoicing, request);
    }
    if (rule == NULL) {
        invoicing_say(invoicing, request, answer);
        return;
    }
    answer->end = rule->end;
    answer->after_us = rule->is_silent ? INT64_C(1) << 60 : 0;
    if (rule->status != 0) {
        peer_say(answer, rule->status, rule->headers != NULL ? rule->headers : "",
                 rule->body != NULL ? rule->body : "");
    }
}

/* One group of so many items, for an invoice of its own. */
static inline struct fixture *invoicing_new(struct invoicing *invoicing, size_t items) {
    struct fixture *fixture = fixture_new();
    *invoicing = (struct invoicing){.account = &fixture->account};
    fixture->peer.answer = invoicing_answer;
    fixture->peer.context = invoicing;
    fixture->options.attach = ATTACH_INVOICE;
    fixture->options.batches_lines = true;
    add_groups(&fixture->bill, 1, items);
    return fixture;
}

#endif
