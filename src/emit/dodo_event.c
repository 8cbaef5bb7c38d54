/* One overage as an event. */
#include "emit/dodo.h"

#include <assert.h>

bool dodo_event_name(struct text metric, struct buffer *name, struct err *err) {
    buffer_clear(name);
    return buffer_append(name, text_from("overage."), err) && buffer_append(name, metric, err);
}

/* Everything but the amount is for people: text, so that no meter can sum it by mistake. */
static json_t *event_metadata(const struct emit_item *item, const char *run_id) {
    char quantity[DECIMAL_TEXT_MAX];
    (void)decimal_format(item->overage, quantity);
    return json_pack("{s:I, s:s, s:s, s:s%, s:s%, s:s, s:I, s:s}", "amount",
                     (json_int_t)item->amount, "currency", item->currency->code, "quantity",
                     quantity, "org_id", item->org_id.bytes, item->org_id.size_bytes, "metric",
                     item->metric.bytes, item->metric.size_bytes, "period", item->period,
                     "revision", (json_int_t)item->revision, "run_id",
                     item->run_id != NULL ? item->run_id : run_id);
}

static json_t *event_object(const struct emit_item *item, struct text customer, const char *run_id,
                            const struct instant *stamp, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    struct buffer name = {0};
    if (!dodo_event_name(item->metric, &name, err)) {
        return NULL;
    }
    emit_key_format(&item->key, key);
    json_t *event = json_pack("{s:s, s:s%, s:s%, s:o}", "event_id", key, "customer_id",
                              customer.bytes, customer.size_bytes, "event_name", name.bytes,
                              name.size_bytes, "metadata", event_metadata(item, run_id));
    buffer_release(&name);
    if (event != NULL && stamp != NULL) {
        char text[INSTANT_TEXT_MAX];
        (void)instant_format(*stamp, text);
        (void)json_object_set_new(event, "timestamp", json_string(text));
    }
    if (event == NULL) {
        (void)err_memory(err, 0);
    }
    return event;
}

bool dodo_event_body(const struct emit_item *item, struct text customer, const char *run_id,
                     const struct instant *stamp, struct buffer *body, struct err *err) {
    json_t *event = event_object(item, customer, run_id, stamp, err);
    if (event == NULL) {
        return false;
    }
    char *text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (text == NULL) {
        return err_memory(err, 0);
    }
    bool is_fine = buffer_append(body, text_from(text), err);
    free(text);
    return is_fine;
}
