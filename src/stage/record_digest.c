/*
 * The digest of an org's result, and whether it is the recorded one.
 *
 * It covers what was metered and what it costs, metric by metric, and not how it is billed: who is
 * suspended, or has a waiver, has the same result. Numbers go in as they stand in the tables, which
 * are little-endian everywhere.
 */
#include <assert.h>

#include "core/memory.h"
#include "rating/rated.h"
#include "record_database.h"
#include "source/recorded.h"

enum digest_side { SIDE_CHARGES, SIDE_NEGATIVES, SIDE_LIMITS, SIDE_SERIES };

struct digesting {
    struct ledger *ledger;
    struct ledger_shard *shard;
    struct rated_walk walk;
    struct previous_orgs recorded;
    struct buffer content;
};

static bool add_bytes(struct digesting *digesting, const void *bytes, size_t size_bytes,
                      struct err *err) {
    return buffer_append(&digesting->content, (struct text){bytes, size_bytes}, err);
}

static bool add_text(struct digesting *digesting, struct text text, struct err *err) {
    uint64_t size_bytes = text.size_bytes;
    return add_bytes(digesting, &size_bytes, sizeof size_bytes, err) &&
           add_bytes(digesting, text.bytes, text.size_bytes, err);
}

static bool add_org(struct digesting *digesting, struct err *err) {
    static const char version[] = "result 1";
    const struct rated_walk *walk = &digesting->walk;
    const struct instant period[2] = {table_get_instant(&walk->org, ORGS_PERIOD_START),
                                      table_get_instant(&walk->org, ORGS_PERIOD_END)};
    return add_text(digesting, text_from(version), err) &&
           add_text(digesting, walk->plan->plan_id, err) &&
           add_text(digesting, text_from(walk->plan->currency->code), err) &&
           add_bytes(digesting, period, sizeof period, err);
}

static bool add_price(struct digesting *digesting, struct err *err) {
    const struct rated_walk *walk = &digesting->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    const struct rated_side *negative = &walk->sides[SIDE_NEGATIVES];
    const struct rated_side *series = &walk->sides[SIDE_SERIES];
    const struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    bool has_closing = series->is_here && !table_is_null(&series->cursor, SERIES_CLOSING_LEVEL);
    struct {
        struct decimal quantity;
        struct decimal net;
        struct decimal limit;
        struct decimal overage;
        struct decimal cost;
        struct decimal closing;
        int64_t events;
        int64_t has_closing;
    } numbers = {
        .quantity = table_get_decimal(&walk->usage, USAGE_QUANTITY),
        .limit = charge_limit(&walk->price->price, &limits),
        .events = table_get_int64(&walk->usage, USAGE_EVENTS),
        .has_closing = has_closing ? 1 : 0,
    };
    _Static_assert(sizeof numbers == 6 * sizeof(struct decimal) + 16, "no padding in a digest");
    numbers.net =
        negative->is_here ? table_get_decimal(&negative->cursor, NEGATIVES_NET) : numbers.quantity;
    if (has_closing) {
        numbers.closing = table_get_decimal(&series->cursor, SERIES_CLOSING_LEVEL);
    }
    if (charge->is_here) {
        numbers.overage = table_get_decimal(&charge->cursor, CHARGES_OVERAGE);
        numbers.cost = table_get_decimal(&charge->cursor, CHARGES_COST);
    }
    return add_text(digesting, walk->price->metric, err) &&
           add_bytes(digesting, &numbers, sizeof numbers, err);
}

static bool judge_org(struct digesting *digesting, struct ledger_org *org, struct err *err) {
    org->state = LEDGER_NEW;
    org->revision = 1;
    org->seen_by = digesting->ledger->session->claim.run_id;
    if (!previous_orgs_to(&digesting->recorded, digesting->walk.org_id)) {
        return true;
    }
    const struct table_cursor *row = &digesting->recorded.cursor;
    char digest[DIGEST_TEXT_MAX];
    digest_format(&org->digest, digest);
    bool is_same = text_equals(table_get_text(row, RECORDED_ORGS_DIGEST), text_from(digest));
    org->state = is_same ? LEDGER_SAME : LEDGER_CHANGED;
    org->revision = table_get_int64(row, RECORDED_ORGS_REVISION) + (is_same ? 0 : 1);
    if (is_same || digesting->ledger->session->keeps_cutoff) {
        org->seen_by = table_get_int64(row, RECORDED_ORGS_SEEN_BY);
    }
    return org->revision <= INT32_MAX ||
           err_set(err, ERR_RANGE, "an org's period has more revisions than can be counted");
}

static bool digest_orgs(struct digesting *digesting, struct err *err) {
    struct ledger_shard *shard = digesting->shard;
    struct rated_walk *walk = &digesting->walk;
    while (rated_walk_next_org(walk, err)) {
        struct ledger_org *org = &shard->orgs[shard->orgs_count];
        buffer_clear(&digesting->content);
        if (!add_org(digesting, err)) {
            return false;
        }
        while (rated_walk_next_price(walk, err)) {
            if (!add_price(digesting, err)) {
                return false;
            }
        }
        const struct text content = buffer_text(&digesting->content);
        if (err->code != ERR_NONE ||
            !digest_of(content.bytes, content.size_bytes, &org->digest, err) ||
            !judge_org(digesting, org, err)) {
            return false;
        }
        shard->orgs_count++;
    }
    return err->code == ERR_NONE;
}

bool ledger_digest_shard(struct ledger *ledger, size_t shard_index, struct err *err) {
    static const struct {
        const struct table_schema *schema;
        enum digest_side side;
    } beside[] = {
        {&checkpoint_charges, SIDE_CHARGES},
        {&checkpoint_negatives, SIDE_NEGATIVES},
        {&checkpoint_limits, SIDE_LIMITS},
        {&checkpoint_series, SIDE_SERIES},
    };
    enum { BESIDE_COUNT = sizeof beside / sizeof *beside };
    struct table *tables[BESIDE_COUNT] = {0};
    struct table *orgs = NULL;
    struct table *usage = NULL;
    struct digesting digesting = {.ledger = ledger, .shard = &ledger->shards[shard_index]};
    digesting.recorded = (struct previous_orgs){.tables = ledger->previous.orgs,
                                                .tables_count = ledger->previous.shards_count};
    bool is_fine = run_input_open(ledger->run, &checkpoint_orgs, shard_index, &orgs, err) &&
                   run_input_open(ledger->run, &checkpoint_usage, shard_index, &usage, err);
    if (is_fine) {
        size_t room = (size_t)table_rows_count(orgs) * sizeof *digesting.shard->orgs;
        digesting.shard->orgs = mem_alloc(room);
        is_fine = digesting.shard->orgs != NULL || err_memory(err, room);
        digesting.walk = rated_walk_start(ledger->terms, orgs);
        rated_walk_usage(&digesting.walk, usage);
    }
    for (size_t index = 0; is_fine && index < BESIDE_COUNT; index++) {
        is_fine =
            run_input_open(ledger->run, beside[index].schema, shard_index, &tables[index], err);
        if (is_fine) {
            rated_walk_beside(&digesting.walk, beside[index].side, tables[index]);
        }
    }
    is_fine = is_fine && digest_orgs(&digesting, err);
    for (size_t index = 0; index < BESIDE_COUNT; index++) {
        table_close(tables[index]);
    }
    table_close(orgs);
    table_close(usage);
    buffer_release(&digesting.content);
    return is_fine;
}
