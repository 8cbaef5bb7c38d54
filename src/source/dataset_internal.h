/*
 * What the parts of the dataset module share. dataset.c calls them in this order:
 *
 *   dataset_load_plans          plans.csv, prices.csv, tiers.csv      dataset_plans.c
 *   dataset_load_orgs           orgs.csv: ranks, calendars, index     dataset_orgs.c, _zones.c
 *   dataset_finish_plans        today's plans and the sealed ones     dataset_sealed.c
 *   dataset_load_subscriptions  subscribed time and rating plan       dataset_subscriptions.c
 *   dataset_load_history        opening levels, last period           dataset_copies.c
 *   dataset_load_limits, dataset_load_invitations                     dataset_copies.c
 *   dataset_load_misfits        where the last period ended           dataset_gaps.c
 *   dataset_judge_orgs          who is rated                          dataset_judge.c
 *
 * Rows of orgs.csv and of the files keyed by org go through a sorter, and from there in key order
 * into streams of the spill, one per file and shard, which dataset_write.c reads. So memory holds
 * the catalog and the sorter of one file, or where several threads read the file, up to four of
 * them with DATASET_SORTERS_BYTES together, however many rows there are.
 */
#ifndef PERIODCLOSE_SOURCE_DATASET_INTERNAL_H
#define PERIODCLOSE_SOURCE_DATASET_INTERNAL_H

#include <pthread.h>

#include "dataset_columns.h"
#include "rating/terms.h"
#include "sorter.h"
#include "source/dataset.h"
#include "source/spill.h"

enum {
    DATASET_SORTER_BYTES = 16 * 1024 * 1024,
    DATASET_SORTERS_BYTES = 2 * DATASET_SORTER_BYTES, /* of several readers */
    ANCHOR_DAYS_MAX = 31,
};

struct dataset_calendar {
    struct catalog_calendar calendar; /* first: an org's pointer leads here */
    struct interval period;
};

struct dataset_zone {
    uint64_t hash;
    struct text name;
    struct zone zone;
    struct zone earlier;   /* from earlier_month on, for gaps */
    int32_t earlier_month; /* months since year 0; 0: not loaded */
    struct dataset_calendar *calendars[ANCHOR_DAYS_MAX];
};

/* What judging an org needs beyond the catalog. */
struct org_extra {
    const struct currency *currency;
    uint32_t sealed_plan;  /* index into sealed_terms.plans + 1; 0: today's terms */
    int32_t latest_period; /* months since year 0, of its last recorded period; 0: none */
    bool has_misfit;       /* that one ended elsewhere than this one begins: */
    struct instant recorded_end;
    struct instant subscribed_before; /* end of its latest subscribed time before this period */
};

/* Growing array. */
struct vector {
    void *items;
    size_t count;
    size_t capacity;
    size_t item_bytes;
};

void *vector_add(struct vector *vector, struct err *err); /* zeroed; NULL: no memory */
void vector_release(struct vector *vector);

struct dataset {
    const struct sys *sys;
    struct dataset_options options;     /* its pointers are good while loading */
    struct problems *problems;          /* while loading */
    const struct table *stand_in_plans; /* for a plans.csv that is not there; NULL: it must be */
    struct arena *arena;
    char *pool; /* room for short texts, in the arena */
    size_t pool_bytes;
    struct catalog catalog;
    struct text *not_selected;
    size_t not_selected_count;
    struct org_extra *extras;
    struct vector zones;         /* of struct dataset_zone */
    pthread_mutex_t zones_mutex; /* guards zones while several threads read */
    struct catalog_opening *openings;
    struct catalog_misfit *misfits; /* by rank; NULL: none */

    struct catalog_plan *today; /* sorted by plan_id; dataset_finish_plans moves them */
    size_t today_count;
    bool plans_are_sound; /* plans.csv was read without a problem: an unknown plan is one */
    bool orgs_are_sound;
    struct terms sealed_terms;
    const struct catalog_plan **sealed_plans; /* per plan of sealed_terms; NULL: not used */

    struct spill *spill;
    size_t shards_count;
    struct spill_stream *streams[DATASET_FILES_COUNT]; /* shards_count each; NULL: none */
};

/* ERR_INPUT when it is missing or no folder. */
bool dataset_check_folder(const struct sys *sys, const char *folder, struct err *err);

/* --- rows of a file --------------------------------------------------------------------------- */

/* What two threads write lies in different lines of the cache: each would wait for the other. */
enum { DATASET_READERS_MAX = 4, DATASET_LINE_BYTES = 64 };

/* What a thread that reads rows has for itself. */
struct dataset_reader {
    struct dataset *dataset;
    enum dataset_file_number file;
    struct problems *problems;
    uint32_t rank_before; /* of the org that was found last */
};

struct dataset_row {
    struct dataset *dataset;
    struct dataset_reader *reader;
    uint64_t line;
    const struct text *texts; /* as they are written */
    const struct field *fields;
    bool is_sound; /* no field was bad */
};

/*
 * A file whose rows may be taken in any order is read by several threads, if the dataset has as
 * many jobs, each with a context of its own.
 */
struct dataset_reading {
    enum dataset_file_number file;
    /* Called per row whose required fields are good; other bad ones are as if not given. */
    bool (*take)(void *context, const struct dataset_row *row, struct err *err);
    /* Called behind the last row of a context, also without any row; may be NULL. */
    bool (*finish)(void *context, struct err *err);
    void *context; /* contexts_count of them, of context_bytes each; 0 and 1 are one */
    size_t context_bytes;
    size_t contexts_count; /* at most DATASET_READERS_MAX */
    bool is_sound;         /* out: the file, if any, was read without a problem */
};

bool dataset_read(struct dataset *dataset, struct dataset_reading *reading, struct err *err);

/* By how many threads a file can be read: 1 to DATASET_READERS_MAX. */
size_t dataset_readers_count(const struct dataset *dataset);

/* What a file is called: by its name, or by the table it is in the database. */
const char *dataset_file_name(const struct dataset *dataset, enum dataset_file_number file);

/* A problem of a row's field. */
bool dataset_refuse(const struct dataset_row *row, const char *column, struct text value,
                    const char *reason, struct err *err);

/* A problem of a field, with its text; not while several threads read. */
bool dataset_add_problem(struct dataset *dataset, enum dataset_file_number file, uint64_t line,
                         const char *column, struct text value, const char *reason,
                         struct err *err);
/* "stands on line N already", for the later of two rows. */
bool dataset_add_repeated(struct dataset *dataset, enum dataset_file_number file, uint64_t line,
                          const char *column, struct text value, uint64_t first_line,
                          struct err *err);

/* A copy that lives as long as the dataset. */
bool dataset_keep_text(struct dataset *dataset, struct text text, struct text *kept,
                       struct err *err);

/*
 * The org of a row: its rank, CATALOG_NOT_SELECTED, or CATALOG_NONE with its problem told (unless
 * orgs.csv had problems: it may be one of those).
 */
bool dataset_find_org(const struct dataset_row *row, struct text org_id, uint32_t *rank,
                      struct err *err);
/* Index into today's plans, or UINT32_MAX. */
uint32_t dataset_find_plan(const struct dataset *dataset, struct text plan_id);

/* --- sorted by key, then line ----------------------------------------------------------------- */

struct keyed {
    uint32_t rank; /* of the org; 0 where rows are not of orgs */
    struct text key;
    uint64_t line;
    struct text payload;
};

bool keyed_sorter_create(struct dataset *dataset, struct sorter **sorter, struct err *err);
bool keyed_add(struct sorter *sorter, const struct keyed *keyed, struct err *err);
/* *has_row false at the end. The texts are valid until the next call. */
bool keyed_next(struct sorter *sorter, struct keyed *keyed, bool *has_row, struct err *err);

/* What the sorters of several readers hold, together in order. They are finished before. */
struct keyed_merge {
    struct sorter *sorters[DATASET_READERS_MAX];
    size_t sorters_count;
    struct sorter_record fronts[DATASET_READERS_MAX];
    size_t taken; /* whose front was given last; sorters_count: none yet */
};
/* A sorter for each reader; and back, also when some were not made. */
bool keyed_merge_create(struct dataset *dataset, struct keyed_merge *merge, struct err *err);
void keyed_merge_release(struct keyed_merge *merge);
bool keyed_merge_next(struct keyed_merge *merge, struct keyed *keyed, bool *has_row,
                      struct err *err);

/* Tells repeated keys: remembers the key before. */
struct keyed_check {
    uint32_t rank;
    uint64_t line;
    bool has_key;
    struct buffer key;
};
/* *is_repeated: the same rank and key as the row before, which stood on check->line. */
bool keyed_check_next(struct keyed_check *check, const struct keyed *keyed, bool *is_repeated,
                      struct err *err);

/* --- streams ---------------------------------------------------------------------------------- */

bool streams_create(struct dataset *dataset, enum dataset_file_number file, struct err *err);
/* Ranks ascend. */
bool streams_put(struct dataset *dataset, enum dataset_file_number file, uint32_t rank,
                 struct text payload, struct err *err);
bool streams_finish(struct dataset *dataset, enum dataset_file_number file, struct err *err);

struct stream_walk {
    struct spill_reader reader;
    bool has_row;
    uint32_t rank;
    struct text payload; /* valid until the next step */
};
bool stream_walk_open(struct stream_walk *walk, const struct dataset *dataset,
                      enum dataset_file_number file, size_t shard_index, struct err *err);
bool stream_walk_step(struct stream_walk *walk, struct err *err);
void stream_walk_close(struct stream_walk *walk);

/* --- the parts -------------------------------------------------------------------------------- */

bool dataset_load_plans(struct dataset *dataset, struct err *err);
bool dataset_finish_plans(struct dataset *dataset, struct err *err);
bool dataset_load_orgs(struct dataset *dataset, struct err *err);
/* The calendars a reader has met it knows without asking for those of all. Empty at first. */
struct zone_met {
    uint64_t hash; /* of its name */
    struct text name;
    size_t next; /* in its chain, as chains say */
    const struct dataset_calendar *calendars[ANCHOR_DAYS_MAX];
};
enum { ZONE_CHAINS_COUNT = 256 };
struct calendars_met {
    struct vector zones;              /* struct zone_met */
    size_t chains[ZONE_CHAINS_COUNT]; /* by hash: index into zones + 1; 0: none */
    struct zone_met *last;
};
/* As dataset_find_calendar; thread-safe, but for met. */
bool dataset_meet_calendar(struct dataset *dataset, struct calendars_met *met,
                           struct text zone_name, int anchor_day,
                           const struct dataset_calendar **calendar, struct err *err);
/* NULL in *calendar: no such zone. */
bool dataset_find_calendar(struct dataset *dataset, struct text zone, int anchor_day,
                           const struct dataset_calendar **calendar, struct err *err);
bool dataset_load_subscriptions(struct dataset *dataset, struct err *err);
bool dataset_load_history(struct dataset *dataset, struct err *err);
bool dataset_load_misfits(struct dataset *dataset, struct err *err);
bool dataset_judge_history(struct dataset *dataset, uint32_t rank, enum org_reason *reason,
                           struct err *err);
bool dataset_judge_orgs(struct dataset *dataset, struct err *err);
bool dataset_load_limits(struct dataset *dataset, struct err *err);
bool dataset_load_invitations(struct dataset *dataset, struct err *err);

/* A subscription of an org: as its stream holds it. */
struct subscription {
    uint32_t plan;            /* index into today's plans */
    struct interval interval; /* INT64_MIN, INT64_MAX where not given */
};

void subscription_unpack(struct text payload, struct subscription *subscription,
                         struct field fields[SUBSCRIPTION_FIELDS_COUNT]);

/* Which plans are in force last within the period. */
struct subscription_end {
    struct instant until; /* within the period; 0 plans: none touches it */
    size_t plans_count;   /* different ones */
    uint32_t plans[2];    /* the first two by plan_id */
};
struct subscription_end subscriptions_find_end(const struct subscription *subscriptions,
                                               size_t subscriptions_count, struct interval period);

static inline const struct interval *calendar_period(const struct catalog_calendar *calendar) {
    return &((const struct dataset_calendar *)(const void *)calendar)->period;
}

static inline int32_t month_number(struct month month) {
    return month.year * 12 + month.month - 1;
}

#endif
