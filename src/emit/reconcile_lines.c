/*
 * Items that went as lines of an invoice of ours are not among the items that Stripe lists. A run's
 * journal knows their invoice. A record knows no more than the line's id, by which nobody can ask:
 * so the customer's invoices since the period's end are listed, and the lines of those that are
 * ours looked at; for a line that was sent, and is not there, everybody's: the org may have another
 * customer now than it was sent to.
 */
#include "emit/form.h"
#include "sender_internal.h"

#define DAY_US (INT64_C(86400) * 1000000)

/* --- which invoices ------------------------------------------------------------------------------
 */

bool reconcile_is_line(const struct emit_work *work) {
    return strncmp(work->result.object_id, "il_", 3) == 0;
}

bool reconcile_search_invoices(struct sender *sender, struct slot *slot) {
    bool is_missed = false;
    bool is_line_missed = false;
    for (size_t index = 0; index < slot->group.works_count; index++) {
        const struct emit_work *work = &slot->group.works[index];
        if (work->is_compared || work->is_found || work->is_lined ||
            !text_equals(reconcile_customer_of(slot, work), slot->listed)) {
            continue;
        }
        is_missed = true;
        is_line_missed =
            is_line_missed || (work->result.status == EMIT_SENT && reconcile_is_line(work));
    }
    bool has_customer = slot->listed.size_bytes > 0;
    enum invoices_listed wider = slot->invoices_listed == INVOICES_NONE && has_customer
                                     ? INVOICES_OF_CUSTOMER
                                     : INVOICES_OF_ALL;
    bool is_wanted = wider == INVOICES_OF_ALL ? is_line_missed : is_missed;
    if (!sender->reconcile->knows_all || !is_wanted || slot->invoices_listed == INVOICES_OF_ALL) {
        return false;
    }
    slot->invoices_listed = wider;
    slot->page_after[0] = '\0';
    slot->found_id[0] = '\0';
    slot->tries = 0;
    slot_ready(sender, slot, STEP_INVOICES);
    return true;
}

bool reconcile_ask_invoices(struct slot *slot, struct http_call *call, struct err *err) {
    struct buffer query = {0};
    int64_t since_us = slot->group.works[0].item.period_end.us - DAY_US;
    bool is_fine = (slot->invoices_listed == INVOICES_OF_ALL ||
                    form_text(&query, "customer", slot->listed, err)) &&
                   form_int64(&query, "created[gte]", since_us / 1000000, err) &&
                   page_ask(slot, "/v1/invoices", &query, call, err);
    buffer_release(&query);
    return is_fine;
}

/* --- their lines ---------------------------------------------------------------------------------
 */

/* All lines of one invoice are read. One that stood in a listing: the listing goes on behind it. */
bool reconcile_lines_read(struct sender *sender, struct slot *slot,
                          const struct http_answer *answer, struct err *err) {
    if (slot->found_id[0] != '\0') {
        memcpy(slot->page_after, slot->found_id, sizeof slot->page_after);
        slot->found_id[0] = '\0';
        slot->tries = 0;
        slot_ready(sender, slot, STEP_INVOICES);
        return true;
    }
    char invoice_id[EMIT_ID_MAX];
    memcpy(invoice_id, slot->group.works[slot->work_index].result.invoice_id, sizeof invoice_id);
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        work->is_lined = work->is_lined || strcmp(work->result.invoice_id, invoice_id) == 0;
    }
    return reconcile_listed(sender, slot, answer, err);
}

/* Lines of items that were found as such are no second ones. */
static bool take_line(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const json_t *line, struct err *err) {
    struct emit_key key;
    const char *text = object_text(json_object_get(line, "metadata"), "item_key");
    bool is_fine = true;
    for (size_t index = 0;
         emit_key_parse(text_from(text), &key) && is_fine && index < slot->group.works_count;
         index++) {
        struct emit_work *work = &slot->group.works[index];
        if (!work->is_found && memcmp(key.bytes, work->item.key.bytes, sizeof key.bytes) == 0) {
            json_t *item = line_as_item(line);
            is_fine = item != NULL ? reconcile_compare(sender, slot, work, answer, item, err)
                                   : err_memory(err, sizeof *work);
            json_decref(item);
        }
    }
    return is_fine;
}

bool reconcile_take_lines(struct sender *sender, struct slot *slot,
                          const struct http_answer *answer, const json_t *object, struct err *err) {
    size_t index;
    json_t *line;
    json_array_foreach(json_object_get(object, "data"), index, line) {
        if (!take_line(sender, slot, answer, line, err)) {
            return false;
        }
    }
    if (!page_turn(slot, object)) {
        return reconcile_lines_read(sender, slot, answer, err);
    }
    slot_ready(sender, slot, STEP_LINES);
    return true;
}

static bool is_ours(const struct sender *sender, const json_t *invoice) {
    struct emit_key key;
    const json_t *metadata = json_object_get(invoice, "metadata");
    return emit_key_parse(text_from(object_text(metadata, "invoice_key")), &key) &&
           strcmp(object_text(metadata, "period"), sender->options.period) == 0;
}

/* *is_cut: not all of its lines came with it, and they are asked for before the next invoice. */
static bool take_invoice(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                         const json_t *invoice, bool *is_cut, struct err *err) {
    const json_t *lines = json_object_get(invoice, "lines");
    size_t index;
    json_t *line;
    *is_cut = !json_is_false(json_object_get(lines, "has_more"));
    if (*is_cut) {
        keep_text(slot->found_id, sizeof slot->found_id, text_from(object_text(invoice, "id")));
        slot->page_after[0] = '\0';
        slot->tries = 0;
        slot_ready(sender, slot, STEP_LINES);
        return true;
    }
    json_array_foreach(json_object_get(lines, "data"), index, line) {
        if (!take_line(sender, slot, answer, line, err)) {
            return false;
        }
    }
    return true;
}

bool reconcile_take_invoices(struct sender *sender, struct slot *slot,
                             const struct http_answer *answer, const json_t *object,
                             struct err *err) {
    size_t index;
    json_t *invoice;
    json_array_foreach(json_object_get(object, "data"), index, invoice) {
        bool is_cut = false;
        if (is_ours(sender, invoice) &&
            (!take_invoice(sender, slot, answer, invoice, &is_cut, err) || is_cut)) {
            return is_cut;
        }
    }
    if (!page_turn(slot, object)) {
        return reconcile_listed(sender, slot, answer, err);
    }
    slot_ready(sender, slot, STEP_INVOICES);
    return true;
}
