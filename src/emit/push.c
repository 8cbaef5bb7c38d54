/* From the ledger to batches, and the cursor behind them. */
#include "emit/push.h"

#include <assert.h>
#include <stdio.h>

#include "core/digest.h"
#include "core/memory.h"
#include "push_internal.h"
#include "sys/clock.h"
#include "sys/process.h"

#define MINUTE_US (INT64_C(60) * 1000000)
/* Dodo takes an hour back and five minutes ahead; a request takes its time, and clocks differ. */
#define AGE_MAX_US (59 * MINUTE_US)
#define AHEAD_MAX_US (4 * MINUTE_US)
#define FIRST_AGE_US (55 * MINUTE_US)

struct push {
    const struct sys *sys;
    struct db *db;
    struct db *reader;
    struct client *client;
    const struct push_options *options;
    struct push_counts *counts;
    struct push_item *items;
    size_t items_count;
    struct buffer body;
    bool may_be_sent; /* the batch at hand: a stop came before it was noted */
};

/* --- rows ---------------------------------------------------------------------------------------
 */

static bool text_or_empty(const struct db_result *result, size_t row, size_t column,
                          struct text *value, struct err *err) {
    *value = (struct text){"", 0};
    return db_result_is_null(result, row, column) ||
           db_result_text(result, row, column, value, err);
}

/* Length before content: no two different rows give the same bytes. */
static bool put_part(struct buffer *content, struct text part, struct err *err) {
    return buffer_append_format(content, err, "%zu:", part.size_bytes) &&
           buffer_append(content, part, err);
}

static bool make_id(struct push_row *row, struct text key, int64_t xid, int64_t nth,
                    struct err *err) {
    static const char hex[] = "0123456789abcdef";
    struct buffer content = {0};
    struct digest digest;
    char quantity[DECIMAL_TEXT_MAX];
    (void)decimal_format(row->quantity, quantity);
    bool is_fine = put_part(&content, row->org_id, err);
    if (key.size_bytes > 0) {
        is_fine =
            is_fine && put_part(&content, text_from("key"), err) && put_part(&content, key, err);
    } else {
        is_fine =
            is_fine && put_part(&content, text_from("row"), err) &&
            put_part(&content, row->metric, err) && put_part(&content, row->kind, err) &&
            put_part(&content, text_from(quantity), err) &&
            put_part(&content, row->unique_key, err) &&
            buffer_append_format(&content, err, "%lld,%lld,%lld", (long long)row->occurred_at.us,
                                 (long long)xid, (long long)nth);
    }
    is_fine = is_fine && digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    for (size_t index = 0; is_fine && index < (sizeof row->event_id - 1) / 2; index++) {
        row->event_id[index * 2] = hex[digest.bytes[index] >> 4];
        row->event_id[index * 2 + 1] = hex[digest.bytes[index] & 15];
    }
    row->event_id[sizeof row->event_id - 1] = '\0';
    return is_fine;
}

static bool read_row(const struct db_result *result, size_t index, struct push_row *row,
                     struct text *key, struct err *err) {
    *row = (struct push_row){0};
    return db_result_text(result, index, 0, &row->org_id, err) &&
           text_or_empty(result, index, 1, &row->customer, err) &&
           db_result_text(result, index, 2, &row->metric, err) &&
           db_result_text(result, index, 3, &row->kind, err) &&
           db_result_decimal(result, index, 4, &row->quantity, err) &&
           db_result_instant(result, index, 5, &row->occurred_at, err) &&
           text_or_empty(result, index, 6, key, err) &&
           text_or_empty(result, index, 7, &row->unique_key, err);
}

static void judge_item(struct push_item *item, struct instant now) {
    int64_t age_us = now.us - item->row.occurred_at.us;
    item->fate = item->row.customer.size_bytes == 0 ? PUSH_NO_CUSTOMER
                 : age_us > AGE_MAX_US              ? PUSH_TOO_OLD
                 : age_us < -AHEAD_MAX_US           ? PUSH_AHEAD
                                                    : PUSH_OPEN;
}

/* has_id: the rows are listed ones, under the ids they have. */
static bool take_rows(struct push *push, const struct db_result *result, bool has_id,
                      struct err *err) {
    struct instant now = clock_now(push->sys);
    push->items_count = 0;
    for (size_t index = 0; index < result->rows_count; index++) {
        struct push_item *item = &push->items[push->items_count++];
        struct text key;
        int64_t xid = 0;
        int64_t nth = 0;
        *item = (struct push_item){0};
        if (!read_row(result, index, &item->row, &key, err)) {
            return false;
        }
        if (has_id) {
            (void)snprintf(item->row.event_id, sizeof item->row.event_id, "%.*s",
                           (int)key.size_bytes, key.bytes);
        } else if (!db_result_int64(result, index, 8, &xid, err) ||
                   !db_result_int64(result, index, 9, &nth, err) ||
                   !make_id(&item->row, key, xid, nth, err)) {
            return false;
        }
        judge_item(item, now);
    }
    return true;
}

/* --- what a batch leaves behind -----------------------------------------------------------------
 */

static bool list_item(struct push *push, const struct push_item *item, const char *reason,
                      struct err *err) {
    struct db_params params = {0};
    const struct push_row *row = &item->row;
    db_params_text(&params, text_from(row->event_id));
    db_params_text(&params, row->org_id);
    db_params_text(&params, row->metric);
    db_params_text(&params, row->kind);
    db_params_decimal(&params, row->quantity);
    db_params_instant(&params, row->occurred_at);
    if (row->unique_key.size_bytes > 0) {
        db_params_text(&params, row->unique_key);
    } else {
        db_params_null(&params);
    }
    db_params_text(&params, text_from(reason));
    if (item->detail[0] != '\0') {
        db_params_text(&params, text_from(item->detail));
    } else {
        db_params_null(&params);
    }
    if (push->options->tell != NULL) {
        push->options->tell(push->options->context, row, reason, item->detail);
    }
    return db_run(push->db, "push/list.sql", &params, NULL, err);
}

static bool leave_behind(struct push *push, const struct push_item *item, struct err *err) {
    switch (item->fate) {
    case PUSH_OPEN:
        assert(false); /* sent or refused by now */
        return true;
    case PUSH_SENT:
        push->counts->sent++;
        return true;
    case PUSH_NO_CUSTOMER:
        push->counts->without_customer++;
        return true;
    case PUSH_TOO_OLD:
        push->counts->too_old++;
        return list_item(push, item, "too_old", err);
    case PUSH_AHEAD:
        push->counts->ahead++;
        return list_item(push, item, "ahead", err);
    case PUSH_REFUSED:
        push->counts->refused++;
        return list_item(push, item, "refused", err);
    }
    return true;
}

static size_t count_sent(const struct push *push) {
    size_t count = 0;
    for (size_t index = 0; index < push->items_count; index++) {
        count += push->items[index].fate == PUSH_SENT ? 1 : 0;
    }
    return count;
}

/* The cursor moves together with the list of what it leaves behind. */
static bool move_cursor(struct push *push, struct err *err) {
    struct db_params params = {0};
    db_params_int64(&params, (int64_t)push->items_count);
    db_params_int64(&params, (int64_t)count_sent(push));
    if (!db_begin(push->db, "", err)) {
        return false;
    }
    for (size_t index = 0; index < push->items_count; index++) {
        if (!leave_behind(push, &push->items[index], err)) {
            db_rollback(push->db);
            return false;
        }
    }
    if (!db_run(push->db, "push/step.sql", &params, NULL, err)) {
        db_rollback(push->db);
        return false;
    }
    return db_commit(push->db, err);
}

/* Rows that were listed as ahead: sent ones leave the list, others change their reason. */
static bool settle_due(struct push *push, struct err *err) {
    if (!db_begin(push->db, "", err)) {
        return false;
    }
    for (size_t index = 0; index < push->items_count; index++) {
        const struct push_item *item = &push->items[index];
        struct db_params params = {0};
        db_params_text(&params, text_from(item->row.event_id));
        bool is_gone = item->fate == PUSH_SENT || item->fate == PUSH_NO_CUSTOMER;
        if ((is_gone && !db_run(push->db, "push/forget.sql", &params, NULL, err)) ||
            !leave_behind(push, item, err)) {
            db_rollback(push->db);
            return false;
        }
    }
    return db_commit(push->db, err);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static bool send_rows(struct push *push, bool may_be_sent, struct err *err) {
    return (!may_be_sent || push_prove(push->client, push->items, push->items_count, err)) &&
           push_send(push->client, push->items, push->items_count, &push->body, err);
}

static bool send_due(struct push *push, struct err *err) {
    bool has_more = true;
    while (has_more) {
        struct db_params params = {0};
        struct db_result result = {0};
        db_params_instant(&params,
                          (struct instant){clock_now(push->sys).us + AHEAD_MAX_US - MINUTE_US});
        bool is_fine = interrupt_check(err) &&
                       db_run(push->db, "push/due.sql", &params, &result, err) &&
                       take_rows(push, &result, true, err) && send_rows(push, true, err);
        has_more = is_fine && result.rows_count == PUSH_ROWS_MAX;
        is_fine = is_fine && (push->items_count == 0 || settle_due(push, err));
        db_result_release(&result);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

static bool send_window(struct push *push, struct err *err) {
    if (!db_begin(push->reader, "isolation level repeatable read read only", err) ||
        !db_run(push->reader, "push/rows.sql", NULL, NULL, err)) {
        return false;
    }
    for (;;) {
        struct db_result result = {0};
        bool is_fine = interrupt_check(err) &&
                       db_run(push->reader, "push/fetch.sql", NULL, &result, err) &&
                       take_rows(push, &result, false, err);
        bool is_over = is_fine && result.rows_count == 0;
        is_fine = is_fine &&
                  (is_over || (send_rows(push, push->may_be_sent, err) && move_cursor(push, err)));
        push->may_be_sent = false;
        db_result_release(&result);
        if (!is_fine) {
            return false;
        }
        if (is_over) {
            db_rollback(push->reader);
            return db_run(push->db, "push/finish.sql", NULL, NULL, err);
        }
    }
}

static bool lock(struct push *push, struct err *err) {
    struct db_result result = {0};
    bool is_locked = false;
    bool is_fine = db_run(push->db, "push/lock.sql", NULL, &result, err) &&
                   db_result_bool(&result, 0, 0, &is_locked, err);
    db_result_release(&result);
    if (!is_fine || is_locked) {
        return is_fine;
    }
    (void)err_set(err, ERR_LOCKED, "another push is under way in %s", db_description(push->db));
    return err_hint(err, "it sends what there is; the next one is soon enough");
}

static bool look_for_seats(struct push *push, struct err *err) {
    struct db_result result = {0};
    bool is_fine = db_run(push->db, "push/has_seats.sql", NULL, &result, err) &&
                   db_result_bool(&result, 0, 0, &push->counts->has_seats, err);
    db_result_release(&result);
    return is_fine;
}

static bool open_window(struct push *push, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    struct push_counts *counts = push->counts;
    db_params_instant(&params, (struct instant){clock_now(push->sys).us - FIRST_AGE_US});
    bool is_fine = db_run(push->db, "push/begin.sql", &params, NULL, err) &&
                   db_run(push->db, "push/window.sql", NULL, &result, err) &&
                   db_result_instant(&result, 0, 0, &counts->begins_at, err) &&
                   db_result_bool(&result, 0, 1, &counts->is_first, err) &&
                   db_result_bool(&result, 0, 2, &push->may_be_sent, err);
    counts->has_pushed_at = is_fine && !db_result_is_null(&result, 0, 3);
    is_fine = is_fine &&
              (!counts->has_pushed_at || db_result_instant(&result, 0, 3, &counts->pushed_at, err));
    db_result_release(&result);
    return is_fine;
}

bool push_run(const struct sys *sys, struct db *db, struct db *reader, struct client *client,
              const struct push_options *options, struct push_counts *counts, struct err *err) {
    struct push push = {.sys = sys,
                        .db = db,
                        .reader = reader,
                        .client = client,
                        .options = options,
                        .counts = counts};
    *counts = (struct push_counts){0};
    push.items = mem_alloc(PUSH_ROWS_MAX * sizeof *push.items);
    if (push.items == NULL) {
        return err_memory(err, PUSH_ROWS_MAX * sizeof *push.items);
    }
    bool is_fine = lock(&push, err) && look_for_seats(&push, err) && send_due(&push, err);
    bool was_open = true;
    while (is_fine && was_open) { /* behind a window that was left unfinished there is another */
        is_fine = open_window(&push, err);
        was_open = push.may_be_sent;
        is_fine = is_fine && send_window(&push, err);
    }
    counts->requests = client_requests(client);
    buffer_release(&push.body);
    mem_free(push.items);
    return is_fine;
}
