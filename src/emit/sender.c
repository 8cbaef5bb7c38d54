/*
 * The loop that drives the window of groups: fill, make intents durable, start, wait, take answers,
 * give back. The window is in sender_window.c, everything about one request in sender_steps.c.
 */
#include "emit/sender.h"

#include <assert.h>

#include "core/memory.h"
#include "sender_internal.h"
#include "sys/clock.h"
#include "sys/process.h"

enum {
    IDLE_WAIT_US = 500000,
    DRAIN_US = 15000000,
    ENOUGH_READY_PART = 2, /* of the window */
};

struct emit_work *emit_group_add(struct emit_group *group, struct err *err) {
    if (group->works_count == group->works_capacity) {
        size_t capacity = group->works_capacity == 0 ? 1 : group->works_capacity * 2;
        struct emit_work *works = mem_realloc(group->works, capacity * sizeof *works);
        if (works == NULL) {
            (void)err_memory(err, capacity * sizeof *works);
            return NULL;
        }
        group->works = works;
        group->works_capacity = capacity;
    }
    struct emit_work *work = &group->works[group->works_count++];
    *work = (struct emit_work){0};
    return work;
}

void emit_group_release(struct emit_group *group) {
    mem_free(group->works);
    *group = (struct emit_group){0};
}

/* --- making and unmaking ------------------------------------------------------------------------
 */

/* At a slow rate few intents are ahead of their requests, so that few are open after a death. */
static size_t window_for(unsigned rate) {
    size_t groups = rate == 0 ? WINDOW_GROUPS_MAX : (size_t)rate * 2;
    return groups < WINDOW_GROUPS_MIN   ? WINDOW_GROUPS_MIN
           : groups > WINDOW_GROUPS_MAX ? WINDOW_GROUPS_MAX
                                        : groups;
}

bool sender_create(const struct sender_options *options, struct journal *journal,
                   struct sender **sender, struct err *err) {
    struct sender *made = mem_alloc(sizeof *made);
    *sender = NULL;
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    made->options = *options;
    made->journal = journal;
    made->reach.options = (struct reach_options){.sys = options->sys,
                                                 .base = options->base,
                                                 .base_name = "STRIPE_API_BASE",
                                                 .deadline_us = options->deadline_us,
                                                 .note = options->note,
                                                 .note_context = options->note_context};
    made->window_groups = window_for(options->rate);
    made->random = (uint64_t)clock_now(options->sys).us | 1;
    for (size_t step = 0; step < STEPS_COUNT; step++) {
        pace_init(&made->paces[step], options->rate, options->in_flight);
    }
    struct http_options http_options = {
        .sys = options->sys,
        .base = options->base,
        .secret = options->secret,
        .version = options->version,
        .content_type = "application/x-www-form-urlencoded",
        .in_flight_max = options->in_flight,
        .timeout_ms = options->timeout_ms,
    };
    made->slots = mem_alloc(made->window_groups * sizeof *made->slots);
    if (made->slots == NULL) {
        (void)err_memory(err, made->window_groups * sizeof *made->slots);
    }
    if (made->slots == NULL || !http_create(&http_options, &made->http, err)) {
        sender_destroy(made);
        return false;
    }
    *sender = made;
    return true;
}

void sender_destroy(struct sender *sender) {
    if (sender == NULL) {
        return;
    }
    for (size_t index = 0; sender->slots != NULL && index < sender->window_groups; index++) {
        emit_group_release(&sender->slots[index].group);
        buffer_release(&sender->slots[index].bodies);
    }
    http_destroy(sender->http);
    buffer_release(&sender->body);
    buffer_release(&sender->told_lines);
    mem_free(sender->slots);
    mem_free(sender);
}

struct sender_counts sender_counts(const struct sender *sender) {
    return sender->counts;
}

/* --- delays ---------------------------------------------------------------------------------- */

int64_t sender_quiet_us(int64_t timeout_ms) {
    return timeout_ms * 10 * QUIET_PERCENT;
}

/* Doubling from the first delay, between half and all of it. */
int64_t retry_delay_us(struct sender *sender, unsigned tries) {
    int64_t delay_us = sender->options.retry_delay_ms * 1000;
    for (unsigned done = 1; done < tries && delay_us < RETRY_DELAY_MS_MAX * 1000; done++) {
        delay_us *= 2;
    }
    if (delay_us > RETRY_DELAY_MS_MAX * 1000) {
        delay_us = RETRY_DELAY_MS_MAX * 1000;
    }
    sender->random ^= sender->random << 13;
    sender->random ^= sender->random >> 7;
    sender->random ^= sender->random << 17;
    return delay_us / 2 + (int64_t)(sender->random % (uint64_t)(delay_us / 2 + 1));
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static void wake_pausing(struct sender *sender, int64_t now_us, int64_t *until_us) {
    for (size_t index = 0; sender->pausing_count > 0 && index < sender->slots_count; index++) {
        struct slot *slot = window_slot(sender, index);
        if (slot->state != SLOT_PAUSES) {
            continue;
        }
        if (slot->pause_until_us <= now_us) {
            sender->pausing_count--;
            slot_ready(sender, slot, slot->step);
        } else if (slot->pause_until_us < *until_us) {
            *until_us = slot->pause_until_us;
        }
    }
}

/*
 * Intents of all that wait for theirs, and the answers that came since: one write, one sync. It is
 * begun while there is still enough to send, and requests go on beside it.
 */
static bool begin_sync(struct sender *sender, struct err *err) {
    for (size_t index = 0; index < sender->needy_count; index++) {
        if (!slot_put_intents(sender, sender->needy[index], err)) {
            return false;
        }
        sender->syncing[index] = sender->needy[index];
    }
    sender->syncing_count = sender->needy_count;
    sender->needy_count = 0;
    return journal_begin_commit(sender->journal, clock_now(sender->options.sys), err);
}

/* Their intents are durable: what waited for that is ready. */
static bool end_sync(struct sender *sender, bool waits, struct err *err) {
    bool is_done;
    size_t count = sender->syncing_count;
    if (count == 0) {
        return true;
    }
    if (!journal_check_commit(sender->journal, waits, &is_done, err)) {
        return false;
    }
    if (!is_done) {
        return true;
    }
    sender->syncing_count = 0;
    for (size_t index = 0; index < count; index++) {
        if (!slot_advance(sender, sender->syncing[index], err)) {
            return false;
        }
    }
    return true;
}

/* Put off while there is enough to send, so that many intents share a sync. */
static bool make_durable(struct sender *sender, struct err *err) {
    size_t enough = sender->window_groups / ENOUGH_READY_PART;
    enough = enough > sender->options.in_flight ? enough : sender->options.in_flight;
    if (!end_sync(sender, false, err) ||
        (sender->syncing_count == 0 && sender->needy_count > 0 && sender->ready_count < enough &&
         !begin_sync(sender, err))) {
        return false;
    }
    bool is_starving =
        sender->ready_count == 0 && http_in_flight(sender->http) < sender->options.in_flight;
    return end_sync(sender, is_starving, err);
}

static bool start_one(struct sender *sender, enum step step, struct err *err) {
    struct ready_queue *queue = &sender->ready[step];
    struct slot *slot = queue->first;
    queue->first = slot->next_ready;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    sender->ready_count--;
    bool may_ask;
    if (!slot_may_ask(sender, slot, &may_ask, err)) {
        return false;
    }
    if (!may_ask) {
        return true;
    }
    struct http_call *call = http_begin(sender->http);
    assert(call != NULL);
    call->owner = slot;
    slot->state = SLOT_SENT;
    if (step == STEP_ITEM || step == STEP_ADD_LINES) {
        slot->group.works[slot->work_index].asked_us = clock_monotonic_us(sender->options.sys);
    }
    sender->counts.requests++;
    return step_ask(sender, slot, call, err) && http_send(sender->http, call, err);
}

/*
 * Where a rate is kept, the first request goes alone: others would wait behind it for the
 * connection, and then arrive in a burst.
 */
static size_t at_once(const struct sender *sender, const struct pace *pace) {
    return sender->options.rate > 0 && !sender->has_connected ? 1 : pace->at_once;
}

static bool start_ready(struct sender *sender, int64_t now_us, int64_t *until_us, struct err *err) {
    for (size_t step = 0; step < STEPS_COUNT; step++) {
        struct pace *pace = &sender->paces[step];
        int64_t when_us;
        while (sender->ready[step].first != NULL &&
               http_in_flight(sender->http) < at_once(sender, pace)) {
            if (!pace_take(pace, now_us, &when_us)) {
                *until_us = when_us < *until_us ? when_us : *until_us;
                break;
            }
            if (!start_one(sender, (enum step)step, err)) {
                return false;
            }
        }
    }
    return true;
}

static bool take_answers(struct sender *sender, struct err *err) {
    struct http_call *call;
    while ((call = http_next_done(sender->http)) != NULL) {
        struct slot *slot = call->owner;
        sender->has_connected = true;
        if (call->answer.fate != HTTP_NOT_SENT) {
            reach_made(&sender->reach);
        }
        bool is_fine = step_take(sender, slot, &call->answer, err);
        http_finish(sender->http, call);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

/* By the clock that goes on while the machine sleeps: somebody else may take over meanwhile. */
static bool still_holds(struct sender *sender, struct err *err) {
    const struct sender_options *options = &sender->options;
    int64_t elapsed_us = options->hold != NULL ? clock_elapsed_us(options->sys) : 0;
    if (options->hold == NULL || elapsed_us < sender->hold_us) {
        return true;
    }
    sender->hold_us = elapsed_us + options->timeout_ms * 10 * HOLD_PERCENT;
    return options->hold(options->hold_context, err);
}

/* One round. *is_over: everything that was fed has been given back. */
static bool sender_round(struct sender *sender, const struct emit_feed *feed, bool *has_more,
                         bool *is_over, struct err *err) {
    int64_t now_us = clock_monotonic_us(sender->options.sys);
    int64_t until_us = now_us + IDLE_WAIT_US;
    /* What is ready goes out first: the other side works on it while the window is looked after. */
    if (!reach_check_time(&sender->reach, now_us, err) || !still_holds(sender, err) ||
        !start_ready(sender, now_us, &until_us, err)) {
        return false;
    }
    http_push(sender->http);
    if (!window_wake(sender, err) || !window_retire(sender, feed, err) ||
        !window_fill(sender, feed, has_more, err)) {
        return false;
    }
    *is_over = sender->slots_count == 0 && !*has_more;
    if (*is_over) {
        return true;
    }
    wake_pausing(sender, now_us, &until_us);
    if (!make_durable(sender, err) || !start_ready(sender, now_us, &until_us, err)) {
        return false;
    }
    if (http_in_flight(sender->http) == 0 && sender->ready_count == 0 &&
        sender->pausing_count == 0) {
        return true; /* nothing to wait for: the next round gives back or fills */
    }
    if (!http_wait(sender->http, until_us, err) || !take_answers(sender, err)) {
        return false;
    }
    /* Answers that nobody's intent carries along. */
    return sender->needy_count > 0 || sender->syncing_count > 0 || sender->ready_count > 0 ||
           http_in_flight(sender->http) > 0 ||
           journal_commit(sender->journal, clock_now(sender->options.sys), err);
}

/* After a failure: what is under way is waited for, so that fewer outcomes stay unknown. */
static void drain(struct sender *sender) {
    int64_t until_us = clock_monotonic_us(sender->options.sys) + DRAIN_US;
    struct err err = {0};
    while (http_in_flight(sender->http) > 0 && clock_monotonic_us(sender->options.sys) < until_us) {
        if (!http_wait(sender->http, until_us, &err) || !take_answers(sender, &err)) {
            break;
        }
    }
    if (err.code != ERR_NONE) {
        err_release(&err); /* the first failure is told */
    }
    if (!journal_commit(sender->journal, clock_now(sender->options.sys), &err)) {
        err_release(&err);
    }
}

/* An item that was asked for, and whose answer did not come. */
static bool has_open_request(struct sender *sender) {
    for (size_t index = 0; index < sender->slots_count; index++) {
        const struct slot *slot = window_slot(sender, index);
        if (slot->state == SLOT_SENT || slot->is_unsure) {
            return true;
        }
    }
    return false;
}

static bool sender_drive(struct sender *sender, const struct emit_feed *feed, struct err *err) {
    bool has_more = true;
    bool is_over = false;
    while (!is_over) {
        if (!sender_round(sender, feed, &has_more, &is_over, err)) {
            drain(sender);
            if (err->code == ERR_INTERRUPTED && !interrupt_pending() && has_open_request(sender)) {
                err->code = ERR_UNKNOWN;
            }
            return false;
        }
    }
    return journal_commit(sender->journal, clock_now(sender->options.sys), err);
}

bool sender_run(struct sender *sender, const struct emit_feed *feed, struct err *err) {
    sender->is_settling = false;
    return sender_drive(sender, feed, err);
}

bool sender_reconcile(struct sender *sender, const struct emit_feed *feed,
                      struct reconcile *reconcile, struct err *err) {
    sender->reconcile = reconcile;
    bool is_fine = sender_drive(sender, feed, err);
    sender->reconcile = NULL;
    return is_fine;
}

bool sender_close_invoices(struct sender *sender, const struct emit_feed *feed, bool finalizes,
                           struct err *err) {
    sender->is_closing = true;
    sender->finalizes = finalizes;
    bool is_fine = sender_drive(sender, feed, err);
    sender->is_closing = false;
    return is_fine;
}

bool sender_settle(struct sender *sender, const struct emit_feed *feed, struct err *err) {
    sender->is_settling = true;
    bool is_fine = sender_drive(sender, feed, err);
    sender->is_settling = false;
    return is_fine;
}
