/* Listings, page by page: how a page is asked for, and whether there is another one behind it. */
#include "emit/form.h"
#include "sender_internal.h"

enum { PAGE_ROWS = 100 };

bool page_ask(const struct slot *slot, const char *path, struct buffer *query,
              struct http_call *call, struct err *err) {
    struct text after = text_from(slot->page_after);
    return form_int64(query, "limit", PAGE_ROWS, err) &&
           (after.size_bytes == 0 || form_text(query, "starting_after", after, err)) &&
           buffer_append(&call->url, text_from(path), err) &&
           buffer_append(&call->url, text_from("?"), err) &&
           buffer_append(&call->url, buffer_text(query), err);
}

bool page_turn(struct slot *slot, const json_t *list) {
    const json_t *rows = json_object_get(list, "data");
    size_t count = json_array_size(rows);
    const char *last_id = count > 0 ? object_text(json_array_get(rows, count - 1), "id") : "";
    if (!json_is_true(json_object_get(list, "has_more")) || last_id[0] == '\0') {
        return false;
    }
    keep_text(slot->page_after, sizeof slot->page_after, text_from(last_id));
    slot->tries = 0;
    return true;
}
