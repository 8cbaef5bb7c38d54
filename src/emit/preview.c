/*
 * The requests that a sending would begin with, made by the very code that makes them, and not
 * sent. What an answer decides is told beside the request: an invoice's id, whether a subscription
 * is billed soon.
 */
#include <stdlib.h>

#include "core/memory.h"
#include "sender_internal.h"

static const char unknown_invoice[] = "{id of the invoice}";

struct preview {
    struct sender sender; /* without a connection */
    struct slot slot;
    struct http_call call;
    const struct preview_sink *sink;
    const char *condition; /* NULL: in any case */
    bool finalizes;
    struct emit_key *finalized; /* invoices that it was told of */
    size_t finalized_count;
    size_t finalized_capacity;
};

static bool add_field(json_t *object, const char *name, const char *text) {
    return json_object_set_new(object, name, json_string(text)) == 0;
}

static bool put_line(struct preview *preview, struct err *err) {
    const struct sender_options *options = &preview->sender.options;
    const struct http_call *call = &preview->call;
    json_t *object = json_object();
    char *text = NULL;
    struct buffer url = {0};
    bool is_fine = buffer_append(&url, text_from(options->base), err) &&
                   buffer_append(&url, buffer_text(&call->url), err) &&
                   buffer_append(&url, (struct text){"", 1}, err);
    if (!is_fine) {
        json_decref(object);
        return false;
    }
    bool is_made =
        add_field(object, "method", call->is_post ? "POST" : "GET") &&
        add_field(object, "url", url.bytes) &&
        add_field(object, "stripe_version", options->version) &&
        (call->idempotency_key[0] == '\0' ||
         add_field(object, "idempotency_key", call->idempotency_key)) &&
        (!call->is_post ||
         json_object_set_new(object, "body",
                             json_stringn(call->body.bytes != NULL ? call->body.bytes : "",
                                          call->body.size_bytes)) == 0) &&
        (preview->condition == NULL || add_field(object, "if", preview->condition));
    text = is_made ? json_dumps(object, JSON_COMPACT) : NULL;
    buffer_release(&url);
    json_decref(object);
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "a request cannot be written as JSON");
    }
    is_fine = preview->sink->put(preview->sink->context, text_from(text), err);
    free(text);
    return is_fine;
}

static bool put_request(struct preview *preview, enum step step, struct err *err) {
    struct http_call *call = &preview->call;
    buffer_clear(&call->url);
    buffer_clear(&call->body);
    call->idempotency_key[0] = '\0';
    call->is_post = false;
    preview->slot.step = step;
    return step_ask(&preview->sender, &preview->slot, call, err) && put_line(preview, err);
}

static bool put_items(struct preview *preview, bool is_unsettled, struct err *err) {
    struct slot *slot = &preview->slot;
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work->result.status != EMIT_OPEN || work->is_unsettled != is_unsettled ||
            work->needs_list) {
            continue;
        }
        if (!is_unsettled) {
            work->place = slot->place;
            keep_text(work->place_id, sizeof work->place_id, text_from(slot->place_id));
        }
        slot->work_index = index;
        if (!put_request(preview, STEP_ITEM, err)) {
            return false;
        }
    }
    return true;
}

static bool has_open(const struct slot *slot, bool needs_list) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        const struct emit_work *work = &slot->group.works[index];
        if (work->result.status == EMIT_OPEN &&
            (needs_list ? work->needs_list : !work->is_unsettled)) {
            return true;
        }
    }
    return false;
}

static bool put_subscription(struct preview *preview, struct err *err) {
    const struct sender_options *options = &preview->sender.options;
    struct slot *slot = &preview->slot;
    if (options->attach == ATTACH_DRAFT) {
        slot->page_after[0] = '\0';
        if (!put_request(preview, STEP_INVOICES, err)) {
            return false;
        }
        preview->condition = "the subscription has no draft invoice of this period";
    }
    if (options->max_wait_us >= 0) {
        if (!put_request(preview, STEP_SUBSCRIPTION, err)) {
            return false;
        }
        preview->condition = "the subscription is active and billed soon enough";
    }
    slot->place = PLACE_SUBSCRIPTION;
    keep_text(slot->place_id, sizeof slot->place_id, slot->group.subscription);
    return put_items(preview, false, err);
}

static void mark_lines(struct slot *slot, enum emit_status status) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work->place == PLACE_LINES && work->has_intent) {
            work->result.status = status;
        }
    }
}

/* Those that go together, as lines; the others follow as items. */
static bool put_lines(struct preview *preview, struct err *err) {
    struct slot *slot = &preview->slot;
    size_t left = lines_count(&preview->sender, slot);
    bool has_lines = left > 0;
    for (size_t index = slot->group.works_count; has_lines && index-- > 0;) {
        struct emit_work *work = &slot->group.works[index];
        if (left > 0 && lines_may_have(work)) {
            work->place = PLACE_LINES;
            work->has_intent = true;
            keep_text(work->place_id, sizeof work->place_id, text_from(slot->place_id));
            slot->work_index = index;
            left--;
        }
    }
    if (has_lines && !put_request(preview, STEP_ADD_LINES, err)) {
        return false;
    }
    mark_lines(slot, EMIT_SENT);
    return true;
}

/* Once for each invoice: orgs of a customer share it. */
static bool put_finalizing(struct preview *preview, struct err *err) {
    const struct emit_key *key = &preview->slot.invoice.item.key;
    if (!preview->finalizes) {
        return true;
    }
    for (size_t index = 0; index < preview->finalized_count; index++) {
        if (memcmp(preview->finalized[index].bytes, key->bytes, sizeof key->bytes) == 0) {
            return true;
        }
    }
    if (preview->finalized_count == preview->finalized_capacity) {
        size_t capacity = preview->finalized_capacity * 2 + 64;
        struct emit_key *keys = mem_realloc(preview->finalized, capacity * sizeof *keys);
        if (keys == NULL) {
            return err_memory(err, capacity * sizeof *keys);
        }
        preview->finalized = keys;
        preview->finalized_capacity = capacity;
    }
    preview->finalized[preview->finalized_count++] = *key;
    preview->slot.group.bill.invoice_id = text_from(unknown_invoice);
    preview->condition = "all items of the customer are sent";
    if (!put_request(preview, STEP_SHOW, err)) {
        return false;
    }
    preview->condition = "all items of the customer are on it, and its total is theirs";
    bool is_fine = put_request(preview, STEP_FINALIZE, err);
    preview->condition = NULL;
    return is_fine;
}

static bool put_invoice(struct preview *preview, struct err *err) {
    struct slot *slot = &preview->slot;
    slot->is_draft_asked = true;
    slot->page_after[0] = '\0';
    slot->invoice = (struct emit_work){.attempt = 1};
    if (!place_invoice_key(&preview->sender, slot, &slot->invoice.item.key, err) ||
        !put_request(preview, STEP_INVOICES, err)) {
        return false;
    }
    preview->condition = "no draft invoice of ours is there";
    if (!put_request(preview, STEP_INVOICE, err)) {
        return false;
    }
    preview->condition = NULL;
    slot->place = PLACE_INVOICE;
    keep_text(slot->place_id, sizeof slot->place_id, text_from(unknown_invoice));
    slot->is_own_place = true;
    bool is_fine =
        put_lines(preview, err) && put_items(preview, false, err) && put_finalizing(preview, err);
    mark_lines(slot, EMIT_OPEN);
    return is_fine;
}

/* What keeps everything new of the group, as far as it can be told without asking. */
static const char *held_reason(const struct preview *preview) {
    const struct sender_options *options = &preview->sender.options;
    const struct emit_group *group = &preview->slot.group;
    bool has_subscription = group->subscription.size_bytes > 0 && options->attach != ATTACH_INVOICE;
    bool may_land = has_subscription || options->is_metered || options->may_stand_alone ||
                    options->attach == ATTACH_INVOICE;
    return group->held_reason != NULL        ? group->held_reason
           : group->customer.size_bytes == 0 ? "no_stripe_customer"
           : !may_land                       ? "no_upcoming_invoice"
                                             : NULL;
}

/* What may have been carried out is settled first, whatever holds the others. */
static void hold_open(struct emit_group *group, const char *reason) {
    for (size_t index = 0; index < group->works_count; index++) {
        struct emit_work *work = &group->works[index];
        if (work->result.status == EMIT_OPEN && !work->is_unsettled) {
            work->result.status = EMIT_HELD;
            work->result.reason = reason;
        }
    }
}

static bool preview_group(struct preview *preview, struct err *err) {
    const struct sender_options *options = &preview->sender.options;
    struct slot *slot = &preview->slot;
    preview->condition = NULL;
    if (preview->sender.journal != NULL) {
        if (!slot_load(&preview->sender, slot, err)) {
            return false;
        }
    } else {
        for (size_t index = 0; index < slot->group.works_count; index++) {
            slot->group.works[index].attempt = 1;
            work_hold(&slot->group.works[index]);
        }
    }
    if ((has_open(slot, true) && !put_request(preview, STEP_LIST, err)) ||
        !put_items(preview, true, err)) {
        return false;
    }
    const char *reason = held_reason(preview);
    if (reason != NULL) {
        hold_open(&slot->group, reason);
    }
    if (!has_open(slot, false)) {
        return true;
    }
    if (options->is_metered) {
        slot->place = PLACE_METER;
        slot->place_id[0] = '\0';
        return put_items(preview, false, err);
    }
    if (slot->group.subscription.size_bytes > 0 && options->attach != ATTACH_INVOICE) {
        return put_subscription(preview, err);
    }
    return put_invoice(preview, err);
}

bool sender_preview(const struct sender_options *options, struct journal *journal,
                    const struct emit_feed *feed, const struct preview_sink *sink,
                    struct err *err) {
    struct preview *preview = mem_alloc(sizeof *preview);
    bool is_found = true;
    bool is_fine = true;
    if (preview == NULL) {
        return err_memory(err, sizeof *preview);
    }
    preview->sender.options = *options;
    preview->sender.journal = journal;
    preview->sink = sink;
    preview->finalizes = options->finalizes;
    while (is_fine && is_found) {
        struct emit_work *works = preview->slot.group.works;
        size_t capacity = preview->slot.group.works_capacity;
        preview->slot = (struct slot){.group = {.works = works, .works_capacity = capacity}};
        is_fine = feed->next(feed->context, &preview->slot.group, &is_found, err) &&
                  (!is_found ||
                   (preview_group(preview, err) &&
                    (feed->done == NULL || feed->done(feed->context, &preview->slot.group, err))));
    }
    emit_group_release(&preview->slot.group);
    buffer_release(&preview->call.url);
    buffer_release(&preview->call.body);
    buffer_release(&preview->sender.body);
    mem_free(preview->finalized);
    mem_free(preview);
    return is_fine;
}
