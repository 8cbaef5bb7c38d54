/*
 * The one walk over all orgs that reports by org and price are written in.
 *
 * The orgs are handed out in ranges; a thread puts the rows of its range into parts, one for each
 * report, waits for its turn and adds them to the files. So the files have their rows in order, at
 * most one range for each thread is in memory, and no thread waits long for another. A failure is
 * told at its turn, too: it is that of the first range that has one.
 */
#include <assert.h>
#include <pthread.h>

#include "core/memory.h"
#include "report/reports.h"
#include "sys/process.h"

/* About a saver's buffer full of rows. */
enum { RANGE_ORGS = 256, OUTPUTS_MAX = 8 };

/* Rows of the table orgs of one shard. */
struct range {
    size_t number;
    size_t shard_index;
    uint64_t from;
    uint64_t until;
};

struct walking {
    const struct report_source *source;
    const struct report_output *outputs;
    size_t outputs_count;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct range next; /* to be handed out, from its first row on */
    size_t turn;       /* number of the range that is to be added to the files */
    bool has_failed;
    struct totals *totals;
};

/* One thread's. */
struct walker {
    struct walking *walking;
    struct report_walk walk;
    struct range range; /* the one before, until the next is taken */
    bool has_range;
    report_price_function *prices[OUTPUTS_MAX]; /* of report_rows */
    void *states[OUTPUTS_MAX];
    struct report_file parts[OUTPUTS_MAX];
};

/* --- ranges and turns ---------------------------------------------------------------------------
 */

/* A shard without orgs is one empty range. */
static bool range_take(struct walking *walking, struct range *range) {
    const struct report_source *source = walking->source;
    (void)pthread_mutex_lock(&walking->mutex);
    struct range *next = &walking->next;
    bool is_taken = next->shard_index < source->shards_count && !walking->has_failed;
    if (is_taken) {
        uint64_t orgs_count = table_rows_count(source->shards[next->shard_index].orgs);
        uint64_t left = orgs_count - next->from;
        next->until = next->from + (left < RANGE_ORGS ? left : RANGE_ORGS);
        *range = *next;
        next->number++;
        next->from = next->until;
        if (next->from == orgs_count) {
            next->shard_index++;
            next->from = 0;
        }
    }
    (void)pthread_mutex_unlock(&walking->mutex);
    return is_taken;
}

/* False: a range before it failed, and nobody's turn comes any more. */
static bool turn_wait(struct walking *walking, size_t number) {
    (void)pthread_mutex_lock(&walking->mutex);
    while (walking->turn != number && !walking->has_failed) {
        (void)pthread_cond_wait(&walking->changed, &walking->mutex);
    }
    bool is_turn = !walking->has_failed;
    (void)pthread_mutex_unlock(&walking->mutex);
    return is_turn;
}

static void turn_end(struct walking *walking, bool is_fine) {
    (void)pthread_mutex_lock(&walking->mutex);
    walking->turn++;
    walking->has_failed = !is_fine;
    (void)pthread_cond_broadcast(&walking->changed);
    (void)pthread_mutex_unlock(&walking->mutex);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static void walk_open_shard(struct report_walk *walk, const struct report_shard *shard) {
    const struct table *const sides[REPORT_SIDES_COUNT] = {
        [REPORT_LIMITS] = shard->limits,       [REPORT_NEGATIVES] = shard->negatives,
        [REPORT_CHARGES] = shard->charges,     [REPORT_PROJECTIONS] = shard->projections,
        [REPORT_ESTIMATES] = shard->estimates, [REPORT_CHANGES] = shard->changes,
        [REPORT_RECORDS] = shard->records,     [REPORT_ITEMS] = shard->items,
    };
    _Static_assert((int)REPORT_SIDES_COUNT <= (int)RATED_SIDES_MAX, "a side for each table");
    walk->shard = shard;
    walk->is_rated = shard->charges != NULL && shard->usage != NULL;
    walk->rated = rated_walk_start(walk->source->terms, shard->orgs);
    if (walk->is_rated) {
        rated_walk_usage(&walk->rated, shard->usage);
    }
    for (size_t side = 0; side < REPORT_SIDES_COUNT; side++) {
        rated_walk_beside(&walk->rated, side, sides[side]);
    }
}

static bool walker_expect(struct walker *walker, struct err *err) {
    const struct walking *walking = walker->walking;
    for (size_t index = 0; index < walking->outputs_count; index++) {
        const struct report_rows *rows = walking->outputs[index].report->rows;
        if (rows->expect != NULL && !rows->expect(&walker->walk, err)) {
            return false;
        }
    }
    return true;
}

/* The walk goes on where it is, or is set to where the range begins. */
static bool walker_begin(struct walker *walker, const struct range *range, struct err *err) {
    const struct walking *walking = walker->walking;
    struct report_walk *walk = &walker->walk;
    bool is_same_shard = walker->has_range && walker->range.shard_index == range->shard_index;
    bool goes_on = is_same_shard && walker->range.until == range->from;
    walker->range = *range;
    walker->has_range = true;
    if (goes_on) {
        rated_walk_more(&walk->rated, range->until - range->from);
        return true;
    }
    if (!is_same_shard) {
        walk_open_shard(walk, &walking->source->shards[range->shard_index]);
    }
    rated_walk_range(&walk->rated, range->from, range->until);
    if (range->from == 0 && !walker_expect(walker, err)) {
        return false;
    }
    struct table_cursor org = table_cursor_before(walk->shard->orgs, range->from);
    if (!table_cursor_next(&org)) {
        return true;
    }
    struct text org_id = table_get_text(&org, ORGS_ORG_ID);
    for (size_t index = 0; index < walking->outputs_count; index++) {
        const struct report_rows *rows = walking->outputs[index].report->rows;
        if (rows->begin != NULL && !rows->begin(walker->states[index], walk, org_id, err)) {
            return false;
        }
    }
    return true;
}

static bool walker_price(struct walker *walker, struct err *err) {
    const struct walking *walking = walker->walking;
    struct report_walk *walk = &walker->walk;
    report_field_number(&walk->usage, table_get_decimal(&walk->rated.usage, USAGE_QUANTITY));
    for (size_t index = 0; index < walking->outputs_count; index++) {
        if (walker->prices[index] != NULL &&
            !walker->prices[index](walker->states[index], walk, &walker->parts[index], err)) {
            return false;
        }
    }
    return true;
}

static bool walker_org(struct walker *walker, struct err *err) {
    const struct walking *walking = walker->walking;
    struct report_walk *walk = &walker->walk;
    if (!report_field_start(&walk->org_id, err) ||
        !report_field_text(&walk->org_id, walk->rated.org_id, err)) {
        return false;
    }
    while (walk->is_rated && rated_walk_next_price(&walk->rated, err)) {
        if (!walker_price(walker, err)) {
            return false;
        }
    }
    for (size_t index = 0; err->code == ERR_NONE && index < walking->outputs_count; index++) {
        const struct report_rows *rows = walking->outputs[index].report->rows;
        if (rows->org != NULL &&
            !rows->org(walker->states[index], walk, &walker->parts[index], err)) {
            return false;
        }
    }
    return err->code == ERR_NONE;
}

static bool walker_make(struct walker *walker, const struct range *range, struct err *err) {
    if (!walker_begin(walker, range, err)) {
        return false;
    }
    while (rated_walk_next_any(&walker->walk.rated, err)) {
        if (!walker_org(walker, err)) {
            return false;
        }
    }
    return err->code == ERR_NONE;
}

static bool walker_add(struct walker *walker, struct err *err) {
    const struct walking *walking = walker->walking;
    for (size_t index = 0; index < walking->outputs_count; index++) {
        if (!report_file_add(walking->outputs[index].file, &walker->parts[index], err)) {
            return false;
        }
    }
    return true;
}

/* --- threads ------------------------------------------------------------------------------------
 */

static bool walker_start(struct walker *walker, struct err *err) {
    const struct walking *walking = walker->walking;
    walker->walk.source = walking->source;
    walker->walk.totals = totals_create(err);
    if (walker->walk.totals == NULL || !report_field_start(&walker->walk.usage, err)) {
        return false;
    }
    for (size_t index = 0; index < walking->outputs_count; index++) {
        const struct report *report = walking->outputs[index].report;
        walker->parts[index] = report_part(report->columns_count);
        walker->prices[index] = report->rows->price;
        walker->states[index] = mem_alloc(report->rows->state_bytes);
        if (walker->states[index] == NULL) {
            return err_memory(err, report->rows->state_bytes);
        }
    }
    return true;
}

static void walker_end(struct walker *walker) {
    const struct walking *walking = walker->walking;
    for (size_t index = 0; index < walking->outputs_count; index++) {
        if (walker->states[index] != NULL) {
            walking->outputs[index].report->rows->release(walker->states[index]);
        }
        mem_free(walker->states[index]);
        report_file_abort(&walker->parts[index]);
    }
    report_field_release(&walker->walk.org_id);
    report_field_release(&walker->walk.usage);
    totals_destroy(walker->walk.totals);
}

/* Ranges, until there are no more. */
static bool walker_run(struct walker *walker, struct err *err) {
    struct walking *walking = walker->walking;
    struct range range;
    while (range_take(walking, &range)) {
        bool is_made = walker_make(walker, &range, err);
        if (!turn_wait(walking, range.number)) {
            err_release(err); /* another range's failure is told */
            return true;
        }
        bool is_fine = is_made && walker_add(walker, err);
        turn_end(walking, is_fine);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

static bool walk_in_thread(void *context, size_t index, struct err *err) {
    (void)index;
    struct walking *walking = context;
    struct walker walker = {.walking = walking};
    bool is_fine = walker_start(&walker, err) && walker_run(&walker, err);
    (void)pthread_mutex_lock(&walking->mutex);
    is_fine = is_fine && totals_merge(walking->totals, walker.walk.totals, err);
    (void)pthread_mutex_unlock(&walking->mutex);
    walker_end(&walker);
    return is_fine;
}

bool report_walk_write(const struct report_source *source, const struct report_output *outputs,
                       size_t outputs_count, size_t jobs, struct totals *totals, struct err *err) {
    assert(outputs_count <= OUTPUTS_MAX);
    struct walking walking = {
        .source = source, .outputs = outputs, .outputs_count = outputs_count, .totals = totals};
    (void)pthread_mutex_init(&walking.mutex, NULL);
    (void)pthread_cond_init(&walking.changed, NULL);
    bool is_fine = process_parallel(jobs, jobs, walk_in_thread, &walking, err);
    (void)pthread_cond_destroy(&walking.changed);
    (void)pthread_mutex_destroy(&walking.mutex);
    return is_fine;
}
