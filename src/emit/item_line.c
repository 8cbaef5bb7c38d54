/* Items as lines of an invoice: many of them in one request. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "emit/form.h"
#include "item_internal.h"

enum { LINE_NAME_MAX = 48 };

static int compare_keys(const void *left, const void *right) {
    return memcmp(left, right, sizeof(struct emit_key));
}

bool emit_lines_key(const struct emit_key *keys, size_t count, struct emit_key *key,
                    struct err *err) {
    struct digest digest;
    struct emit_key *sorted = mem_alloc(count * sizeof *sorted);
    if (sorted == NULL) {
        return err_memory(err, count * sizeof *sorted);
    }
    memcpy(sorted, keys, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_keys);
    bool is_fine = digest_of(sorted->bytes, count * sizeof *sorted, &digest, err);
    mem_free(sorted);
    if (is_fine) {
        memcpy(key->bytes, digest.bytes, sizeof key->bytes);
    }
    return is_fine;
}

static const char *line_name(char name[LINE_NAME_MAX], size_t index, const char *field) {
    int size = snprintf(name, LINE_NAME_MAX, "lines[%zu]%s", index, field);
    assert(size > 0 && size < LINE_NAME_MAX);
    return name;
}

static bool put_metadata(const struct emit_item *item, size_t index, const char *run_id,
                         struct buffer *body, struct err *err) {
    char name[LINE_NAME_MAX];
    char key[EMIT_KEY_TEXT_MAX];
    char quantity[DECIMAL_TEXT_MAX];
    emit_key_format(&item->key, key);
    (void)decimal_format(item->overage, quantity);
    return form_text(body, line_name(name, index, "[metadata][item_key]"), text_from(key), err) &&
           form_text(body, line_name(name, index, "[metadata][run_id]"), text_from(run_id), err) &&
           form_text(body, line_name(name, index, "[metadata][org_id]"),
                     item_metadata_value(item->org_id), err) &&
           form_text(body, line_name(name, index, "[metadata][metric]"),
                     item_metadata_value(item->metric), err) &&
           form_text(body, line_name(name, index, "[metadata][period]"), text_from(item->period),
                     err) &&
           form_text(body, line_name(name, index, "[metadata][quantity]"), text_from(quantity),
                     err) &&
           form_int64(body, line_name(name, index, "[metadata][revision]"), item->revision, err);
}

bool emit_line_body(const struct emit_item *item, size_t index, const struct emit_target *target,
                    struct buffer *body, struct err *err) {
    char name[LINE_NAME_MAX];
    struct buffer description = {0};
    assert(!item->is_by_quantity); /* a line takes its price from a product, which there is none */
    bool is_fine =
        form_int64(body, line_name(name, index, "[amount]"), item->amount, err) &&
        emit_item_describe(item, &description, err) &&
        form_text(body, line_name(name, index, "[description]"), buffer_text(&description), err) &&
        form_bool(body, line_name(name, index, "[discountable]"), target->is_discountable, err) &&
        form_int64(body, line_name(name, index, "[period][start]"),
                   item_floor_seconds(item->period_start.us), err) &&
        form_int64(body, line_name(name, index, "[period][end]"),
                   item_floor_seconds(item->period_end.us - 1000000), err) &&
        put_metadata(item, index, item->run_id != NULL ? item->run_id : target->run_id, body, err);
    buffer_release(&description);
    return is_fine;
}
