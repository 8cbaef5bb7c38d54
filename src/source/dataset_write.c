/* From the catalog and the streams of a shard to the tables of the checkpoint. */
#include <assert.h>

#include "dataset_judge.h"
#include "source/price_list.h"

/* --- plans, prices, tiers: not sharded -------------------------------------------------------- */

static bool write_plans(const struct catalog *catalog, const struct dataset_writers *writers,
                        struct err *err) {
    const struct price_list_writers of_plans = {
        .plans = writers->plans, .prices = writers->prices, .tiers = writers->tiers};
    for (uint32_t index = 0; index < catalog->plans_count; index++) {
        if (!price_list_write(&catalog->plans[index], &of_plans, err)) {
            return false;
        }
    }
    return true;
}

/* --- rows copied from a stream ---------------------------------------------------------------- */

static bool write_copies(const struct dataset *dataset, enum dataset_file_number file,
                         size_t shard_index, size_t org_column, struct table_writer *writer,
                         struct err *err) {
    struct stream_walk walk;
    bool is_done = stream_walk_open(&walk, dataset, file, shard_index, err);
    while (is_done && walk.has_row) {
        struct field fields[CSV_COLUMNS_MAX];
        assert(walk.rank < dataset->catalog.orgs_count);
        columns_unpack(&dataset_files[file], walk.payload, fields);
        table_put_text(writer, org_column, dataset->catalog.orgs[walk.rank].org_id);
        columns_put(&dataset_files[file], fields, writer);
        is_done = table_end_row(writer, err) && stream_walk_step(&walk, err);
    }
    stream_walk_close(&walk);
    return is_done;
}

/* --- orgs and their subscriptions, side by side ------------------------------------------------
 */

struct orgs_writing {
    const struct dataset *dataset;
    const struct dataset_writers *writers;
    struct stream_walk orgs;
    struct stream_walk subscriptions;
    struct vector org_rows; /* of struct subscription */
    struct buffer detail;
};

static bool write_subscriptions(struct orgs_writing *writing, uint32_t rank, struct err *err) {
    struct table_writer *writer = writing->writers->subscriptions;
    struct stream_walk *walk = &writing->subscriptions;
    writing->org_rows.count = 0;
    while (walk->has_row && walk->rank == rank) {
        struct field fields[SUBSCRIPTION_FIELDS_COUNT];
        struct subscription *added = vector_add(&writing->org_rows, err);
        if (added == NULL) {
            return false;
        }
        subscription_unpack(walk->payload, added, fields);
        table_put_text(writer, SUBSCRIPTIONS_ORG_ID, writing->dataset->catalog.orgs[rank].org_id);
        columns_put(&dataset_files[DATASET_SUBSCRIPTIONS], fields, writer);
        if (!table_end_row(writer, err) || !stream_walk_step(walk, err)) {
            return false;
        }
    }
    return true;
}

/* Days are counted by their dates: a date that the zone skipped is one of them, without time. */
static int64_t count_dates(const struct calendar *calendar) {
    return (int64_t)calendar->dates[calendar->days_count - 1] - calendar->dates[0] + 1;
}

static void put_calendar(struct table_writer *writer, const struct catalog_calendar *calendar) {
    table_put_instant(writer, ORGS_PERIOD_START, calendar_start(&calendar->calendar));
    table_put_instant(writer, ORGS_PERIOD_END, calendar_end(&calendar->calendar));
    table_put_date(writer, ORGS_FIRST_DATE, calendar->calendar.dates[0]);
    table_put_int64(writer, ORGS_DAYS, count_dates(&calendar->calendar));
    table_put_int64(writer, ORGS_NEXT_DAYS, (int64_t)calendar->next_days_count);
}

/* Days of the period with subscribed time in them. Both lists ascend. */
static int64_t count_subscribed_days(const struct catalog_org *org) {
    const struct calendar *calendar = &org->calendar->calendar;
    int64_t days_count = 0;
    uint32_t next = 0;
    for (size_t day = 0; day < calendar->days_count; day++) {
        while (next < org->subscribed_count &&
               org->subscribed[next].until.us <= calendar->starts_us[day]) {
            next++;
        }
        bool has_time = next < org->subscribed_count &&
                        org->subscribed[next].from.us < calendar->starts_us[day + 1];
        days_count += has_time ? 1 : 0;
    }
    return days_count;
}

static bool write_org(struct orgs_writing *writing, uint32_t rank, struct err *err) {
    const struct catalog_org *org = &writing->dataset->catalog.orgs[rank];
    struct table_writer *writer = writing->writers->orgs;
    struct field fields[ORG_FIELDS_COUNT];
    assert(writing->orgs.has_row && writing->orgs.rank == rank);
    columns_unpack(&dataset_files[DATASET_ORGS], writing->orgs.payload, fields);
    struct subscription_end end = subscriptions_find_end(
        writing->org_rows.items, writing->org_rows.count, *calendar_period(org->calendar));
    if (!dataset_format_detail(writing->dataset, rank, &end, &writing->detail, err)) {
        return false;
    }
    table_put_text(writer, ORGS_ORG_ID, org->org_id);
    columns_put(&dataset_files[DATASET_ORGS], fields, writer);
    put_calendar(writer, org->calendar);
    table_put_int64(writer, ORGS_SUBSCRIBED_DAYS, count_subscribed_days(org));
    if (org->plan != NULL) {
        table_put_text(writer, ORGS_PLAN_ID, org->plan->plan_id);
    }
    table_put_int64(writer, ORGS_TERMS, org->plan != NULL ? org->plan->terms : 0);
    table_put_text(writer, ORGS_DISPOSITION, text_from(org_disposition_names[org->disposition]));
    if (org->reason != ORG_REASON_NONE) {
        table_put_text(writer, ORGS_REASON, text_from(org_reason_table[org->reason].name));
        table_put_text(writer, ORGS_DETAIL, buffer_text(&writing->detail));
    }
    return table_end_row(writer, err) && stream_walk_step(&writing->orgs, err);
}

static bool write_orgs(const struct dataset *dataset, size_t shard_index,
                       const struct dataset_writers *writers, struct err *err) {
    struct orgs_writing writing = {.dataset = dataset,
                                   .writers = writers,
                                   .orgs = {.reader = SPILL_READER_CLOSED},
                                   .subscriptions = {.reader = SPILL_READER_CLOSED},
                                   .org_rows = {.item_bytes = sizeof(struct subscription)}};
    uint64_t first = (uint64_t)shard_index * CHECKPOINT_SHARD_ORGS;
    uint64_t end = first + CHECKPOINT_SHARD_ORGS;
    end = end < dataset->catalog.orgs_count ? end : dataset->catalog.orgs_count;
    bool is_done =
        stream_walk_open(&writing.orgs, dataset, DATASET_ORGS, shard_index, err) &&
        stream_walk_open(&writing.subscriptions, dataset, DATASET_SUBSCRIPTIONS, shard_index, err);
    for (uint64_t rank = first; is_done && rank < end; rank++) {
        is_done = write_subscriptions(&writing, (uint32_t)rank, err) &&
                  write_org(&writing, (uint32_t)rank, err);
    }
    stream_walk_close(&writing.orgs);
    stream_walk_close(&writing.subscriptions);
    vector_release(&writing.org_rows);
    buffer_release(&writing.detail);
    return is_done;
}

bool dataset_write(const struct dataset *dataset, size_t shard_index,
                   const struct dataset_writers *writers, struct err *err) {
    assert(shard_index < dataset_shards_count(dataset));
    if (shard_index == 0 && !write_plans(&dataset->catalog, writers, err)) {
        return false;
    }
    return write_orgs(dataset, shard_index, writers, err) &&
           write_copies(dataset, DATASET_LIMITS, shard_index, LIMITS_ORG_ID, writers->limits,
                        err) &&
           write_copies(dataset, DATASET_HISTORY, shard_index, HISTORY_ORG_ID, writers->history,
                        err) &&
           write_copies(dataset, DATASET_INVITATIONS, shard_index, INVITATIONS_ORG_ID,
                        writers->invitations, err);
}
