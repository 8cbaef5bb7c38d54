/*
 * What the records in the database say was sent, and the journal does not know: it was sent out of
 * another run directory. It is noted as found, and not sent again, even if it is gone at Stripe,
 * which may have been somebody's goodwill.
 *
 * Events of meters cannot be asked for at Stripe, which tells them apart for a day. So a journal
 * that begins anew begins with the question whether they were sent before that day; where neither
 * time nor records answer it, nothing is sent unless somebody says that nothing was.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "emit_run.h"
#include "sys/clock.h"

/* An hour less than identifiers are told apart, by Stripe's word. */
#define TOLD_APART_US (INT64_C(23) * 3600 * 1000000)

enum { BATCH_ITEMS = 1000 };

struct recorded {
    struct emission_run *emission;
    struct emit_item items[BATCH_ITEMS];
    struct text customers[BATCH_ITEMS];
    bool is_held[BATCH_ITEMS];
    size_t count;
    struct emit_recorded_counts *counts;
};

static bool is_long_ago(struct instant at, struct instant now) {
    int64_t age_us = now.us - at.us;
    return age_us < 0 || age_us >= TOLD_APART_US; /* a clock that was put back says nothing */
}

static bool note_found(struct recorded *recorded, size_t place, struct text object_id,
                       struct err *err) {
    const struct emit_item *item = &recorded->items[place];
    struct journal_answer answer = {
        .key = item->key,
        .attempt = 1,
        .outcome = OUTCOME_FOUND,
        .amount = item->amount,
        .currency = text_from(item->currency->code),
        .customer = recorded->customers[place],
        .object_id = object_id,
        .request_id = text_from(""),
        .detail = text_from("sent before, says the database"),
    };
    recorded->counts->found++;
    return journal_put_answer(recorded->emission->journal, &answer, err);
}

static bool take_row(struct recorded *recorded, const struct db_result *result, size_t row,
                     struct err *err) {
    int64_t place = -1;
    bool is_sent = false;
    struct text object_id = {"", 0};
    struct instant recorded_at;
    if (!db_result_int64(result, row, 0, &place, err) ||
        !db_result_bool(result, row, 1, &is_sent, err) ||
        (!db_result_is_null(result, row, 2) && !db_result_text(result, row, 2, &object_id, err)) ||
        !db_result_instant(result, row, 3, &recorded_at, err)) {
        return false;
    }
    struct instant now = clock_now(run_sys(recorded->emission->run));
    if (!is_sent && !recorded->is_held[place] && is_long_ago(recorded_at, now)) {
        recorded->counts->doubtful++;
    }
    return !is_sent || note_found(recorded, (size_t)place, object_id, err);
}

static bool ask_batch(struct recorded *recorded, struct err *err) {
    struct db_result result = {0};
    json_t *array = json_array();
    for (size_t index = 0; array != NULL && index < recorded->count; index++) {
        const struct emit_item *item = &recorded->items[index];
        (void)json_array_append_new(
            array, json_pack("{s:s%, s:s%, s:I}", "org_id", item->org_id.bytes,
                             item->org_id.size_bytes, "metric", item->metric.bytes,
                             item->metric.size_bytes, "revision", (json_int_t)item->revision));
    }
    bool is_made = json_array_size(array) == recorded->count;
    char *items = is_made ? json_dumps(array, JSON_COMPACT) : NULL;
    json_decref(array);
    if (items == NULL) {
        return err_memory(err, 0);
    }
    bool is_fine =
        emit_write_back_ask(recorded->emission->session->write_back, items, &result, err);
    for (size_t row = 0; is_fine && row < result.rows_count; row++) {
        is_fine = take_row(recorded, &result, row, err);
    }
    db_result_release(&result);
    free(items);
    recorded->count = 0;
    return is_fine;
}

/* What the journal knows of it, it knows better. */
static bool add_unknown(struct recorded *recorded, const struct emit_group *group,
                        const struct emit_work *work, struct err *err) {
    struct journal_state known;
    if (!journal_find(recorded->emission->journal, &work->item.key, &known, err)) {
        return false;
    }
    if (known.has_intent || known.has_answer) {
        return true;
    }
    recorded->items[recorded->count] = work->item;
    recorded->customers[recorded->count] = group->customer;
    recorded->is_held[recorded->count++] =
        group->held_reason != NULL || work->held_reason != NULL || group->customer.size_bytes == 0;
    return recorded->count < BATCH_ITEMS || ask_batch(recorded, err);
}

static bool look_shard(struct recorded *recorded, size_t shard_index, struct err *err) {
    struct emission_run *emission = recorded->emission;
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
        for (size_t index = 0; is_fine && is_found && index < group.works_count; index++) {
            is_fine = add_unknown(recorded, &group, &group.works[index], err);
        }
    }
    /* Its texts end with the shard. */
    is_fine = is_fine && (recorded->count == 0 || ask_batch(recorded, err));
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

bool emit_recorded_note(struct emission_run *emission, struct emit_recorded_counts *counts,
                        struct err *err) {
    *counts = (struct emit_recorded_counts){0};
    if (emission->session->write_back == NULL) {
        return true;
    }
    struct recorded *recorded = mem_alloc(sizeof *recorded);
    if (recorded == NULL) {
        return err_memory(err, sizeof *recorded);
    }
    recorded->emission = emission;
    recorded->counts = counts;
    bool is_fine = true;
    for (size_t shard = 0; is_fine && shard < run_shards_count(emission->run); shard++) {
        is_fine = look_shard(recorded, shard, err);
    }
    if (is_fine && counts->found > 0) {
        emission_tell_note(emission, "the database says that items were sent before: those are "
                                     "not sent again");
    }
    mem_free(recorded);
    return is_fine && (counts->found == 0 ||
                       journal_commit(emission->journal, clock_now(run_sys(emission->run)), err));
}

bool emit_recorded_check(const struct emission_run *emission, uint64_t doubtful_count,
                         struct err *err) {
    struct instant now = clock_now(run_sys(emission->run));
    bool has_records = emission->session->write_back != NULL;
    bool is_doubtful = has_records ? doubtful_count > 0 : is_long_ago(emission->first_end, now);
    char at[INSTANT_TEXT_MAX];
    if (!is_doubtful || emission->session->sending.is_never_sent) {
        return true;
    }
    (void)instant_format(emission->first_end, at);
    if (has_records) {
        (void)err_set(err, ERR_UNKNOWN,
                      "the journal begins here, but %llu records were made over 23 hours ago: "
                      "whether their meter events were sent is not known, and Stripe cannot be "
                      "asked",
                      (unsigned long long)doubtful_count);
    } else {
        (void)err_set(err, ERR_UNKNOWN,
                      "the journal begins here: whether meter events were sent since %s is not "
                      "known, and Stripe can neither be asked nor tell them apart after a day",
                      at);
    }
    return err_hint(err, "nothing was sent; bring the run directory back if there was one. If no "
                         "start before this one sent any of them, say so with --never-sent");
}
