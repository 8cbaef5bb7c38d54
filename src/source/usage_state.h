/*
 * What the files of the usage reader share: buckets, records, feeds. Internal to src/source.
 *
 * Orgs are cut into buckets, contiguous in rank and within one shard. A slot is one priced
 * (org, metric): the slots of a bucket are numbered by org and then by the plan's prices, so that a
 * record of 16 bytes can name its series by a slot. Each thread has a feed: its own streams, its
 * own totals.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_STATE_H
#define PERIODCLOSE_SOURCE_USAGE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "dataset_internal.h"
#include "fingerprint.h"
#include "sorter.h"
#include "source/spill.h"
#include "source/usage.h"
#include "usage_conflicts.h"
#include "usage_metrics.h"
#include "usage_parse.h"
#include "usage_tally.h"

/* --- streams and their records -----------------------------------------------------------------
 */

enum usage_stream {
    STREAM_FLOWS_SHORT,  /* words: metered, of sum, count; what does fit a word, as most does */
    STREAM_FLOWS,        /* pairs: metered, of sum, count, unique */
    STREAM_FLOWS_SUMS,   /* struct flow_sum, packed into pairs: what was folded */
    STREAM_FLOWS_WIDE,   /* struct flow_record: what does not fit those */
    STREAM_LEVELS,       /* pairs: metered, of levels */
    STREAM_SERIES,       /* struct series_record and event_id: other rows of levels; unique keys */
    STREAM_ASIDES,       /* struct aside_record and the event_id */
    STREAM_SEATS,        /* struct seat_record, user_id, role */
    STREAM_SEATS_BEGINS, /* of a database, until they are paired: usage_database_seats.c */
    STREAM_SEATS_ENDS,
    STREAMS_COUNT,
};

/*
 * A pair is two words. Flows: slot x 2^42 + microseconds since the period's start. Levels: slot x
 * 2^43 + 2 x microseconds + 1 for a change (so that sets come first). Then the packed quantity.
 */
enum { PAIR_TIME_BITS = 42, PAIR_SLOTS_MAX = 1 << 21 };

#define PAIR_TIME_MASK ((UINT64_C(1) << PAIR_TIME_BITS) - 1)

_Static_assert(CALENDAR_DAYS_MAX *INT64_C(90000000000) < (INT64_C(1) << PAIR_TIME_BITS),
               "an instant of a period, its days of 25 hours, must fit a pair");

/*
 * A word: slot x 2^51 + seconds since the period's start x 2^29 + mantissa x 2^3 + decimal places.
 */
enum { WORD_SLOT_BITS = 13, WORD_SECONDS_BITS = 22, WORD_MANTISSA_BITS = 26, WORD_PLACES_BITS = 3 };

_Static_assert(WORD_SLOT_BITS + WORD_SECONDS_BITS + WORD_MANTISSA_BITS + WORD_PLACES_BITS == 64,
               "it is all of a word");

/* False: it does not fit. */
static inline bool flow_word_pack(uint32_t slot, uint64_t offset_us, int64_t packed,
                                  uint64_t *word) {
    uint64_t seconds = offset_us / 1000000;
    uint64_t mantissa = (uint64_t)packed_mantissa(packed);
    uint64_t places = packed_places(packed);
    *word = ((((uint64_t)slot << WORD_SECONDS_BITS | seconds) << WORD_MANTISSA_BITS) | mantissa)
                << WORD_PLACES_BITS |
            places;
    return slot >> WORD_SLOT_BITS == 0 && seconds >> WORD_SECONDS_BITS == 0 &&
           mantissa >> WORD_MANTISSA_BITS == 0 && places >> WORD_PLACES_BITS == 0 &&
           seconds * 1000000 == offset_us;
}

static inline void flow_word_unpack(uint64_t word, uint32_t *slot, uint64_t *offset_us,
                                    int64_t *packed) {
    const uint64_t mantissa_mask = (UINT64_C(1) << WORD_MANTISSA_BITS) - 1;
    const uint64_t seconds_mask = (UINT64_C(1) << WORD_SECONDS_BITS) - 1;
    unsigned places = (unsigned)word & ((1U << WORD_PLACES_BITS) - 1);
    word >>= WORD_PLACES_BITS;
    *packed = packed_from((int64_t)(word & mantissa_mask), places);
    word >>= WORD_MANTISSA_BITS;
    *offset_us = (word & seconds_mask) * 1000000;
    *slot = (uint32_t)(word >> WORD_SECONDS_BITS);
}

/* Events of one day, added up. Instants since the period's start. */
struct flow_sum {
    int64_t packed;
    uint64_t first_us;
    uint64_t last_us;
    uint64_t count;
    uint32_t slot;
};

/*
 * As a pair: slot x 2^51 + first second x 2^29 + seconds from there to the last x 2^12 + count.
 * Then the packed sum.
 */
enum { SUM_SPAN_BITS = 17, SUM_COUNT_BITS = 12 };

_Static_assert(WORD_SLOT_BITS + WORD_SECONDS_BITS + SUM_SPAN_BITS + SUM_COUNT_BITS == 64,
               "it is all of a word");

/* False: it does not fit. */
static inline bool flow_sum_pack(const struct flow_sum *sum, uint64_t pair[2]) {
    uint64_t first = sum->first_us / 1000000;
    uint64_t span = sum->last_us / 1000000 - first;
    pair[0] = (((uint64_t)sum->slot << WORD_SECONDS_BITS | first) << SUM_SPAN_BITS | span)
                  << SUM_COUNT_BITS |
              sum->count;
    pair[1] = (uint64_t)sum->packed;
    return sum->slot >> WORD_SLOT_BITS == 0 && first >> WORD_SECONDS_BITS == 0 &&
           span >> SUM_SPAN_BITS == 0 && sum->count >> SUM_COUNT_BITS == 0 &&
           first * 1000000 == sum->first_us && (first + span) * 1000000 == sum->last_us;
}

static inline struct flow_sum flow_sum_unpack(const uint64_t pair[2]) {
    uint64_t word = pair[0];
    struct flow_sum sum = {
        .packed = (int64_t)pair[1],
        .count = word & ((UINT64_C(1) << SUM_COUNT_BITS) - 1),
    };
    word >>= SUM_COUNT_BITS;
    uint64_t span = word & ((UINT64_C(1) << SUM_SPAN_BITS) - 1);
    word >>= SUM_SPAN_BITS;
    uint64_t first = word & ((UINT64_C(1) << WORD_SECONDS_BITS) - 1);
    sum.first_us = first * 1000000;
    sum.last_us = (first + span) * 1000000;
    sum.slot = (uint32_t)(word >> WORD_SECONDS_BITS);
    return sum;
}

/* The same of any size. Instants are instants. */
struct flow_record {
    struct decimal sum;
    int64_t first_us;
    int64_t last_us;
    uint64_t count;
    uint32_t slot;
    uint32_t padding;
};

enum series_kind { SERIES_KIND_LEVEL, SERIES_KIND_KEY };

struct series_record {
    union {
        struct decimal quantity;
        uint64_t key_hash[2]; /* of the unique_key */
    } value;
    int64_t occurred_at_us;
    uint32_t slot;
    uint32_t event_id_bytes; /* they follow */
    uint8_t kind;            /* enum series_kind */
    uint8_t is_change;       /* else a set */
    uint8_t is_metered;
    uint8_t padding[13];
};

enum aside_kind {
    ASIDE_LATE,
    ASIDE_LATE_EARLIER,
    ASIDE_LATE_OPENING,
    ASIDE_UNPRICED,
    ASIDES_KINDS_COUNT,
};

struct aside_record {
    struct decimal quantity;
    int64_t occurred_at_us;
    uint32_t org;
    uint32_t metric;
    uint32_t event_id_bytes; /* of a set; they follow */
    uint8_t kind;            /* enum aside_kind */
    uint8_t is_change;       /* else a set */
    uint8_t padding[10];
};

struct seat_record {
    int64_t assigned_at_us;
    int64_t revoked_at_us; /* INT64_MAX: not revoked */
    uint32_t org;
    uint32_t user_id_bytes; /* they follow, then the role's */
    uint32_t role_bytes;
    uint32_t padding;
};

/* --- buckets -----------------------------------------------------------------------------------
 */

enum { BUCKET_ORGS_MAX = 16384 };

struct usage_bucket {
    uint32_t org_first;
    uint32_t orgs_count;
    uint32_t slots_count;
};

struct usage_place {
    uint32_t bucket;
    uint32_t slot_first; /* of the org, in its bucket */
};

/* --- feeds -------------------------------------------------------------------------------------
 */

/* The org of the row before, and what its rows need. */
struct feed_org {
    uint32_t rank; /* CATALOG_NONE: none yet */
    const struct catalog_org *org;
    int64_t start_us;
    uint64_t length_us; /* of the period */
    struct usage_place place;
    bool is_rated; /* it has a plan and is not set aside */
};

/* Price of a metric in a plan, found before. */
struct feed_route {
    const struct catalog_plan *plan;
    uint32_t metric;
    uint32_t slot;                     /* in the plan */
    const struct catalog_price *price; /* NULL: none */
    bool is_plain;                     /* its events only add up, or are only counted */
};

enum { FEED_ROUTES_COUNT = 256 };

/* Rows being added up before they are spilled: see usage_fold.h. */
enum { FOLD_LANE_BYTES = 16, FOLD_LANES_SHORT = 2, FOLD_LANES_MAX = 4 };
enum { FOLD_LITERAL_BYTES_MAX = FOLD_LANES_MAX * FOLD_LANE_BYTES };

/* Bytes that every row has at one place. */
struct fold_literal {
    char bytes[FOLD_LITERAL_BYTES_MAX];
    char mask[FOLD_LITERAL_BYTES_MAX]; /* all ones for each of them, zero for what may differ */
    size_t size_bytes;
};

struct fold_sum {
    uint64_t count;
    int128 units;      /* of all others */
    int64_t mantissas; /* of those with as many places as most */
    unsigned places;
    uint64_t first; /* times of day, as parse_time_order has them */
    uint64_t last;
};

struct feed_fold {
    bool is_ready; /* the row before went the plain lane; the next six are what it was */
    uint32_t rank;
    uint32_t entry;
    uint32_t slot;
    const struct parse_date *date;
    int64_t occurred_at_us;
    int64_t packed; /* its quantity */
    bool is_word;   /* it was spilled as one */

    bool is_open;               /* rows like that one are taken; what follows is of them */
    bool is_short;              /* both literals fit FOLD_LANES_SHORT */
    struct fold_literal before; /* the quantity */
    struct fold_literal behind; /* it, line feed included; the time of day is in one of the two */
    size_t time_offset;         /* in a row, if its quantity were empty */
    size_t time_moves;          /* all ones: it is behind the quantity; else 0 */
    struct parse_shape shape;   /* of quantities with as many places as that row's */
    struct fold_sum taken;

    const struct calendar *calendar; /* NULL: none yet; of the last row, as all that follows */
    int64_t date_us;
    int64_t day_from_us; /* its day */
    int64_t day_until_us;
    uint64_t day_first; /* the same, as parse_time_order has the times of its date */
    uint64_t day_last;
};

/* What the plain lane needs of an org. */
struct usage_org {
    char org_id[23];
    uint8_t org_id_bytes; /* 0: longer than that, it is in the catalog */
    uint32_t bucket;
    uint32_t slot_first; /* in the bucket */
    int64_t start_us;
    uint64_t length_us;              /* of the period */
    const struct catalog_plan *plan; /* NULL: not rated, or not subscribed all the time */
    uint64_t padding;
};

/* What feed_find_orgs looks in. */
struct org_index;
bool usage_orgs_create(struct usage *usage, struct err *err);
void usage_orgs_destroy(struct usage *usage); /* none is fine */

struct usage_feed {
    struct usage *usage;
    struct problems *problems;
    struct spill_stream *streams[STREAMS_COUNT]; /* [stream][bucket]; allocated when first used */
    struct spill_stream *partitions;             /* events with an id, by hash */
    struct metric_table metrics;
    uint32_t rank_before; /* what the last row's org was */
    bool is_ordered;      /* so were those of most rows lately, or shortly before theirs */
    struct feed_org org;
    struct feed_fold fold;
    struct parse_dates dates;
    struct feed_route *routes; /* FEED_ROUTES_COUNT */
    const char *file_name;
    uint32_t file_index;
};

/* One row as text, its fields as in usage_columns, its line. */
enum usage_column {
    USAGE_COLUMN_ORG_ID,
    USAGE_COLUMN_METRIC,
    USAGE_COLUMN_QUANTITY,
    USAGE_COLUMN_OCCURRED_AT,
    USAGE_COLUMN_EVENT_ID,
    USAGE_COLUMN_KIND,
    USAGE_COLUMN_UNIQUE_KEY,
    USAGE_COLUMN_RECORDED_AT,
    USAGE_COLUMNS_COUNT,
};
enum seats_column {
    SEATS_COLUMN_ORG_ID,
    SEATS_COLUMN_USER_ID,
    SEATS_COLUMN_ROLE,
    SEATS_COLUMN_ASSIGNED_AT,
    SEATS_COLUMN_REVOKED_AT,
    SEATS_COLUMNS_COUNT,
};
extern const struct csv_column usage_columns[USAGE_COLUMNS_COUNT];
extern const struct csv_column seats_columns[SEATS_COLUMNS_COUNT];

enum { FEED_LINES_MAX = 64 };

/* A row of a CSV file on its way through a feed. */
struct feed_line {
    struct text fields[USAGE_COLUMNS_COUNT]; /* the first one is the org_id */
    uint64_t line;
    uint64_t hash;     /* of the org_id, while it is looked for */
    uint32_t rank;     /* of the org, or CATALOG_NONE or CATALOG_NOT_SELECTED */
    bool is_as_before; /* the org_id is that of the row before, which is of the same batch */
};

/* Finds the orgs of 1 to FEED_LINES_MAX rows. */
void feed_find_orgs(struct usage_feed *feed, struct feed_line *lines, size_t count);

/*
 * Takes one row of a CSV file, its org found: feed_row for usage, feed_seat for seats. is_padded:
 * eight bytes before every field are readable.
 */
typedef bool feed_function(struct usage_feed *feed, const struct feed_line *line, bool is_padded,
                           struct err *err);
bool feed_row(struct usage_feed *feed, const struct feed_line *line, bool is_padded,
              struct err *err);
/* The long way of feed_row: judges field by field, and takes what stands. */
bool feed_judge_row(struct usage_feed *feed, const struct feed_line *line, bool is_padded,
                    struct err *err);
bool feed_seat(struct usage_feed *feed, const struct feed_line *line, bool is_padded,
               struct err *err);

/* A seat's org and user, *is_bad when one is; and a seat that is not bad, of a known or unselected
 * org: whose user_id and role are the row's. */
bool feed_judge_seat(struct usage_feed *feed, const struct feed_line *row, bool *is_bad,
                     struct err *err);
bool feed_take_seat(struct usage_feed *feed, const struct feed_line *row,
                    struct instant assigned_at, struct instant revoked_at, struct err *err);
bool feed_refuse_seat(struct usage_feed *feed, const struct feed_line *row,
                      enum seats_column column, const char *reason, struct err *err);

/* A row that stands: no duplicate. */
struct feed_event {
    struct decimal quantity;
    int64_t packed;
    bool is_packed;
    bool is_set;         /* else a change */
    bool is_late;        /* recorded after the cutoff */
    bool is_after_start; /* recorded at or after the period's start */
    bool is_reset;       /* moved a cache only: never usage */
    bool is_migration;   /* the same for a flow */
    struct instant occurred_at;
    struct text event_id; /* levels only; else empty */
    bool has_key;
    uint64_t key_hash[2];
};

void feed_look_at_org(struct usage_feed *feed, uint32_t rank);
/* Is it inside the period of a rated org, subscribed then, recorded in time? */
bool feed_is_metered(const struct usage_feed *feed, const struct feed_event *event);
/* Of several of an org, the one that is told: by metric, then the earliest. Thread-safe. */
bool usage_note_misfit(struct usage *usage, uint32_t rank, const struct catalog_misfit *misfit,
                       struct err *err);
/* Finds the category and spills. */
bool feed_event(struct usage_feed *feed, struct metric_entry *entry, const struct feed_event *event,
                struct err *err);
/* Lists what came after the earlier period it belongs to was recorded. Counted unless it is read
 * elsewhere, too: as outside the period. */
bool feed_list_earlier(struct usage_feed *feed, struct metric_entry *entry,
                       const struct feed_event *event, bool is_counted, struct err *err);
/* Price of a metric in the plan of the org looked at; NULL: none. */
const struct price *feed_find_price(struct usage_feed *feed, const struct metric_entry *entry);
/* The slot of a metric that the org's plan only adds up or counts. False: it is no such, or its
 * slot does not fit a pair. */
bool feed_find_plain_slot(struct usage_feed *feed, const struct usage_org *org,
                          const struct metric_entry *entry, uint32_t *slot);
/* An event of an org that --org left out. */
void feed_count_unselected(struct metric_entry *entry, const struct feed_event *event);

/* Events of one org, metric and day that were added up where they came from. */
struct feed_sum {
    struct decimal quantity;
    struct instant first_at;
    struct instant last_at;
    uint64_t events_count;
    uint32_t rank; /* or CATALOG_NOT_SELECTED; else the org that the feed looks at */
};
/* They are of a metric that the org's plan only adds up or counts, recorded in time (ERR_CONTROL).
 */
bool feed_add_sum(struct usage_feed *feed, struct metric_entry *entry, const struct feed_sum *sum,
                  struct err *err);
/* An event with an id, before duplicates are told apart. */
bool feed_identified(struct usage_feed *feed, struct metric_entry *entry,
                     const struct feed_event *event, struct text event_id, uint64_t line,
                     struct err *err);
bool feed_append(struct usage_feed *feed, enum usage_stream stream, uint32_t bucket,
                 const void *bytes, size_t size_bytes, struct err *err);
void feed_hash(const struct usage *usage, struct text text, uint64_t hash[2]);

/* --- the whole ---------------------------------------------------------------------------------
 */

enum { HASH_SECRET_BYTES = 192 };

struct usage_file {
    char name[256];
};

struct usage {
    const struct sys *sys;
    const struct catalog *catalog;
    char folder[FILE_PATH_MAX];
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
    size_t jobs;
    uint64_t memory_bytes; /* of one job */
    struct spill *spill;
    size_t chunk_bytes;
    size_t block_bytes; /* of a file read at a time */
    struct usage_bucket *buckets;
    uint32_t buckets_count;
    struct usage_place *places; /* by rank */
    struct org_index *org_index;
    struct usage_org *orgs; /* by rank */
    uint32_t partitions_count;
    uint32_t partitions_max;
    struct metric_names *names;
    struct usage_feed *feeds; /* jobs of them */
    struct usage_file *files; /* usage files read, for messages */
    uint32_t files_count;
    struct vector fingerprints; /* of struct dataset_file: all files read, in order of reading */
    _Atomic uint64_t done_bytes;
    uint64_t total_bytes;
    unsigned char hash_secret[HASH_SECRET_BYTES];

    pthread_mutex_t misfits_mutex;  /* guards misfits */
    struct catalog_misfit *misfits; /* by rank; NULL: none */

    pthread_mutex_t conflicts_mutex; /* guards conflicts */
    struct conflicts conflicts;

    pthread_mutex_t metered_mutex; /* guards what condensing adds */
    struct metric_totals *metered; /* by metric; NULL before condensing */
    uint32_t *metric_ranks;        /* by metric: place among the names in order; once sealed */
    bool is_sealed;                /* streams are flushed */

    struct usage_metric_totals *totals;
};

/* Flushes every stream; then they can be read. */
bool usage_seal(struct usage *usage, struct err *err);
/* What was found bad by each feed goes to the caller's collector. */
bool usage_merge_problems(struct usage *usage, struct problems *problems, struct err *err);
/* Reads all rows of an open file with all jobs, and adds its blocks to fingerprint, if they are its
 * blocks and as far as they hold rows. */
bool usage_read_blocks(struct usage *usage, const struct csv_file *csv, feed_function *take,
                       struct fingerprint *fingerprint, struct err *err);
bool usage_settle_partition(struct usage *usage, struct usage_feed *feed, uint32_t partition,
                            struct err *err);
/* Tells the rows of one event that disagree, their ids read again from the files. */
bool usage_tell_conflicts(struct usage *usage, struct problems *problems, struct err *err);
void usage_progress(struct usage *usage, uint64_t more_bytes);

#endif
