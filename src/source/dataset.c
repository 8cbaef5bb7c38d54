/* The dataset folder: opening it, the order of loading, and what it owns. */
#include "source/dataset.h"

#include <assert.h>

#include "core/memory.h"
#include "dataset_internal.h"

bool dataset_check_folder(const struct sys *sys, const char *folder, struct err *err) {
    enum path_kind kind;
    if (!path_kind_of_input(sys, folder, &kind, err)) {
        return false;
    }
    if (kind == PATH_DIRECTORY) {
        return true;
    }
    (void)err_set(err, ERR_INPUT, "dataset '%.700s' is %s", folder,
                  kind == PATH_MISSING ? "not there" : "not a folder");
    return err_hint(err, "name the folder that holds orgs.csv, plans.csv, prices.csv and "
                         "subscriptions.csv");
}

static bool find_seats_file(struct dataset *dataset, struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    if (dataset->options.database != NULL) {
        dataset->catalog.has_seats_file = source_database_has_seats(dataset->options.database);
        return true;
    }
    if (!path_format(path, err, "%s/seats.csv", dataset->options.folder) ||
        !path_kind_of_input(dataset->sys, path, &kind, err)) {
        return false;
    }
    dataset->catalog.has_seats_file = kind != PATH_MISSING;
    return true;
}

static bool open_sealed(struct dataset *dataset, struct err *err) {
    const struct sealed_terms *sealed = dataset->options.sealed;
    if (sealed == NULL) {
        return true;
    }
    if (!terms_load(&dataset->sealed_terms, sealed->plans, sealed->prices, sealed->tiers,
                    dataset->arena, err)) {
        return false;
    }
    dataset->sealed_plans = arena_alloc_array(dataset->arena, dataset->sealed_terms.plans_count,
                                              sizeof(struct catalog_plan *), err);
    return dataset->sealed_plans != NULL;
}

static bool open_scratch(struct dataset *dataset, struct err *err) {
    char path[FILE_PATH_MAX];
    return path_format(path, err, "%s/dataset.spill", dataset->options.scratch_folder) &&
           spill_create(dataset->sys, path, SPILL_CHUNK_BYTES_MAX, &dataset->spill, err);
}

static bool load_files(struct dataset *dataset, struct err *err) {
    if (!dataset_load_plans(dataset, err) || !dataset_load_orgs(dataset, err) ||
        !dataset_finish_plans(dataset, err) || !dataset_load_subscriptions(dataset, err) ||
        !dataset_load_history(dataset, err) || !dataset_load_limits(dataset, err) ||
        !dataset_load_invitations(dataset, err)) {
        return false;
    }
    return dataset_load_misfits(dataset, err) && dataset_judge_orgs(dataset, err);
}

bool dataset_load(const struct sys *sys, const struct dataset_options *options,
                  struct dataset **dataset, struct problems *problems, struct err *err) {
    *dataset = NULL;
    if (options->database == NULL && !dataset_check_folder(sys, options->folder, err)) {
        return false;
    }
    struct dataset *loaded = mem_alloc(sizeof *loaded);
    if (loaded == NULL) {
        return err_memory(err, sizeof *loaded);
    }
    loaded->sys = sys;
    loaded->options = *options;
    loaded->problems = problems;
    loaded->zones.item_bytes = sizeof(struct dataset_zone);
    (void)pthread_mutex_init(&loaded->zones_mutex, NULL);
    loaded->catalog.month = options->month;
    loaded->catalog.has_cutoff = options->has_cutoff;
    loaded->catalog.cutoff = options->cutoff;
    loaded->arena = arena_create(err);
    if (loaded->arena == NULL || !open_scratch(loaded, err) || !find_seats_file(loaded, err) ||
        !open_sealed(loaded, err) || !load_files(loaded, err)) {
        dataset_destroy(loaded);
        return false;
    }
    vector_release(&loaded->zones);
    loaded->problems = NULL;
    *dataset = loaded;
    return true;
}

void dataset_destroy(struct dataset *dataset) {
    if (dataset == NULL) {
        return;
    }
    for (size_t file = 0; file < DATASET_FILES_COUNT; file++) {
        for (size_t shard = 0; dataset->streams[file] != NULL && shard < dataset->shards_count;
             shard++) {
            spill_abandon(&dataset->streams[file][shard]);
        }
    }
    spill_destroy(dataset->spill);
    catalog_index_release(&dataset->catalog);
    vector_release(&dataset->zones);
    mem_free(dataset->catalog.orgs);
    mem_free(dataset->extras);
    mem_free(dataset->not_selected);
    mem_free(dataset->openings);
    mem_free(dataset->misfits);
    arena_destroy(dataset->arena);
    (void)pthread_mutex_destroy(&dataset->zones_mutex);
    mem_free(dataset);
}

struct catalog *dataset_catalog(struct dataset *dataset) {
    return &dataset->catalog;
}

void dataset_set_aside(struct dataset *dataset, struct catalog_misfit *misfits) {
    for (uint32_t rank = 0; rank < dataset->catalog.orgs_count; rank++) {
        struct catalog_org *org = &dataset->catalog.orgs[rank];
        if (misfits[rank].price != NULL) {
            org->reason = ORG_REASON_KIND_MISMATCH;
            org->disposition = (uint8_t)org_reason_table[ORG_REASON_KIND_MISMATCH].disposition;
        }
    }
    mem_free(dataset->misfits);
    dataset->misfits = misfits;
}

size_t dataset_shards_count(const struct dataset *dataset) {
    size_t count =
        (dataset->catalog.orgs_count + CHECKPOINT_SHARD_ORGS - 1) / CHECKPOINT_SHARD_ORGS;
    assert(count <= dataset->shards_count); /* which was made for every row of orgs.csv */
    return count > 0 ? count : 1;
}
