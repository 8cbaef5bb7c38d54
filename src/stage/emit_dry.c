/* A dry run: every check, and the requests as they would be made, a JSON object a line. */
#include <jansson.h>
#include <stdlib.h>

#include "emit_run.h"
#include "stage/emission.h"
#include "stage/stages.h"
#include "sys/clock.h"

static bool preview_shard(struct emission_run *emission, size_t shard_index,
                          const struct preview_sink *sink, struct err *err) {
    struct emit_shard shard;
    struct sender_options options = emission_options(emission);
    if (!emit_shard_open(&shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    shard.is_dry = true;
    struct emit_feed feed = {.context = &shard, .next = emit_shard_next, .done = emit_shard_done};
    bool is_fine = emit_shard_begin_items(&shard, shard_index, err) &&
                   sender_preview(&options, NULL, &feed, sink, err) &&
                   emit_shard_end_items(&shard, shard_index, err);
    emit_shard_close(&shard);
    return is_fine;
}

static bool preview_all(struct emission_run *emission, const struct preview_sink *sink,
                        struct err *err) {
    for (size_t shard = 0; shard < run_shards_count(emission->run); shard++) {
        if (!preview_shard(emission, shard, sink, err)) {
            return false;
        }
    }
    return true;
}

/* --- run --dry-run ------------------------------------------------------------------------------
 */

static const char requests_name[] = "requests.jsonl";

enum { PENDING_BYTES = 64 * 1024 };

struct request_file {
    struct file_replacement replacement;
    struct buffer pending;
    uint64_t lines_count;
};

static bool write_pending(struct request_file *requests, struct err *err) {
    bool is_fine = file_append(&requests->replacement.file, requests->pending.bytes,
                               requests->pending.size_bytes, err);
    buffer_clear(&requests->pending);
    return is_fine;
}

static bool put_line(void *context, struct text line, struct err *err) {
    struct request_file *requests = context;
    requests->lines_count++;
    return buffer_append(&requests->pending, line, err) &&
           buffer_append(&requests->pending, text_from("\n"), err) &&
           (requests->pending.size_bytes < PENDING_BYTES || write_pending(requests, err));
}

bool emit_dry(struct run *run, const struct stage_session *session, struct err *err) {
    struct emission_run emission;
    struct emit_check *check = NULL;
    struct request_file requests = {.replacement = FILE_REPLACEMENT_NONE};
    struct preview_sink sink = {.context = &requests, .put = put_line};
    char relative[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    bool is_dodo = session->emission == EMISSION_DODO;
    bool is_fine = emission_open(&emission, run, session, err);
    emission.is_totalled = true;
    is_fine =
        is_fine && (is_dodo || emit_check_open(&emission, &check, err)) &&
        path_format(relative, err, "%d-%s/%s", stage_emit.number, stage_emit.name, requests_name) &&
        path_format(path, err, "%s/%s", run_path(run), relative) &&
        file_replace_begin(run_sys(run), path, &requests.replacement, err);
    if (is_fine) {
        is_fine = (is_dodo ? emit_dodo_preview(run, session, &sink, err)
                           : preview_all(&emission, &sink, err)) &&
                  write_pending(&requests, err) &&
                  file_replace_commit(&requests.replacement, err) &&
                  run_output_file(run, relative, requests.lines_count, err);
        if (!is_fine) {
            file_replace_abort(&requests.replacement);
        }
    }
    buffer_release(&requests.pending);
    emit_check_close(check);
    emission_close(&emission);
    return is_fine;
}

/* --- emit RUN --dry-run -------------------------------------------------------------------------
 */

/* A shard whose held items go to the sink, behind the requests of their org. */
struct told_shard {
    struct emit_shard shard;
    const struct preview_sink *sink;
    struct emission_preview_counts *counts;
};

static bool next_told(void *context, struct emit_group *group, bool *is_found, struct err *err) {
    struct told_shard *told = context;
    return emit_shard_next(&told->shard, group, is_found, err);
}

static bool put_held(const struct told_shard *told, const struct emit_work *work, struct err *err) {
    const struct emit_item *item = &work->item;
    char amount[DECIMAL_TEXT_MAX];
    char key[EMIT_KEY_TEXT_MAX];
    (void)money_format(item->billed, item->currency, amount);
    emit_key_format(&item->key, key);
    json_t *object =
        json_pack("{s:s, s:s%, s:s%, s:I, s:s, s:s, s:s}", "held", work->result.reason, "org_id",
                  item->org_id.bytes, item->org_id.size_bytes, "metric", item->metric.bytes,
                  item->metric.size_bytes, "revision", (json_int_t)item->revision, "amount", amount,
                  "currency", item->currency->code, "item_key", key);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL) {
        return err_memory(err, 0);
    }
    bool is_fine = told->sink->put(told->sink->context, text_from(text), err);
    free(text);
    return is_fine;
}

static bool tell_group(void *context, const struct emit_group *group, struct err *err) {
    struct told_shard *told = context;
    for (size_t index = 0; index < group->works_count; index++) {
        const struct emit_work *work = &group->works[index];
        bool is_held = strcmp(emit_status_word(&work->result), "held") == 0;
        told->counts->held += is_held ? 1 : 0;
        told->counts->open += work->result.status == EMIT_OPEN ? 1 : 0;
        told->counts->others += !is_held && work->result.status != EMIT_OPEN ? 1 : 0;
        if (is_held && !put_held(told, work, err)) {
            return false;
        }
    }
    return true;
}

static bool tell_shard(struct emission_run *emission, size_t shard_index,
                       const struct preview_sink *sink, struct emission_preview_counts *counts,
                       struct err *err) {
    struct told_shard told = {.sink = sink, .counts = counts};
    struct sender_options options = emission_options(emission);
    if (!emit_shard_open(&told.shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    struct emit_feed feed = {.context = &told, .next = next_told, .done = tell_group};
    bool is_fine = sender_preview(&options, emission->journal, &feed, sink, err);
    emit_shard_close(&told.shard);
    return is_fine;
}

bool emission_preview(struct run *run, const struct stage_session *session,
                      const struct preview_sink *sink, struct emission_preview_counts *counts,
                      struct err *err) {
    struct emission_run emission;
    enum path_kind kind;
    *counts = (struct emission_preview_counts){0};
    bool is_fine = emission_open(&emission, run, session, err) &&
                   path_kind(run_sys(run), emission.journal_path, &kind, err);
    if (is_fine && kind == PATH_FILE) {
        is_fine = journal_open(run_sys(run), emission.journal_path, run_id(run),
                               clock_now(run_sys(run)), &emission.journal, err);
    }
    for (size_t shard = 0; is_fine && shard < run_shards_count(run); shard++) {
        is_fine = tell_shard(&emission, shard, sink, counts, err);
    }
    emission_close(&emission);
    return is_fine;
}
