/*
 * The dataset folder (DESIGN.md section 8): loads the catalog from its small files and copies them
 * into the extract checkpoint.
 *
 * dataset_load reads orgs, plans, prices, tiers, subscriptions, limits, usage_history and
 * invitations, checks them (every bad row goes to problems; the caller stops after it has also read
 * usage and seats, so that all bad rows are told at once) and resolves the catalog. What the
 * checkpoint needs beyond the catalog is kept in the dataset (compactly, or in spill files in
 * scratch_folder) until dataset_write, which is called after catalog_settle and writes orgs, plans,
 * prices, tiers, subscriptions, limits, history, invitations, shard by shard.
 */
#ifndef PERIODCLOSE_SOURCE_DATASET_H
#define PERIODCLOSE_SOURCE_DATASET_H

#include "source/catalog.h"
#include "source/database.h"
#include "table/checkpoint.h"

/*
 * Terms sealed with the revision before (--previous): that run's extract tables, which stay open
 * until dataset_destroy. Orgs rated there are rated with them (plan, prices, limits, cap, currency,
 * calendar), the others with today's. The rest of orgs.csv is today's for all. An org rated there
 * that orgs.csv lacks today is a problem; a period that is no longer the sealed one (another tz
 * database) is ERR_MISMATCH.
 */
struct sealed_terms {
    struct table *const *orgs; /* one per shard */
    struct table *const *limits;
    size_t shards_count;
    struct table *plans;
    struct table *prices;
    struct table *tiers;
};

struct dataset_options {
    const char *folder; /* missing, or no folder: ERR_INPUT */
    struct source_database
        *database;              /* NULL: the folder; else read from there (its connection 0) */
    const char *scratch_folder; /* exists; files in it may be lost */
    struct month month;
    bool has_cutoff;
    struct instant cutoff;
    const struct text *selected_orgs; /* sorted, distinct; none: all. Unknown ones are problems */
    size_t selected_orgs_count;
    const struct sealed_terms *sealed; /* NULL: a first result */
    bool is_overage_off;               /* nobody is billed for overage: overage_enabled is false */
    size_t jobs;                       /* threads that read a folder; 0 is 1 */
    size_t part_bytes; /* of a file: what is worth a thread; 0: CSV_PART_BYTES. Tests set less */
};

struct dataset;

bool dataset_load(const struct sys *sys, const struct dataset_options *options,
                  struct dataset **dataset, struct problems *problems, struct err *err);
void dataset_destroy(struct dataset *dataset); /* NULL is fine */
struct catalog *dataset_catalog(struct dataset *dataset);

/* Sets aside the orgs that have one, by rank, before their usage is read again. Owns misfits. */
void dataset_set_aside(struct dataset *dataset, struct catalog_misfit *misfits);

/* Number of shards: at least 1; the org of rank r is in shard r / CHECKPOINT_SHARD_ORGS. */
size_t dataset_shards_count(const struct dataset *dataset);

/*
 * Writers for one shard (plans, prices, tiers only for shard 0, else NULL), created and committed
 * by the caller. Thread-safe for different shards.
 */
struct dataset_writers {
    struct table_writer *orgs;
    struct table_writer *plans;
    struct table_writer *prices;
    struct table_writer *tiers;
    struct table_writer *subscriptions;
    struct table_writer *limits;
    struct table_writer *history;
    struct table_writer *invitations;
};

bool dataset_write(const struct dataset *dataset, size_t shard_index,
                   const struct dataset_writers *writers, struct err *err);

/* usage.csv and usage*.csv, but not usage_history.csv. */
bool dataset_is_usage_file(const char *name);

/*
 * The folder's files that are read, and their sizes, in order of names, for the manifest's pinned
 * inputs. *files goes back through mem_free. A missing folder, or a folder in place of a file, is
 * ERR_INPUT; missing files are not told here.
 */
struct dataset_file {
    char name[256];
    uint64_t size_bytes;
    bool has_content;
    struct digest content; /* of the file's bytes; how is in fingerprint.h */
};

/* "1234 bytes, 4db96b…", as it is pinned. */
enum { DATASET_FILE_TEXT_MAX = DIGEST_TEXT_MAX + 32 };
void dataset_file_format(const struct dataset_file *file, char text[DATASET_FILE_TEXT_MAX]);

/* The same of one file of a folder. */
bool dataset_fingerprint_file(const struct sys *sys, const char *folder, const char *name,
                              size_t jobs, struct dataset_file *fingerprint, struct err *err);

struct dataset_fingerprint_options {
    size_t jobs;
    /* usage and seats are only listed: usage_fingerprints tells their content once they are read */
    bool is_without_large;
};

bool dataset_fingerprint(const struct sys *sys, const char *folder,
                         const struct dataset_fingerprint_options *options,
                         struct dataset_file **files, size_t *files_count, struct err *err);

#endif
