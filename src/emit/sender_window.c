/*
 * The window of groups: filled from the feed, given back in its order. Groups of one customer go
 * one after the other.
 */
#include <assert.h>

#include "sender_internal.h"

struct slot *window_slot(struct sender *sender, size_t index) {
    return &sender->slots[(sender->first + index) % sender->window_groups];
}

void slot_ready(struct sender *sender, struct slot *slot, enum step step) {
    struct ready_queue *queue = &sender->ready[step];
    slot->state = SLOT_READY;
    slot->step = step;
    slot->next_ready = NULL;
    if (queue->last == NULL) {
        queue->first = slot;
    } else {
        queue->last->next_ready = slot;
    }
    queue->last = slot;
    sender->ready_count++;
}

void slot_need_intent(struct sender *sender, struct slot *slot) {
    slot->state = SLOT_NEEDS_INTENT;
    assert(sender->needy_count < WINDOW_GROUPS_MAX);
    sender->needy[sender->needy_count++] = slot;
}

void slot_pause(struct sender *sender, struct slot *slot, enum step step, int64_t until_us) {
    slot->state = SLOT_PAUSES;
    slot->step = step;
    slot->pause_until_us = until_us;
    sender->pausing_count++;
}

void slot_finish(struct sender *sender, struct slot *slot) {
    (void)sender;
    slot->state = SLOT_DONE;
}

static uint64_t hash_text(struct text text) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t index = 0; index < text.size_bytes; index++) {
        hash = (hash ^ (unsigned char)text.bytes[index]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* Those whose customers share a hash: the newest first, through `older`. */
static struct slot **customers_at(struct sender *sender, uint64_t hash) {
    return &sender->customers[hash % CUSTOMER_LISTS];
}

/* The last group under way of the same customer, NULL when there is none. */
static struct slot *find_same_customer(struct sender *sender, const struct slot *slot) {
    if (slot->group.customer.size_bytes == 0) {
        return NULL;
    }
    struct slot *other = *customers_at(sender, slot->customer_hash);
    while (other != NULL &&
           (other->customer_hash != slot->customer_hash || other->state == SLOT_DONE ||
            !text_equals(other->group.customer, slot->group.customer))) {
        other = other->older;
    }
    return other;
}

static void note_customer(struct sender *sender, struct slot *slot) {
    struct slot **list = customers_at(sender, slot->customer_hash);
    slot->older = *list;
    *list = slot;
}

static void forget_customer(struct sender *sender, struct slot *slot) {
    struct slot **link = customers_at(sender, slot->customer_hash);
    while (*link != slot) {
        assert(*link != NULL);
        link = &(*link)->older;
    }
    *link = slot->older;
}

/* What it has allocated stays. */
static void slot_reset(struct slot *slot) {
    struct emit_group group = {.works = slot->group.works,
                               .works_capacity = slot->group.works_capacity};
    struct buffer bodies = slot->bodies;
    *slot = (struct slot){.group = group, .bodies = bodies};
    buffer_clear(&slot->bodies);
}

static bool fill_one(struct sender *sender, const struct emit_feed *feed, bool *is_found,
                     struct err *err) {
    struct slot *slot = window_slot(sender, sender->slots_count);
    slot_reset(slot);
    if (!feed->next(feed->context, &slot->group, is_found, err)) {
        return false;
    }
    if (!*is_found) {
        return true;
    }
    if (!slot_load(sender, slot, err)) {
        return false;
    }
    slot->customer_hash = hash_text(slot->group.customer);
    struct slot *same = find_same_customer(sender, slot);
    note_customer(sender, slot);
    sender->slots_count++;
    sender->works_count += slot->group.works_count;
    if (same != NULL) {
        slot->state = SLOT_WAITS_FOR_CUSTOMER;
        slot->waits_for = same;
        sender->waiting_count++;
        return true;
    }
    return slot_advance(sender, slot, err);
}

static void count_results(struct sender *sender, const struct emit_group *group) {
    for (size_t index = 0; index < group->works_count; index++) {
        switch (group->works[index].result.status) {
        case EMIT_OPEN:
            break;
        case EMIT_SENT:
            sender->counts.sent++;
            sender->counts.on_invoices += group->works[index].result.invoice_id[0] != '\0' ? 1 : 0;
            break;
        case EMIT_FAILED:
            sender->counts.failed++;
            break;
        case EMIT_UNKNOWN:
            sender->counts.unknown++;
            break;
        case EMIT_HELD:
            sender->counts.held++;
            break;
        }
    }
}

bool window_retire(struct sender *sender, const struct emit_feed *feed, struct err *err) {
    while (sender->slots_count > 0 && window_slot(sender, 0)->state == SLOT_DONE) {
        struct slot *slot = window_slot(sender, 0);
        if (!sender->is_settling) {
            if (!sender->is_closing) {
                count_results(sender, &slot->group);
            }
            if (feed->done != NULL && !feed->done(feed->context, &slot->group, err)) {
                return false;
            }
        }
        sender->works_count -= slot->group.works_count;
        slot->state = SLOT_FREE;
        forget_customer(sender, slot);
        sender->first = (sender->first + 1) % sender->window_groups;
        sender->slots_count--;
    }
    return true;
}

/* Groups whose customer is free now. Again from the start, as one may free the next. */
bool window_wake(struct sender *sender, struct err *err) {
    for (size_t index = 0; sender->waiting_count > 0 && index < sender->slots_count; index++) {
        struct slot *slot = window_slot(sender, index);
        if (slot->state == SLOT_WAITS_FOR_CUSTOMER && slot->waits_for->state == SLOT_DONE) {
            slot->waits_for = NULL;
            sender->waiting_count--;
            if (!slot_advance(sender, slot, err)) {
                return false;
            }
        }
    }
    return true;
}

bool window_fill(struct sender *sender, const struct emit_feed *feed, bool *has_more,
                 struct err *err) {
    while (*has_more && sender->slots_count < sender->window_groups &&
           sender->works_count < WINDOW_WORKS_MAX) {
        if (!fill_one(sender, feed, has_more, err) ||
            (sender->slots_count > 0 && window_slot(sender, 0)->state == SLOT_DONE &&
             !window_retire(sender, feed, err))) {
            return false;
        }
    }
    return true;
}
