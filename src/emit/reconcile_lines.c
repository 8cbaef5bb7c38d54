/*
 * Items that went as lines of an invoice of ours may not be among the items that Stripe lists, and
 * what stands on such an invoice and was not put there by us bills the customer all the same. So
 * the customer's invoices since the period's end are listed, and the lines of those that are ours
 * looked at, each once. For a line that was sent, and is not there, everybody's: the org may have
 * another customer now than it was sent to, and a record knows no more than the line's id, by which
 * nobody can ask.
 */
#include "emit/form.h"
#include "sender_internal.h"

#define DAY_US (INT64_C(86400) * 1000000)

/* --- which invoices ------------------------------------------------------------------------------
 */

bool reconcile_is_line(const struct emit_work *work) {
    return strncmp(work->result.object_id, "il_", 3) == 0;
}

static void ask_invoices(struct sender *sender, struct slot *slot, enum invoices_listed whose) {
    slot->invoices_listed = whose;
    slot->page_after[0] = '\0';
    slot->found_id[0] = '\0';
    slot->tries = 0;
    slot_ready(sender, slot, STEP_INVOICES);
}

bool reconcile_ask_own_invoices(struct sender *sender, struct slot *slot) {
    if (slot->invoices_listed != INVOICES_NONE || slot->listed.size_bytes == 0) {
        return false;
    }
    ask_invoices(sender, slot, INVOICES_OF_CUSTOMER);
    return true;
}

bool reconcile_ask_all_invoices(struct sender *sender, struct slot *slot) {
    bool is_missed = false;
    for (size_t index = 0; index < slot->group.works_count; index++) {
        const struct emit_work *work = &slot->group.works[index];
        is_missed = is_missed || (!work->is_compared && !work->is_found &&
                                  work->result.status == EMIT_SENT && reconcile_is_line(work) &&
                                  text_equals(reconcile_customer_of(slot, work), slot->listed));
    }
    if (!is_missed || !sender->reconcile->knows_all || slot->invoices_listed == INVOICES_OF_ALL) {
        return false;
    }
    ask_invoices(sender, slot, INVOICES_OF_ALL);
    return true;
}

bool reconcile_ask_invoices(struct slot *slot, struct http_call *call, struct err *err) {
    struct buffer query = {0};
    struct instant end =
        slot->group.works_count > 0 ? slot->group.works[0].item.period_end : slot->group.period_end;
    int64_t since_us = end.us - DAY_US;
    bool is_fine = (slot->invoices_listed == INVOICES_OF_ALL ||
                    form_text(&query, "customer", slot->listed, err)) &&
                   form_int64(&query, "created[gte]", since_us / 1000000, err) &&
                   page_ask(slot, "/v1/invoices", &query, call, err);
    buffer_release(&query);
    return is_fine;
}

/* --- their lines ---------------------------------------------------------------------------------
 */

/* All lines of one invoice are read: the listing that it stood in goes on behind it. */
void reconcile_lines_read(struct sender *sender, struct slot *slot) {
    memcpy(slot->page_after, slot->found_id, sizeof slot->page_after);
    slot->found_id[0] = '\0';
    slot->tries = 0;
    slot_ready(sender, slot, STEP_INVOICES);
}

/* It stands there as an item, too, and was looked at as such. */
static bool is_of_item(const json_t *line) {
    const json_t *details =
        json_object_get(json_object_get(line, "parent"), "invoice_item_details");
    return object_text(details, "invoice_item")[0] != '\0';
}

/* A line without a key of ours. Orgs that share the customer see it as well: it is told once. */
static bool take_foreign(struct sender *sender, struct slot *slot, const json_t *line,
                         struct err *err) {
    struct buffer *told = &sender->told_lines;
    const char *id = object_text(line, "id");
    struct text ended = {id, strlen(id) + 1};
    for (size_t at = 0; at < told->size_bytes; at += strlen(told->bytes + at) + 1) {
        if (strcmp(told->bytes + at, id) == 0) {
            return true;
        }
    }
    return buffer_append(told, ended, err) &&
           reconcile_tell(sender, slot, RECONCILE_EXTRA, NULL, line, err);
}

static struct emit_work *find_work(struct slot *slot, const struct emit_key *key) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        if (memcmp(key->bytes, slot->group.works[index].item.key.bytes, sizeof key->bytes) == 0) {
            return &slot->group.works[index];
        }
    }
    return NULL;
}

static bool take_line(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const json_t *line, struct err *err) {
    struct emit_key key;
    bool is_own = slot->invoices_listed == INVOICES_OF_CUSTOMER;
    if (!emit_key_parse(text_from(object_text(json_object_get(line, "metadata"), "item_key")),
                        &key)) {
        return !is_own || take_foreign(sender, slot, line, err);
    }
    struct emit_work *work = find_work(slot, &key);
    if (work == NULL) {
        return !is_own || is_of_item(line) || reconcile_take_unknown(sender, slot, line, err);
    }
    if (work->is_found && (!is_own || is_of_item(line))) {
        return true;
    }
    json_t *item = line_as_item(line);
    bool is_fine = item != NULL ? reconcile_compare(sender, slot, work, answer, item, err)
                                : err_memory(err, sizeof *work);
    json_decref(item);
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
        reconcile_lines_read(sender, slot);
    } else {
        slot_ready(sender, slot, STEP_LINES);
    }
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
