/*
 * Catalog: everything of a dataset but its usage and seats, read, checked and resolved for one
 * period: which plan rates which org, its days, its subscribed time, and who is set aside and why.
 *
 * Filled by a source (the dataset folder here, PostgreSQL later), read by the usage readers and by
 * the extract stage. Compact, since there may be hundreds of thousands of orgs: texts lie in one
 * pool, and what only the checkpoint needs is written there and not kept twice. Immutable after
 * loading, but for the two marks that usage and seats set (catalog_mark_active).
 */
#ifndef PERIODCLOSE_SOURCE_CATALOG_H
#define PERIODCLOSE_SOURCE_CATALOG_H

#include "core/arena.h"
#include "core/calendar.h"
#include "core/money.h"
#include "rating/charge.h"
#include "rating/level.h"
#include "source/csv.h"

#define CATALOG_NONE UINT32_MAX               /* no such org */
#define CATALOG_NOT_SELECTED (UINT32_MAX - 1) /* exists, but --org left it out */

enum org_status { ORG_ACTIVE, ORG_SUSPENDED, ORG_CANCELLED, ORG_STATUSES_COUNT };
extern const char *const org_status_names[ORG_STATUSES_COUNT];

enum org_disposition { ORG_RATED, ORG_SET_ASIDE, ORG_LISTED, ORG_DISPOSITIONS_COUNT };
extern const char *const org_disposition_names[ORG_DISPOSITIONS_COUNT];

enum org_reason {
    ORG_REASON_NONE,
    ORG_REASON_NO_PLAN,           /* set aside */
    ORG_REASON_TWO_PLANS,         /* set aside */
    ORG_REASON_CURRENCY_MISMATCH, /* set aside */
    ORG_REASON_PERIOD_GAP,        /* set aside */
    ORG_REASON_PERIOD_OVERLAP,    /* set aside */
    ORG_REASON_KIND_MISMATCH,     /* set aside */
    ORG_REASON_NOT_SUBSCRIBED,    /* listed */
    ORG_REASON_PERIOD_OPEN,       /* listed */
    ORG_REASONS_COUNT,
};

struct org_reason_row {
    const char *name;
    enum org_disposition disposition;
};
extern const struct org_reason_row org_reason_table[ORG_REASONS_COUNT];

struct catalog_price {
    struct text metric;
    struct text unit; /* label; empty: none */
    struct price price;
};

struct catalog_plan {
    struct text plan_id;
    struct text name;
    const struct currency *currency;
    int64_t terms; /* 0 today's, 1 sealed with the revision before, 2 … older ones of its name */
    const struct catalog_price *prices; /* sorted by metric */
    uint32_t prices_count;
};

/* Period and days of one (zone, anchor day), shared by its orgs. */
struct catalog_calendar {
    struct text timezone;
    int anchor_day;
    struct calendar calendar;
    size_t next_days_count;
};

struct catalog_org {
    struct text org_id;
    const struct catalog_calendar *calendar;
    const struct catalog_plan *plan; /* NULL: none */
    const struct interval *subscribed;
    uint32_t subscribed_count;
    uint8_t disposition;     /* enum org_disposition; final after catalog_settle */
    uint8_t reason;          /* enum org_reason */
    uint8_t is_whole_period; /* subscribed is exactly the period */
    uint8_t is_active;       /* usage or seats in its period: see catalog_mark_active */
};

/* The recorded closing level of the period before, for one (org, metric) that its plan prices. */
struct catalog_opening {
    uint32_t org; /* rank */
    struct text metric;
    struct decimal closing_level;
};

/* A row of usage that its org's plan cannot meter (ORG_REASON_KIND_MISMATCH). */
struct catalog_misfit {
    const struct catalog_price *price; /* NULL: none */
    struct instant at;
    bool is_set; /* of a flow; else it lacks the unique_key */
};

struct catalog {
    struct catalog_org *orgs; /* the selected ones, sorted by org_id; the index is the org's rank */
    uint32_t orgs_count;
    const struct catalog_plan *plans; /* sorted by (terms, plan_id) */
    uint32_t plans_count;
    const struct catalog_opening *openings; /* sorted by (org, metric) */
    uint32_t openings_count;
    struct month month;
    bool has_cutoff; /* false: everything recorded is in */
    struct instant cutoff;
    bool has_seats_file;
    bool is_incomplete; /* orgs had bad rows: an unknown org may be one of those, and is no news */
    struct catalog_index *index; /* org_id to rank; owned, see catalog_index_create */
};

/*
 * Why a text is no id (of an org, a plan, a user, an invitation: 1 to 255 bytes without control
 * characters) or no metric (1 to 128 bytes); NULL when it is one. text is valid UTF-8.
 */
enum { CATALOG_ID_BYTES_MAX = 255, CATALOG_METRIC_BYTES_MAX = 128 };
const char *catalog_check_id(struct text text);
const char *catalog_check_metric(struct text text);

/*
 * Makes catalog->index from orgs[]; not_selected: the orgs that exist but were left out, which must
 * live as long. Called by the source that filled the catalog; released by catalog_index_release.
 */
bool catalog_index_create(struct catalog *catalog, const struct text *not_selected,
                          size_t not_selected_count, struct err *err);
void catalog_index_release(struct catalog *catalog); /* none is fine */

/*
 * Rank of a selected org, CATALOG_NOT_SELECTED, or CATALOG_NONE. A hash look-up; thread-safe. An
 * org's shard is rank / CHECKPOINT_SHARD_ORGS.
 */
uint32_t catalog_find_org(const struct catalog *catalog, struct text org_id);

/*
 * The hash table it looks in, for those who look for many at a time: the slot of an org_id whose
 * XXH3-64 is hash is the first one from hash & mask on, around the end, that is of it. A slot holds
 * the upper half of the hash, and in its lower half the org's rank + 1; 0 ends the search. A number
 * that is no rank is of an org that was left out.
 */
struct catalog_slots {
    const uint64_t *slots;
    size_t mask;
};
struct catalog_slots catalog_index_slots(const struct catalog *catalog);

/* Price of the metric in the org's plan; NULL without plan or price. *slot: its index there. */
const struct catalog_price *catalog_find_price(const struct catalog_org *org, struct text metric,
                                               uint32_t *slot);

/* The recorded closing level, or NULL. */
const struct decimal *catalog_find_opening(const struct catalog *catalog, uint32_t org,
                                           struct text metric);

/* The org has usage or active seats in its period: one without a plan is then set aside, not merely
 * listed. Thread-safe (a relaxed atomic store). */
void catalog_mark_active(const struct catalog *catalog, uint32_t org);

/* After all usage and seats were seen: orgs without a plan become no_plan or not_subscribed. */
void catalog_settle(struct catalog *catalog);

#endif
