/*
 * Sending to Stripe: check all, open the journal, ask for what it may not know, settle what is
 * open, then send.
 */
#include <stdio.h>

#include "emit.h"
#include "stage/stages.h"
#include "sys/clock.h"

#define DAY_US (INT64_C(86400) * 1000000)

struct emission_run {
    struct run *run;
    const struct stage_session *session;
    const struct terms *terms;
    char period[INSTANT_TEXT_MAX];
    char journal_path[FILE_PATH_MAX];
    struct journal *journal;
    struct sender *sender;
    uint64_t items_count;
    uint64_t held_count;
    struct instant first_end; /* of all periods billed */
};

static void tell(const struct emission_run *emission, const char *text) {
    if (emission->session->note != NULL) {
        emission->session->note(emission->session->note_context, text);
    }
}

/* Every item is made once before the first call: what is wrong with one stops all of them. */
static bool check_shard(struct emission_run *emission, size_t shard_index, struct err *err) {
    struct emit_shard shard;
    struct emit_group group = {0};
    bool is_found = true;
    if (!emit_shard_open(&shard, emission->run, emission->terms, emission->period, shard_index,
                         err)) {
        return false;
    }
    bool is_fine = true;
    while (is_fine && is_found) {
        is_fine = emit_shard_next(&shard, &group, &is_found, err);
        bool is_held = group.held_reason != NULL || group.customer.size_bytes == 0;
        for (size_t index = 0; is_fine && is_found && index < group.works_count; index++) {
            const struct emit_item *item = &group.works[index].item;
            is_fine = totals_add_left(run_totals(emission->run), emit_equation,
                                      text_from(item->currency->code), item->billed, err);
            emission->items_count += is_held ? 0 : 1;
            emission->held_count += is_held ? 1 : 0;
            if (emission->first_end.us == 0 || item->period_end.us < emission->first_end.us) {
                emission->first_end = item->period_end;
            }
        }
    }
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

static bool check_all(struct emission_run *emission, struct err *err) {
    for (size_t shard = 0; shard < run_shards_count(emission->run); shard++) {
        if (!check_shard(emission, shard, err)) {
            return false;
        }
    }
    char text[200];
    unsigned rate = emission->session->sending.rate;
    (void)snprintf(text, sizeof text,
                   "%llu items to send, %llu held or switched off; at %u a second it takes about "
                   "%llu seconds",
                   (unsigned long long)emission->items_count,
                   (unsigned long long)emission->held_count, rate,
                   (unsigned long long)(rate > 0 ? emission->items_count / rate + 1 : 0));
    if (rate == 0) {
        (void)snprintf(text, sizeof text, "%llu items to send, %llu held or switched off",
                       (unsigned long long)emission->items_count,
                       (unsigned long long)emission->held_count);
    }
    tell(emission, text);
    return true;
}

static bool open_journal(struct emission_run *emission, struct err *err) {
    journal_close(emission->journal);
    return journal_open(run_sys(emission->run), emission->journal_path, run_id(emission->run),
                        clock_now(run_sys(emission->run)), &emission->journal, err);
}

static bool open_sender(struct emission_run *emission, struct err *err) {
    const struct stage_sending *sending = &emission->session->sending;
    const struct sys *sys = run_sys(emission->run);
    struct sender_options options = {
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
        .started_us = sending->started_us,
        .deadline_us = clock_monotonic_us(sys) + sending->deadline_s * 1000000,
        .max_wait_us = sending->max_wait_us,
        .may_stand_alone = sending->may_stand_alone,
        .is_discountable = sending->is_discountable,
        .retries_failed = sending->retries_failed,
        .is_metered = emission->session->emission == EMISSION_STRIPE_METERS,
    };
    sender_destroy(emission->sender);
    return sender_create(&options, emission->journal, &emission->sender, err);
}

/* A journal that begins now, or that lost its end, does not know all that was sent. */
static bool complete_journal(struct emission_run *emission, struct err *err) {
    bool has_since;
    struct instant since;
    /* Events of meters cannot be listed: those of the last day are told apart by their identifier.
     */
    if (emission->session->emission == EMISSION_STRIPE_METERS ||
        !journal_is_incomplete(emission->journal, &has_since, &since)) {
        return true;
    }
    if (!has_since || emission->first_end.us - DAY_US > since.us) {
        since.us = emission->first_end.us - DAY_US;
    }
    return sender_sweep(emission->sender, since, err) && open_journal(emission, err) &&
           open_sender(emission, err);
}

static bool settle_shard(struct emission_run *emission, size_t shard_index, struct err *err) {
    struct emit_shard shard;
    if (!emit_shard_open(&shard, emission->run, emission->terms, emission->period, shard_index,
                         err)) {
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
    if (!emit_shard_open(&shard, emission->run, emission->terms, emission->period, shard_index,
                         err)) {
        return false;
    }
    struct emit_feed feed = {.context = &shard, .next = emit_shard_next, .done = emit_shard_done};
    bool is_fine =
        run_output_create(emission->run, &checkpoint_items, shard_index, &shard.items, err) &&
        sender_run(emission->sender, &feed, err);
    if (is_fine) {
        struct table_writer *items = shard.items;
        shard.items = NULL;
        is_fine = run_output_commit(emission->run, &checkpoint_items, shard_index, items, err);
    }
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

bool emit_stripe(struct run *run, const struct stage_session *session, struct err *err) {
    struct emission_run emission = {.run = run, .session = session};
    struct terms terms;
    struct table *plans = NULL;
    struct table *prices = NULL;
    struct table *tiers = NULL;
    struct arena *arena = arena_create(err);
    (void)month_format(session->month, emission.period);
    emission.terms = &terms;
    bool is_fine = arena != NULL && run_input_open(run, &checkpoint_plans, 0, &plans, err) &&
                   run_input_open(run, &checkpoint_prices, 0, &prices, err) &&
                   run_input_open(run, &checkpoint_tiers, 0, &tiers, err) &&
                   terms_load(&terms, plans, prices, tiers, arena, err) &&
                   path_format(emission.journal_path, err, "%s/%d-%s/journal", run_path(run),
                               stage_emit.number, stage_emit.name) &&
                   check_all(&emission, err) && open_journal(&emission, err) &&
                   open_sender(&emission, err) &&
                   (emission.items_count == 0 || complete_journal(&emission, err)) &&
                   settle_all(&emission, err) && send_all(&emission, err);
    sender_destroy(emission.sender);
    journal_close(emission.journal);
    table_close(plans);
    table_close(prices);
    table_close(tiers);
    arena_destroy(arena);
    return is_fine;
}
