/*
 * Sending to Stripe: check all, open the journal, ask for what it may not know, settle what is
 * open, then send.
 */
#include <stdio.h>

#include "emit_run.h"
#include "stage/emission.h"
#include "stage/stages.h"
#include "sys/clock.h"

#define DAY_US (INT64_C(86400) * 1000000)

void emission_tell_note(const struct emission_run *emission, const char *text) {
    if (emission->session->note != NULL) {
        emission->session->note(emission->session->note_context, text);
    }
}

static bool open_journal(struct emission_run *emission, struct err *err) {
    journal_close(emission->journal);
    return journal_open(run_sys(emission->run), emission->journal_path, run_id(emission->run),
                        clock_now(run_sys(emission->run)), &emission->journal, err) &&
           emit_write_back_sign(emission->session->write_back, emission->journal, err);
}

static bool hold(void *context, struct err *err) {
    return emit_write_back_hold(context, err);
}

struct sender_options emission_options(const struct emission_run *emission) {
    const struct stage_sending *sending = &emission->session->sending;
    const struct sys *sys = run_sys(emission->run);
    return (struct sender_options){
        .sys = sys,
        .base = sending->base,
        .secret = sending->key.text,
        .version = sending->version,
        .run_id = run_id(emission->run),
        .period = emission->period,
        .rate = sending->rate,
        .in_flight = sending->in_flight,
        .timeout_ms = sending->timeout_ms,
        .retry_delay_ms = sending->retry_delay_ms,
        .started_us = emission->quiet_from_us,
        .deadline_us = emission->deadline_us,
        .attach = sending->attach,
        .max_wait_us = sending->max_wait_us,
        .may_stand_alone = sending->may_stand_alone,
        .is_discountable = sending->is_discountable,
        .batches_lines = sending->batches_lines,
        .finalizes = sending->finalizes,
        .retries_failed = sending->retries_failed,
        .hold = emission->session->write_back != NULL ? hold : NULL,
        .hold_context = emission->session->write_back,
        .note = emission->session->note,
        .note_context = emission->session->note_context,
        .is_metered = emission->session->emission == EMISSION_STRIPE_METERS,
        .apart_until = emission->apart_until,
    };
}

static bool open_sender(struct emission_run *emission, struct err *err) {
    struct sender_options options = emission_options(emission);
    sender_destroy(emission->sender);
    return sender_create(&options, emission->journal, &emission->sender, err);
}

static bool open_again(struct emission_run *emission, struct err *err) {
    return open_journal(emission, err) && open_sender(emission, err);
}

static bool put_swept(struct emission_run *emission, struct err *err) {
    return journal_put_swept(emission->journal, err) &&
           journal_commit(emission->journal, clock_now(run_sys(emission->run)), err) &&
           open_again(emission, err);
}

/*
 * Something may have been asked for by somebody else: nobody may be sending from here on, and what
 * was sent until now is under way for a while.
 */
static bool exclude_others(struct emission_run *emission, struct err *err) {
    struct emit_write_back *back = emission->session->write_back;
    if (emit_write_back_is_alone(back)) {
        return true;
    }
    if (!emit_write_back_alone(back, err)) {
        return false;
    }
    emission->quiet_from_us = clock_monotonic_us(run_sys(emission->run));
    return open_sender(emission, err);
}

/*
 * What others have begun is seen, and what may be begun here is marked, before anybody else looks.
 * *is_late: somebody began just now, and it has to be listed what is there.
 */
static bool take_recorded(struct emission_run *emission, struct emit_recorded_state state,
                          bool *is_late, struct err *err) {
    struct emit_write_back *back = emission->session->write_back;
    bool is_listed = emission->session->emission == EMISSION_STRIPE;
    bool has_others = false;
    bool is_noted;
    *is_late = false;
    if (back == NULL) {
        return true;
    }
    if (!emit_write_back_marking(back, true, err) ||
        !emit_recorded_others(emission, &has_others, err) ||
        (has_others && !exclude_others(emission, err))) {
        return false;
    }
    *is_late = has_others && is_listed && !state.was_swept;
    if (*is_late) {
        return emit_write_back_marking(back, false, err);
    }
    return emit_recorded_note(emission, state, &is_noted, err) &&
           (!is_noted || open_again(emission, err)) &&
           (!state.is_new || put_swept(emission, err)) && emit_recorded_mark(emission, err) &&
           emit_write_back_marking(back, false, err);
}

/*
 * Events of meters cannot be listed. A torn end of the journal was never acted on; one that begins
 * here is complete when the records or somebody's word say what was sent before.
 */
static bool complete_metered(struct emission_run *emission, struct err *err) {
    bool has_since;
    struct instant since;
    bool is_incomplete = journal_is_incomplete(emission->journal, &has_since, &since) && !has_since;
    bool has_records = emission->session->write_back != NULL;
    bool is_late;
    struct emit_recorded_state state = {.is_new = is_incomplete};
    if (!take_recorded(emission, state, &is_late, err)) {
        return false;
    }
    if (is_incomplete && !has_records && emission->session->sending.is_never_sent) {
        return put_swept(emission, err);
    }
    if (is_incomplete && !has_records) {
        return emit_recorded_doubt(emission, err) && open_sender(emission, err);
    }
    return true;
}

/* A first sending cannot be told from one whose run directory was lost. */
static void tell_wait(const struct emission_run *emission) {
    const struct stage_sending *sending = &emission->session->sending;
    int64_t left_us = emission->quiet_from_us + sender_quiet_us(sending->timeout_ms) -
                      clock_monotonic_us(run_sys(emission->run));
    char text[160];
    if (left_us > INT64_C(1000000)) {
        (void)snprintf(
            text, sizeof text,
            "%s: waiting %lld s, until nothing sent before can be under way, then asking "
            "Stripe what is there",
            journal_is_empty(emission->journal) ? "the journal begins here"
                                                : "the journal may not know all that was sent",
            (long long)(left_us / 1000000));
        emission_tell_note(emission, text);
    }
}

static bool sweep(struct emission_run *emission, struct err *err) {
    bool has_since;
    struct instant since;
    bool is_torn = journal_is_incomplete(emission->journal, &has_since, &since) && has_since;
    if (!is_torn || emission->first_end.us - DAY_US > since.us) {
        since.us = emission->first_end.us - DAY_US;
    }
    if (!sender_try_key(emission->sender, err)) {
        return false;
    }
    tell_wait(emission);
    return sender_sweep(emission->sender, since, err) && open_again(emission, err);
}

/*
 * A journal that begins now, or that lost its end, does not know all that was sent, and none does
 * that is not the only one. Who is alone stays so: the second look is the last.
 */
static bool complete_journal(struct emission_run *emission, struct err *err) {
    bool has_since;
    struct instant since;
    bool is_late = true;
    if (emission->session->emission == EMISSION_STRIPE_METERS) {
        return complete_metered(emission, err);
    }
    bool is_incomplete = journal_is_incomplete(emission->journal, &has_since, &since);
    struct emit_write_back *back = emission->session->write_back;
    bool has_others = false;
    if (back != NULL && (!emit_recorded_others(emission, &has_others, err) ||
                         (has_others && !exclude_others(emission, err)))) {
        return false;
    }
    bool sweeps = is_incomplete || has_others;
    while (is_late) {
        bool is_alone = back != NULL && emit_write_back_is_alone(back);
        struct emit_recorded_state state = {.was_swept = sweeps && is_alone};
        if ((sweeps && !sweep(emission, err)) || !take_recorded(emission, state, &is_late, err)) {
            return false;
        }
        sweeps = true;
    }
    return true;
}

static bool settle_shard(struct emission_run *emission, size_t shard_index, struct err *err) {
    struct emit_shard shard;
    if (!emit_shard_open(&shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    struct emit_feed feed = {.context = &shard, .next = emit_shard_next};
    bool is_fine = sender_settle(emission->sender, &feed, err);
    emit_shard_close(&shard);
    return is_fine;
}

static bool settle_all(struct emission_run *emission, struct err *err) {
    if (journal_is_empty(emission->journal)) {
        return true;
    }
    for (size_t shard = 0; shard < run_shards_count(emission->run); shard++) {
        if (!settle_shard(emission, shard, err)) {
            return false;
        }
    }
    return open_journal(emission, err) && open_sender(emission, err);
}

static bool send_shard(struct emission_run *emission, size_t shard_index, struct err *err) {
    struct emit_shard shard;
    if (!emit_shard_open(&shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    struct emit_feed feed = {.context = &shard, .next = emit_shard_next, .done = emit_shard_done};
    bool is_fine = emit_shard_begin_items(&shard, shard_index, err) &&
                   sender_run(emission->sender, &feed, err) &&
                   emit_shard_end_items(&shard, shard_index, err);
    emit_shard_close(&shard);
    return is_fine;
}

static bool send_all(struct emission_run *emission, struct err *err) {
    for (size_t shard = 0; shard < run_shards_count(emission->run); shard++) {
        if (!send_shard(emission, shard, err)) {
            return false;
        }
    }
    return true;
}

/* What was put on invoices is in the journal; it is read again to find them. */
static bool close_invoices(struct emission_run *emission, struct err *err) {
    if (sender_counts(emission->sender).on_invoices == 0) {
        return emit_no_invoices(emission->run, err);
    }
    return open_journal(emission, err) && open_sender(emission, err) &&
           emit_invoices(emission, err);
}

bool emission_open(struct emission_run *emission, struct run *run,
                   const struct stage_session *session, struct err *err) {
    *emission = (struct emission_run){.run = run, .session = session};
    emission->deadline_us =
        clock_monotonic_us(run_sys(run)) + session->sending.deadline_s * INT64_C(1000000);
    emission->quiet_from_us = session->sending.started_us;
    (void)month_format(session->month, emission->period);
    emission->arena = arena_create(err);
    return emission->arena != NULL &&
           run_input_open(run, &checkpoint_plans, 0, &emission->plans, err) &&
           run_input_open(run, &checkpoint_prices, 0, &emission->prices, err) &&
           run_input_open(run, &checkpoint_tiers, 0, &emission->tiers, err) &&
           terms_load(&emission->terms, emission->plans, emission->prices, emission->tiers,
                      emission->arena, err) &&
           path_format(emission->journal_path, err, "%s/%d-%s/journal", run_path(run),
                       stage_emit.number, stage_emit.name);
}

void emission_close(struct emission_run *emission) {
    sender_destroy(emission->sender);
    journal_close(emission->journal);
    table_close(emission->plans);
    table_close(emission->prices);
    table_close(emission->tiers);
    arena_destroy(emission->arena);
}

bool emit_stripe(struct run *run, const struct stage_session *session, struct err *err) {
    struct emission_run emission;
    struct emit_check *check = NULL;
    bool is_fine = emission_open(&emission, run, session, err);
    emission.is_totalled = true;
    is_fine = is_fine && emit_check_open(&emission, &check, err) && open_journal(&emission, err) &&
              open_sender(&emission, err) && emit_check_waiting(check, err) &&
              (emission.items_count == 0 || complete_journal(&emission, err)) &&
              settle_all(&emission, err) && send_all(&emission, err) &&
              close_invoices(&emission, err);
    emit_check_close(check);
    emission_close(&emission);
    return is_fine;
}

/* --- comparing ----------------------------------------------------------------------------------
 */

static bool reconcile_shard(struct emission_run *emission, size_t shard_index,
                            struct reconcile *reconcile, struct err *err) {
    struct emit_shard shard;
    if (!emit_shard_open_compared(&shard, emission->run, emission->session, &emission->terms,
                                  emission->period, shard_index, err)) {
        return false;
    }
    shard.gives_all = emission->session->emission == EMISSION_STRIPE;
    struct emit_feed feed = {.context = &shard, .next = emit_shard_next};
    bool is_fine = sender_reconcile(emission->sender, &feed, reconcile, err);
    emit_shard_close(&shard);
    return is_fine;
}

bool emission_reconcile(struct run *run, const struct stage_session *session,
                        struct reconcile *reconcile, struct err *err) {
    struct emission_run emission;
    if (session->emission == EMISSION_DODO) {
        return emit_dodo_reconcile(run, session, reconcile, err);
    }
    bool is_fine = emission_open(&emission, run, session, err) && open_journal(&emission, err) &&
                   open_sender(&emission, err);
    for (size_t shard = 0; is_fine && shard < run_shards_count(run); shard++) {
        is_fine = reconcile_shard(&emission, shard, reconcile, err);
    }
    is_fine = is_fine && journal_commit(emission.journal, clock_now(run_sys(run)), err);
    emission_close(&emission);
    return is_fine;
}
