/* The whole of a usage reading: buckets, feeds, files, totals. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"
#include "sys/clock.h"
#include "sys/process.h"
#include "usage_state.h"

enum {
    MEMORY_OF_JOB_MIN = 256 * 1024,
    BUCKET_SLOTS_MAX = 2048, /* their days fit the second-level cache */
    BUCKET_STREAMS = 4,      /* how many streams of a bucket are in use at once, as a rule */
    CHUNK_BYTES_WANTED = 4 * 1024,
    CHUNK_BYTES_MAX = 16 * 1024,
    BLOCK_BYTES_MIN = 4 * 1024,
    BLOCK_BYTES_MAX = 256 * 1024,
};

const char *const usage_category_names[USAGE_CATEGORIES_COUNT] = {
    [USAGE_NOT_SELECTED] = "not_selected",
    [USAGE_DUPLICATE] = "duplicate",
    [USAGE_SET_ASIDE] = "set_aside",
    [USAGE_OUTSIDE] = "outside",
    [USAGE_LATE] = "late",
    [USAGE_ADMINISTRATIVE] = "administrative",
    [USAGE_UNPRICED] = "unpriced",
    [USAGE_METERED] = "metered",
};

/* --- buckets -----------------------------------------------------------------------------------
 */

static uint32_t shard_of(uint32_t rank) {
    return rank / CHECKPOINT_SHARD_ORGS;
}

/* Cuts the orgs into buckets of at most slots_max slots, as far as whole orgs allow. */
static uint32_t cut_buckets(struct usage *usage, uint32_t slots_max) {
    const struct catalog *catalog = usage->catalog;
    struct usage_bucket *buckets = usage->buckets;
    uint32_t count = 0;
    struct usage_bucket bucket = {0};
    for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
        const struct catalog_plan *plan = catalog->orgs[rank].plan;
        uint32_t slots = plan != NULL ? plan->prices_count : 0;
        bool is_new_shard = shard_of(rank) != shard_of(bucket.org_first);
        bool is_full = bucket.slots_count + (uint64_t)slots > slots_max ||
                       bucket.orgs_count == BUCKET_ORGS_MAX;
        if (bucket.orgs_count > 0 && (is_new_shard || is_full)) {
            buckets[count] = bucket;
            count++;
            bucket = (struct usage_bucket){.org_first = rank};
        }
        usage->places[rank] = (struct usage_place){count, bucket.slots_count};
        bucket.orgs_count++;
        bucket.slots_count += slots;
    }
    if (bucket.orgs_count > 0) {
        buckets[count] = bucket;
        count++;
    }
    return count;
}

/*
 * As many buckets as give each a small table of days, but no more than there is memory for their
 * streams. Buckets that are then larger are condensed in several turns.
 */
static bool plan_buckets(struct usage *usage, struct err *err) {
    size_t streams_memory = (size_t)(usage->memory_bytes / 2);
    size_t chunk_wanted = CHUNK_BYTES_WANTED;
    while (chunk_wanted > SPILL_CHUNK_BYTES_MIN && streams_memory / chunk_wanted < 128) {
        chunk_wanted /= 2;
    }
    size_t buckets_max = streams_memory / (BUCKET_STREAMS * chunk_wanted);
    uint64_t slots_max = usage->memory_bytes / 4 / (CALENDAR_DAYS_MAX * 32);
    slots_max = slots_max > BUCKET_SLOTS_MAX ? BUCKET_SLOTS_MAX : slots_max;
    slots_max = slots_max < 1 ? 1 : slots_max;
    /* One for each org at most; what is not touched costs nothing. */
    usage->buckets = mem_alloc((usage->catalog->orgs_count + (size_t)1) * sizeof *usage->buckets);
    usage->places = mem_alloc((usage->catalog->orgs_count + (size_t)1) * sizeof *usage->places);
    if (usage->buckets == NULL || usage->places == NULL) {
        return err_memory(err, usage->catalog->orgs_count * sizeof *usage->places);
    }
    uint32_t count = cut_buckets(usage, (uint32_t)slots_max);
    while (count > buckets_max && slots_max < UINT32_MAX / 2) {
        slots_max *= 2;
        count = cut_buckets(usage, (uint32_t)slots_max);
    }
    usage->buckets_count = count;
    size_t chunk = streams_memory / (BUCKET_STREAMS * ((size_t)count + 1));
    chunk = chunk / 256 * 256;
    chunk = chunk > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : chunk;
    usage->chunk_bytes = chunk < SPILL_CHUNK_BYTES_MIN ? SPILL_CHUNK_BYTES_MIN : chunk;
    return true;
}

/* --- feeds -------------------------------------------------------------------------------------
 */

static bool feed_init(struct usage_feed *feed, struct usage *usage, struct err *err) {
    *feed = (struct usage_feed){
        .usage = usage,
        .org.rank = CATALOG_NONE,
        .rank_before = CATALOG_NONE,
        .metrics.names = usage->names,
        .metrics.has_seats_file = usage->catalog->has_seats_file,
    };
    for (size_t stream = 0; stream < STREAMS_COUNT; stream++) {
        feed->streams[stream] =
            mem_alloc((usage->buckets_count + (size_t)1) * sizeof **feed->streams);
        if (feed->streams[stream] == NULL) {
            return err_memory(err, usage->buckets_count * sizeof **feed->streams);
        }
    }
    feed->routes = mem_alloc(FEED_ROUTES_COUNT * sizeof *feed->routes);
    feed->partitions = mem_alloc(usage->partitions_max * sizeof *feed->partitions);
    if (feed->routes == NULL || feed->partitions == NULL) {
        return err_memory(err, FEED_ROUTES_COUNT * sizeof *feed->routes);
    }
    feed->problems = problems_create(err);
    return feed->problems != NULL;
}

static void feed_release(struct usage_feed *feed, const struct usage *usage) {
    for (size_t stream = 0; stream < STREAMS_COUNT; stream++) {
        for (size_t bucket = 0; feed->streams[stream] != NULL && bucket < usage->buckets_count;
             bucket++) {
            spill_abandon(&feed->streams[stream][bucket]);
        }
        mem_free(feed->streams[stream]);
    }
    for (size_t index = 0; feed->partitions != NULL && index < usage->partitions_max; index++) {
        spill_abandon(&feed->partitions[index]);
    }
    mem_free(feed->partitions);
    mem_free(feed->routes);
    metric_table_release(&feed->metrics);
    problems_destroy(feed->problems);
}

/* Places of the metrics in order of names, and room for what condensing counts. */
struct named_metric {
    struct text name;
    uint32_t metric;
};

static int named_compare(const void *left, const void *right) {
    const struct named_metric *left_metric = left;
    const struct named_metric *right_metric = right;
    return text_compare(left_metric->name, right_metric->name);
}

static bool rank_metrics(struct usage *usage, struct err *err) {
    uint32_t count = metric_names_count(usage->names);
    struct named_metric *named = mem_alloc((count + (size_t)1) * sizeof *named);
    usage->metric_ranks = mem_alloc((count + (size_t)1) * sizeof *usage->metric_ranks);
    usage->metered = mem_alloc((count + (size_t)1) * sizeof *usage->metered);
    bool is_done = named != NULL && usage->metric_ranks != NULL && usage->metered != NULL;
    for (uint32_t metric = 0; is_done && metric < count; metric++) {
        named[metric] = (struct named_metric){metric_names_text(usage->names, metric), metric};
    }
    if (is_done) {
        qsort(named, count, sizeof *named, named_compare);
    }
    for (uint32_t rank = 0; is_done && rank < count; rank++) {
        usage->metric_ranks[named[rank].metric] = rank;
    }
    mem_free(named);
    return is_done || err_memory(err, count * sizeof *usage->metered);
}

static bool flush_feed(void *context, size_t job, struct err *err) {
    struct usage *usage = context;
    for (size_t stream = 0; stream < STREAMS_COUNT; stream++) {
        for (size_t bucket = 0; bucket < usage->buckets_count; bucket++) {
            if (!spill_flush(usage->spill, &usage->feeds[job].streams[stream][bucket], err)) {
                return false;
            }
        }
    }
    return true;
}

bool usage_seal(struct usage *usage, struct err *err) {
    if (usage->is_sealed) {
        return true;
    }
    usage->is_sealed = process_parallel(usage->jobs, usage->jobs, flush_feed, usage, err) &&
                       rank_metrics(usage, err);
    return usage->is_sealed;
}

/* What was found bad by each feed, to the caller's collector. */
bool usage_merge_problems(struct usage *usage, struct problems *problems, struct err *err) {
    for (size_t job = 0; job < usage->jobs; job++) {
        if (!problems_merge(problems, usage->feeds[job].problems, 0, err)) {
            return false;
        }
    }
    return true;
}

/* --- creation ----------------------------------------------------------------------------------
 */

/* A secret nobody who writes event ids can know, so that no two of them can be made to collide. It
 * decides nothing that can be seen in a result. */
static bool make_secret(struct usage *usage, struct err *err) {
    struct {
        int64_t now_us;
        int64_t monotonic_us;
        uintptr_t address;
        uint64_t process;
    } seed = {
        .now_us = clock_now(usage->sys).us,
        .monotonic_us = clock_monotonic_us(usage->sys),
        .address = (uintptr_t)usage,
        .process = (uint64_t)process_id(),
    };
    struct digest digest;
    if (!digest_of(&seed, sizeof seed, &digest, err)) {
        return false;
    }
    _Static_assert(sizeof usage->hash_secret >= XXH3_SECRET_SIZE_MIN, "the secret is too short");
    XXH3_generateSecret(usage->hash_secret, sizeof usage->hash_secret, digest.bytes,
                        sizeof digest.bytes);
    return true;
}

static void plan_memory(struct usage *usage, const struct usage_options *options) {
    usage->jobs = options->jobs < 1 ? 1 : options->jobs;
    usage->memory_bytes = options->memory_bytes / usage->jobs;
    if (usage->memory_bytes < MEMORY_OF_JOB_MIN) {
        usage->memory_bytes = MEMORY_OF_JOB_MIN;
    }
    uint64_t block = usage->memory_bytes / 32;
    block = block < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : block;
    usage->block_bytes = (size_t)(block > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : block);
}

static bool usage_init(struct usage *usage, const struct usage_options *options, struct err *err) {
    plan_memory(usage, options);
    usage->names = metric_names_create(err);
    if (usage->names == NULL || !make_secret(usage, err) || !plan_buckets(usage, err) ||
        !usage_orgs_create(usage, err)) {
        return false;
    }
    usage->partitions_max = (uint32_t)(usage->memory_bytes / 4 / usage->chunk_bytes);
    usage->partitions_count = usage->partitions_max < 16 ? usage->partitions_max : 16;
    char path[FILE_PATH_MAX];
    if (!path_format(path, err, "%s/usage.spill", options->scratch_folder) ||
        !spill_create(usage->sys, path, usage->chunk_bytes, &usage->spill, err)) {
        return false;
    }
    usage->feeds = mem_alloc(usage->jobs * sizeof *usage->feeds);
    if (usage->feeds == NULL) {
        return err_memory(err, usage->jobs * sizeof *usage->feeds);
    }
    for (size_t job = 0; job < usage->jobs; job++) {
        if (!feed_init(&usage->feeds[job], usage, err)) {
            return false;
        }
    }
    return true;
}

bool usage_create(const struct sys *sys, const struct catalog *catalog,
                  const struct usage_options *options, struct usage **usage, struct err *err) {
    struct usage *created = mem_alloc(sizeof *created);
    if (created == NULL) {
        return err_memory(err, sizeof *created);
    }
    (void)pthread_mutex_init(&created->conflicts_mutex, NULL);
    (void)pthread_mutex_init(&created->metered_mutex, NULL);
    (void)pthread_mutex_init(&created->misfits_mutex, NULL);
    created->sys = sys;
    created->catalog = catalog;
    created->fingerprints.item_bytes = sizeof(struct dataset_file);
    created->progress = options->progress;
    created->progress_context = options->progress_context;
    if (!path_format(created->folder, err, "%s", options->folder != NULL ? options->folder : "") ||
        !usage_init(created, options, err)) {
        usage_destroy(created);
        return false;
    }
    *usage = created;
    return true;
}

void usage_destroy(struct usage *usage) {
    if (usage == NULL) {
        return;
    }
    for (size_t job = 0; usage->feeds != NULL && job < usage->jobs; job++) {
        feed_release(&usage->feeds[job], usage);
    }
    mem_free(usage->feeds);
    spill_destroy(usage->spill);
    metric_names_destroy(usage->names);
    (void)pthread_mutex_destroy(&usage->conflicts_mutex);
    (void)pthread_mutex_destroy(&usage->metered_mutex);
    (void)pthread_mutex_destroy(&usage->misfits_mutex);
    mem_free(usage->misfits);
    mem_free(usage->buckets);
    mem_free(usage->places);
    usage_orgs_destroy(usage);
    mem_free(usage->files);
    vector_release(&usage->fingerprints);
    mem_free(usage->metered);
    mem_free(usage->metric_ranks);
    mem_free(usage->totals);
    mem_free(usage);
}

void usage_progress(struct usage *usage, uint64_t more_bytes) {
    uint64_t done = atomic_fetch_add(&usage->done_bytes, more_bytes) + more_bytes;
    if (usage->progress != NULL) {
        usage->progress(usage->progress_context, done,
                        usage->total_bytes > done ? usage->total_bytes : done);
    }
}

/* --- totals ------------------------------------------------------------------------------------
 */

static int totals_compare(const void *left, const void *right) {
    const struct usage_metric_totals *left_totals = left;
    const struct usage_metric_totals *right_totals = right;
    return text_compare(left_totals->metric, right_totals->metric);
}

static bool totals_convert(const struct metric_totals *from, struct text metric,
                           struct usage_metric_totals *to, struct err *err) {
    *to = (struct usage_metric_totals){.metric = metric, .events_read = from->events_read};
    bool is_in_range = tally_to_decimal(&from->units_read, &to->units_read);
    for (size_t category = 0; category < USAGE_CATEGORIES_COUNT; category++) {
        to->events[category] = from->events[category];
        is_in_range = is_in_range && tally_to_decimal(&from->units[category], &to->units[category]);
    }
    if (!is_in_range) {
        return err_set(err, ERR_RANGE, "the units of metric '%.*s' add up to more than 38 digits",
                       (int)metric.size_bytes, metric.bytes);
    }
    return true;
}

static void totals_merge(struct metric_totals *into, const struct metric_totals *from) {
    into->events_read += from->events_read;
    tally_merge(&into->units_read, &from->units_read);
    for (size_t category = 0; category < USAGE_CATEGORIES_COUNT; category++) {
        into->events[category] += from->events[category];
        tally_merge(&into->units[category], &from->units[category]);
    }
}

static bool totals_collect(struct usage *usage, struct metric_totals *merged, struct err *err) {
    uint32_t count = metric_names_count(usage->names);
    for (size_t job = 0; job < usage->jobs; job++) {
        const struct metric_table *table = &usage->feeds[job].metrics;
        for (uint32_t entry = 0; entry < table->entries_count; entry++) {
            metric_entry_settle(&table->entries[entry]);
            totals_merge(&merged[table->entries[entry].metric], &table->entries[entry].totals);
        }
    }
    for (uint32_t metric = 0; metric < count; metric++) {
        if (usage->metered != NULL) {
            totals_merge(&merged[metric], &usage->metered[metric]);
        }
        if (!totals_convert(&merged[metric], metric_names_text(usage->names, metric),
                            &usage->totals[metric], err)) {
            return false;
        }
    }
    return true;
}

bool usage_totals(struct usage *usage, const struct usage_metric_totals **totals,
                  size_t *totals_count, struct err *err) {
    uint32_t count = metric_names_count(usage->names);
    mem_free(usage->totals);
    usage->totals = NULL;
    usage->totals = mem_alloc((count + (size_t)1) * sizeof *usage->totals);
    struct metric_totals *merged = mem_alloc((count + (size_t)1) * sizeof *merged);
    bool is_done = usage->totals != NULL && merged != NULL
                       ? totals_collect(usage, merged, err)
                       : err_memory(err, count * (sizeof *usage->totals + sizeof *merged));
    mem_free(merged);
    if (is_done) {
        qsort(usage->totals, count, sizeof *usage->totals, totals_compare);
        *totals = usage->totals;
        *totals_count = count;
    }
    return is_done;
}
