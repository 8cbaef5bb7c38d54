/*
 * What the records in the database say was sent, and the journal does not know: it was sent out of
 * another run directory. It is noted as found, and not sent again, even if it is gone at Stripe,
 * which may have been somebody's goodwill.
 *
 * Records are marked as unknown before the first item is sent, with the mark of the journal in
 * place of an id. So another one of the same records, or one that takes its place once it is lost,
 * knows that something may have been asked for that it does not know of, however long ago: it asks
 * for all that is there first, whoever's customer it went to, and never while somebody else is
 * sending.
 *
 * Events of meters cannot be asked for at Stripe, which tells them apart for a day. A journal that
 * begins anew knows by the marks which were never begun, and takes the others as asked for when
 * they were recorded. Without a database a journal that begins anew is in doubt until somebody says
 * that nothing was sent before: it may send for a day after the period's end.
 *
 * A repair of the period (settle.c) does the same, with the mark of its own journal.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/memory.h"
#include "emit_run.h"
#include "sys/clock.h"

enum { BATCH_ITEMS = 1000 };

struct recorded {
    struct emission_run *emission;
    struct emit_item items[BATCH_ITEMS];
    struct text customers[BATCH_ITEMS];
    struct known {
        bool is_unsettled;
        bool is_absent;    /* it was proven, or is to be sent again */
        unsigned attempts; /* 0: the journal does not know of it */
    } known[BATCH_ITEMS];
    size_t count;
    uint64_t others_count; /* that another journal may know of */
    bool only_counts;
    uint64_t noted_count; /* found, or asked for: the journal has to be opened again */
    uint64_t found_count;
    bool is_new;        /* the journal begins here … */
    bool was_swept;     /* what stands at the other side was listed just now, and nobody sends */
    struct buffer body; /* scratch */
};

static bool is_metered(const struct emission_run *emission) {
    return emission->session->emission == EMISSION_STRIPE_METERS;
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
    recorded->noted_count++;
    recorded->found_count++;
    return journal_put_answer(recorded->emission->journal, &answer, err);
}

/* It may have been asked for, not before it was recorded. */
static bool note_asked(struct recorded *recorded, size_t place, struct instant recorded_at,
                       struct err *err) {
    const struct emission_run *emission = recorded->emission;
    const struct emit_item *item = &recorded->items[place];
    struct digest digest;
    enum emit_place place_of = is_metered(emission) ? PLACE_METER : PLACE_CUSTOMER;
    struct emit_target target = {.customer = recorded->customers[place],
                                 .place = place_of,
                                 .run_id = run_id(emission->run),
                                 .is_discountable = emission->session->sending.is_discountable};
    struct journal_intent intent = {.key = item->key,
                                    .attempt = recorded->known[place].attempts + 1,
                                    .at = recorded_at,
                                    .place = place_of,
                                    .place_id = text_from(""),
                                    .customer = recorded->customers[place]};
    if (!emit_item_body(item, &target, &recorded->body, err) ||
        !digest_of(recorded->body.bytes, recorded->body.size_bytes, &digest, err)) {
        return false;
    }
    if (is_metered(emission)) { /* else another body: its customer's items are listed */
        memcpy(intent.content.bytes, digest.bytes, sizeof intent.content.bytes);
    }
    recorded->noted_count++;
    return journal_put_intent(emission->journal, &intent, err);
}

static bool take_row(struct recorded *recorded, const struct db_result *result, size_t row,
                     struct err *err) {
    const struct emission_run *emission = recorded->emission;
    int64_t place = -1;
    struct text status;
    struct text object_id = {"", 0};
    struct instant recorded_at;
    if (!db_result_int64(result, row, 0, &place, err) ||
        !db_result_text(result, row, 1, &status, err) ||
        (!db_result_is_null(result, row, 2) && !db_result_text(result, row, 2, &object_id, err)) ||
        !db_result_instant(result, row, 3, &recorded_at, err)) {
        return false;
    }
    const struct known *known = &recorded->known[place];
    bool is_sent = text_equals(status, text_from("sent"));
    bool is_unknown = text_equals(status, text_from("unknown"));
    /* Without a mark it was asked for, and never answered. */
    const char *mark = emit_write_back_mark(emission->session->write_back);
    bool is_others =
        is_unknown && (object_id.size_bytes > 0 ? !text_equals(object_id, text_from(mark))
                                                : !known->is_unsettled);
    recorded->others_count += is_others ? 1 : 0;
    if (recorded->only_counts) {
        return true;
    }
    if (is_sent && !known->is_absent) {
        return note_found(recorded, (size_t)place, object_id, err);
    }
    bool is_asked =
        is_sent || is_others || (is_unknown && is_metered(emission) && recorded->is_new);
    if (!is_asked || recorded->was_swept || known->is_unsettled ||
        recorded->customers[place].size_bytes == 0 ||
        (is_metered(emission) && (is_sent || emission->session->sending.is_never_sent))) {
        return true;
    }
    return note_asked(recorded, (size_t)place, recorded_at, err);
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
    bool is_fine = emit_write_back_ask(recorded->emission->session->write_back, "emit/known.sql",
                                       items, &result, err);
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
    bool is_there = known.has_answer && !known.is_unsettled &&
                    (known.answer.outcome == OUTCOME_SENT || known.answer.outcome == OUTCOME_FOUND);
    if (is_there) {
        return true;
    }
    struct known *here = &recorded->known[recorded->count];
    unsigned answered = known.has_answer ? known.answer.attempt : 0;
    unsigned intended = known.has_intent ? known.intent.attempt : 0;
    here->is_unsettled = known.is_unsettled;
    here->is_absent =
        known.has_answer && !known.is_unsettled && known.answer.outcome == OUTCOME_ABSENT;
    here->attempts = answered > intended ? answered : intended;
    recorded->items[recorded->count] = work->item;
    recorded->customers[recorded->count++] =
        known.is_unsettled ? known.intent.customer : group->customer;
    return recorded->count < BATCH_ITEMS || ask_batch(recorded, err);
}

/* Before the first is sent: what may be asked for from here on is not known from here on. */
static bool mark(struct recorded *recorded, const struct emit_group *group,
                 const struct emit_work *work, struct err *err) {
    struct journal_state known;
    bool is_held =
        group->held_reason != NULL || work->held_reason != NULL || group->customer.size_bytes == 0;
    if (is_held) {
        return true;
    }
    if (!journal_find(recorded->emission->journal, &work->item.key, &known, err)) {
        return false;
    }
    bool is_there = known.has_answer &&
                    (known.answer.outcome == OUTCOME_SENT || known.answer.outcome == OUTCOME_FOUND);
    return is_there ||
           emit_write_back_put(recorded->emission->session->write_back, &work->item, "unknown",
                               emit_write_back_mark(recorded->emission->session->write_back), err);
}

static bool look_shard(struct recorded *recorded, size_t shard_index,
                       bool (*look)(struct recorded *recorded, const struct emit_group *group,
                                    const struct emit_work *work, struct err *err),
                       struct err *err) {
    struct emission_run *emission = recorded->emission;
    struct emit_shard shard;
    struct emit_group group = {0};
    bool is_found = true;
    if (!emit_shard_open(&shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    bool is_fine = true;
    shard.is_dodo = emission->session->emission == EMISSION_DODO;
    while (is_fine && is_found) {
        is_fine = emit_shard_next(&shard, &group, &is_found, err);
        for (size_t index = 0; is_fine && is_found && index < group.works_count; index++) {
            is_fine = look(recorded, &group, &group.works[index], err);
        }
    }
    /* Its texts end with the shard. */
    is_fine = is_fine && (recorded->count == 0 || ask_batch(recorded, err));
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

static bool look_all(struct emission_run *emission, struct recorded *recorded,
                     bool (*look)(struct recorded *recorded, const struct emit_group *group,
                                  const struct emit_work *work, struct err *err),
                     struct err *err) {
    recorded->emission = emission;
    for (size_t shard = 0; shard < run_shards_count(emission->run); shard++) {
        if (!look_shard(recorded, shard, look, err)) {
            return false;
        }
    }
    return true;
}

bool emit_recorded_note(struct emission_run *emission, struct emit_recorded_state state,
                        bool *is_noted, struct err *err) {
    *is_noted = false;
    struct recorded *recorded = mem_alloc(sizeof *recorded);
    if (recorded == NULL) {
        return err_memory(err, sizeof *recorded);
    }
    recorded->is_new = state.is_new;
    recorded->was_swept = state.was_swept;
    bool is_fine = look_all(emission, recorded, add_unknown, err);
    if (is_fine && recorded->found_count > 0) {
        emission_tell_note(emission, "the database says that items were sent before: those are "
                                     "not sent again");
    }
    *is_noted = recorded->noted_count > 0;
    buffer_release(&recorded->body);
    mem_free(recorded);
    return is_fine && (!*is_noted ||
                       journal_commit(emission->journal, clock_now(run_sys(emission->run)), err));
}

bool emit_recorded_others(struct emission_run *emission, bool *has_others, struct err *err) {
    struct recorded *recorded = mem_alloc(sizeof *recorded);
    if (recorded == NULL) {
        return err_memory(err, sizeof *recorded);
    }
    recorded->only_counts = true;
    bool is_fine = look_all(emission, recorded, add_unknown, err);
    *has_others = recorded->others_count > 0;
    mem_free(recorded);
    return is_fine;
}

bool emit_recorded_mark(struct emission_run *emission, struct err *err) {
    struct recorded *recorded = mem_alloc(sizeof *recorded);
    if (recorded == NULL) {
        return err_memory(err, sizeof *recorded);
    }
    bool is_fine = look_all(emission, recorded, mark, err) &&
                   emit_write_back_flush(emission->session->write_back, err);
    mem_free(recorded);
    return is_fine;
}

/* An item that would be asked for now, for the first time or again. */
static bool count_new(struct recorded *recorded, const struct emit_group *group,
                      const struct emit_work *work, struct err *err) {
    struct journal_state known;
    bool is_held =
        group->held_reason != NULL || work->held_reason != NULL || group->customer.size_bytes == 0;
    if (!journal_find(recorded->emission->journal, &work->item.key, &known, err)) {
        return false;
    }
    bool is_there = known.has_answer &&
                    (known.answer.outcome == OUTCOME_SENT || known.answer.outcome == OUTCOME_FOUND);
    recorded->noted_count += is_held || is_there || known.is_unsettled ? 0 : 1;
    return true;
}

static bool has_new(struct emission_run *emission, bool *is_any, struct err *err) {
    struct recorded *recorded = mem_alloc(sizeof *recorded);
    if (recorded == NULL) {
        return err_memory(err, sizeof *recorded);
    }
    bool is_fine = look_all(emission, recorded, count_new, err);
    *is_any = recorded->noted_count > 0;
    mem_free(recorded);
    return is_fine;
}

bool emit_recorded_doubt(struct emission_run *emission, struct err *err) {
    struct instant now = clock_now(run_sys(emission->run));
    int64_t age_us = now.us - emission->first_end.us;
    bool is_any = false;
    char at[INSTANT_TEXT_MAX];
    emission->apart_until.us = emission->first_end.us + METER_EVENTS_APART_US;
    if (age_us >= 0 && age_us < METER_EVENTS_APART_US) {
        return true;
    }
    if (!has_new(emission, &is_any, err)) {
        return false;
    }
    if (!is_any) {
        return true;
    }
    (void)instant_format(emission->first_end, at);
    (void)err_set(err, ERR_UNKNOWN,
                  "the journal does not know whether meter events were sent since %s, and Stripe "
                  "can neither be asked nor tell them apart after a day",
                  at);
    return err_hint(err, "nothing was sent; bring the run directory back if there was another one. "
                         "If no other start sent any of them, say so with --never-sent");
}
