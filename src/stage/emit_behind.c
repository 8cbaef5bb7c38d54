/*
 * With a database: which items of a shard are differences to earlier revisions that are not settled
 * there. They may be of other runs, and of other run directories; the records know all of them.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/memory.h"
#include "emit.h"

enum { BATCH_ITEMS = 1000 };

struct behind {
    const struct stage_session *session;
    struct emit_write_back *asked; /* the session's own, or one that only asks */
    json_t *batch;
    bool *is_behind; /* of the revisions of the shard, in their order */
    size_t count;
    size_t capacity;
    size_t answered;
};

/* The first revision of a metric differs from nothing. */
bool emit_is_revision(const struct table_cursor *record) {
    return table_get_int64(record, RECORDS_REVISION) > 1 &&
           !decimal_is_zero(table_get_decimal(record, RECORDS_BILLED));
}

static bool take_answer(struct behind *behind, const struct db_result *result, struct err *err) {
    for (size_t row = 0; row < result->rows_count; row++) {
        int64_t place;
        bool is_unsent;
        bool is_open;
        if (!db_result_int64(result, row, 0, &place, err) ||
            !db_result_bool(result, row, 1, &is_unsent, err) ||
            !db_result_bool(result, row, 2, &is_open, err)) {
            return false;
        }
        behind->is_behind[behind->answered + (size_t)place] =
            is_open || (is_unsent && !behind->session->sending.is_earlier_billed);
    }
    behind->answered = behind->count;
    return true;
}

static bool ask(struct behind *behind, struct err *err) {
    struct db_result result = {0};
    if (json_array_size(behind->batch) == 0) {
        return true;
    }
    char *items = json_dumps(behind->batch, JSON_COMPACT);
    if (items == NULL) {
        return err_memory(err, 0);
    }
    bool is_fine = emit_write_back_ask(behind->asked, "emit/behind.sql", items, &result, err) &&
                   take_answer(behind, &result, err);
    db_result_release(&result);
    free(items);
    (void)json_array_clear(behind->batch);
    return is_fine;
}

static bool add(struct behind *behind, const struct table_cursor *record, struct err *err) {
    struct text org_id = table_get_text(record, RECORDS_ORG_ID);
    struct text metric = table_get_text(record, RECORDS_METRIC);
    if (behind->count == behind->capacity) {
        size_t capacity = behind->capacity * 2 + BATCH_ITEMS;
        bool *flags = mem_realloc(behind->is_behind, capacity * sizeof *flags);
        if (flags == NULL) {
            return err_memory(err, capacity * sizeof *flags);
        }
        behind->is_behind = flags;
        behind->capacity = capacity;
    }
    behind->is_behind[behind->count++] = true; /* until it is known better */
    json_t *item = json_pack("{s:s%, s:s%, s:I}", "org_id", org_id.bytes, org_id.size_bytes,
                             "metric", metric.bytes, metric.size_bytes, "revision",
                             (json_int_t)table_get_int64(record, RECORDS_REVISION));
    if (item == NULL || json_array_append_new(behind->batch, item) != 0) {
        return err_memory(err, 0);
    }
    return json_array_size(behind->batch) < BATCH_ITEMS || ask(behind, err);
}

static bool ask_all(struct behind *behind, struct table *records, struct err *err) {
    struct table_cursor record = table_cursor_start(records);
    while (table_cursor_next(&record)) {
        if (emit_is_revision(&record) && !add(behind, &record, err)) {
            return false;
        }
    }
    return ask(behind, err);
}

static bool has_revisions(struct table *records) {
    struct table_cursor record = table_cursor_start(records);
    while (table_cursor_next(&record)) {
        if (emit_is_revision(&record)) {
            return true;
        }
    }
    return false;
}

bool emit_behind_load(struct run *run, const struct stage_session *session, struct table *records,
                      bool **is_behind, struct err *err) {
    *is_behind = NULL;
    if (session->conninfo == NULL || !has_revisions(records)) {
        return true;
    }
    struct behind behind = {
        .session = session, .asked = session->write_back, .batch = json_array()};
    if (behind.batch == NULL) {
        return err_memory(err, 0);
    }
    bool is_fine =
        (behind.asked != NULL || emit_write_back_only_ask(run, session, &behind.asked, err)) &&
        ask_all(&behind, records, err);
    if (behind.asked != session->write_back) {
        emit_write_back_close(behind.asked);
    }
    json_decref(behind.batch);
    if (!is_fine) {
        mem_free(behind.is_behind);
        return err_wrap(err, "asking for earlier revisions");
    }
    *is_behind = behind.is_behind;
    return true;
}
