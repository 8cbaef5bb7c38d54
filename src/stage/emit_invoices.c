/*
 * Invoices of our own, after their items: which there are is gathered from the journal, the sender
 * compares and finalises them, and what became of each is the table invoices (emit_bills.h).
 *
 * Items are gathered by their customers, a part of these at a time, so that memory does not grow
 * with the items; what is kept to the end is a row for each invoice.
 */
#include "emit_bills.h"
#include "emit_run.h"

enum { ITEMS_AT_ONCE = 50000 };

static bool gather_item(struct emission_run *emission, struct emit_bills *bills,
                        const struct emit_group *group, const struct emit_work *work,
                        struct err *err) {
    struct journal_state known;
    struct emit_placed placed;
    if (!journal_find(emission->journal, &work->item.key, &known, err)) {
        return false;
    }
    return !emit_placed_of(group, work, &known, &placed) || emit_bills_add(bills, &placed, err);
}

static bool gather_shard(struct emission_run *emission, struct emit_bills *bills,
                         size_t shard_index, struct err *err) {
    struct emit_shard shard;
    struct emit_group group = {0};
    bool is_found = true;
    if (!emit_shard_open(&shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    bool is_fine = true;
    while (is_fine && is_found) {
        is_fine = emit_shard_next(&shard, &group, &is_found, err);
        bool is_disabled = group.held_reason != NULL && strcmp(group.held_reason, "disabled") == 0;
        for (size_t index = 0; is_fine && is_found && !is_disabled && index < group.works_count;
             index++) {
            is_fine = gather_item(emission, bills, &group, &group.works[index], err);
        }
    }
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

static bool gather(struct emission_run *emission, struct emit_bills *bills, struct err *err) {
    for (size_t shard = 0; shard < run_shards_count(emission->run); shard++) {
        if (!gather_shard(emission, bills, shard, err)) {
            return false;
        }
    }
    emit_bills_sort(bills);
    return true;
}

static bool close_parts(struct emission_run *emission, struct emit_bills *bills, struct err *err) {
    struct emit_feed feed = {.context = bills, .next = emit_bills_next, .done = emit_bills_done};
    emit_bills_begin(bills, 0, 0);
    if (!gather(emission, bills, err)) {
        return false;
    }
    size_t parts_count = emit_bills_count(bills) / ITEMS_AT_ONCE + 1;
    for (size_t part = 0; part < parts_count; part++) {
        emit_bills_begin(bills, part, parts_count);
        if (!gather(emission, bills, err) ||
            !sender_close_invoices(emission->sender, &feed, emission->session->sending.finalizes,
                                   err)) {
            return false;
        }
    }
    return true;
}

static bool write_table(struct run *run, struct emit_bills *bills, struct err *err) {
    struct table_writer *invoices = NULL;
    if (!run_output_create(run, &checkpoint_invoices, 0, &invoices, err)) {
        return false;
    }
    if (!emit_bills_write(bills, invoices, err)) {
        table_writer_destroy(invoices);
        return false;
    }
    return run_output_commit(run, &checkpoint_invoices, 0, invoices, err);
}

bool emit_no_invoices(struct run *run, struct err *err) {
    struct emit_bills *bills = NULL;
    bool is_fine = emit_bills_create("", &bills, err) && write_table(run, bills, err);
    emit_bills_destroy(bills);
    return is_fine;
}

bool emit_invoices(struct emission_run *emission, struct err *err) {
    struct emit_bills *bills = NULL;
    bool is_fine = emit_bills_create(emission->period, &bills, err) &&
                   close_parts(emission, bills, err) && write_table(emission->run, bills, err);
    emit_bills_destroy(bills);
    return is_fine;
}
