/*
 * Events of meters cannot be asked for at Stripe. When the journal begins anew, because the run
 * directory was lost, the records in the database say what was sent: it is noted as found, and not
 * sent again.
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
    size_t count;
    uint64_t found_count;
};

static bool note_found(struct recorded *recorded, size_t place, struct err *err) {
    const struct emit_item *item = &recorded->items[place];
    char key[EMIT_KEY_TEXT_MAX];
    emit_key_format(&item->key, key);
    struct journal_answer answer = {
        .key = item->key,
        .attempt = 1,
        .outcome = OUTCOME_FOUND,
        .amount = item->amount,
        .currency = text_from(item->currency->code),
        .customer = recorded->customers[place],
        .object_id = text_from(key),
        .request_id = text_from(""),
        .detail = text_from("sent before, says the database"),
    };
    recorded->found_count++;
    return journal_put_answer(recorded->emission->journal, &answer, err);
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
        int64_t place = -1;
        is_fine = db_result_int64(&result, row, 0, &place, err) &&
                  note_found(recorded, (size_t)place, err);
    }
    db_result_release(&result);
    free(items);
    recorded->count = 0;
    return is_fine;
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
            recorded->items[recorded->count] = group.works[index].item;
            recorded->customers[recorded->count++] = group.customer;
            is_fine = recorded->count < BATCH_ITEMS || ask_batch(recorded, err);
        }
    }
    /* Its texts end with the shard. */
    is_fine = is_fine && (recorded->count == 0 || ask_batch(recorded, err));
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

bool emit_recorded_note(struct emission_run *emission, struct err *err) {
    if (emission->session->write_back == NULL) {
        return true;
    }
    struct recorded *recorded = mem_alloc(sizeof *recorded);
    if (recorded == NULL) {
        return err_memory(err, sizeof *recorded);
    }
    recorded->emission = emission;
    bool is_fine = true;
    for (size_t shard = 0; is_fine && shard < run_shards_count(emission->run); shard++) {
        is_fine = look_shard(recorded, shard, err);
    }
    if (is_fine && recorded->found_count > 0) {
        emission_tell_note(emission, "the database says that items were sent before: those are "
                                     "not sent again");
    }
    mem_free(recorded);
    return is_fine && journal_put_swept(emission->journal, err) &&
           journal_commit(emission->journal, clock_now(run_sys(emission->run)), err);
}
