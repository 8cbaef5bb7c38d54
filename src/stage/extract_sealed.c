/* extract: the tables of the revision before, by which a revision is rated. */
#include "extract_sealed.h"

#include "core/memory.h"
#include "source/recorded.h"
#include "stage/stages.h"

void sealed_close(struct sealed_tables *sealed) {
    for (size_t index = 0; index < sealed->terms.shards_count; index++) {
        if (sealed->orgs != NULL) {
            table_close(sealed->orgs[index]);
        }
        if (sealed->limits != NULL) {
            table_close(sealed->limits[index]);
        }
    }
    mem_free(sealed->orgs);
    mem_free(sealed->limits);
    table_close(sealed->terms.plans);
    table_close(sealed->terms.prices);
    table_close(sealed->terms.tiers);
}

bool sealed_open(struct sealed_tables *sealed, struct run *previous, struct err *err) {
    size_t shards_count = run_shards_count(previous);
    sealed->orgs = mem_alloc(shards_count * sizeof *sealed->orgs);
    sealed->limits = mem_alloc(shards_count * sizeof *sealed->limits);
    if (sealed->orgs == NULL || sealed->limits == NULL) {
        return err_memory(err, shards_count * sizeof *sealed->orgs);
    }
    sealed->terms.shards_count = shards_count;
    sealed->terms.orgs = sealed->orgs;
    sealed->terms.limits = sealed->limits;
    for (size_t index = 0; index < shards_count; index++) {
        if (!run_input_open(previous, &checkpoint_orgs, index, &sealed->orgs[index], err) ||
            !run_input_open(previous, &checkpoint_limits, index, &sealed->limits[index], err)) {
            return false;
        }
    }
    return run_input_open(previous, &checkpoint_plans, 0, &sealed->terms.plans, err) &&
           run_input_open(previous, &checkpoint_prices, 0, &sealed->terms.prices, err) &&
           run_input_open(previous, &checkpoint_tiers, 0, &sealed->terms.tiers, err);
}

bool sealed_read(struct sealed_tables *sealed, struct run *run, struct db *db, struct err *err) {
    const struct sys *sys = run_sys(run);
    const char *folder = run_scratch_path(run);
    sealed->orgs = mem_alloc(sizeof *sealed->orgs);
    sealed->limits = mem_alloc(sizeof *sealed->limits);
    if (sealed->orgs == NULL || sealed->limits == NULL) {
        return err_memory(err, sizeof *sealed->orgs);
    }
    sealed->terms.shards_count = 1;
    sealed->terms.orgs = sealed->orgs;
    sealed->terms.limits = sealed->limits;
    if (!recorded_read(db, sys, folder, &recorded_orgs, &sealed->orgs[0], err)) {
        return false;
    }
    return table_rows_count(sealed->orgs[0]) == 0 ||
           (recorded_read(db, sys, folder, &recorded_limits, &sealed->limits[0], err) &&
            recorded_read(db, sys, folder, &recorded_plans, &sealed->terms.plans, err) &&
            recorded_read(db, sys, folder, &recorded_prices, &sealed->terms.prices, err) &&
            recorded_read(db, sys, folder, &recorded_tiers, &sealed->terms.tiers, err));
}
