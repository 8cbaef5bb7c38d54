/*
 * Orgs with rows that their plan cannot meter: a set of what it adds up, a row without the key that
 * it counts. The price was another one when they were written, and a ledger keeps its rows: so the
 * org is set aside, and the others are closed.
 */
#include "core/memory.h"
#include "usage_state.h"

static bool is_earlier(const struct catalog_misfit *misfit, const struct catalog_misfit *noted) {
    int order = text_compare(misfit->price->metric, noted->price->metric);
    if (order == 0) {
        order = instant_compare(misfit->at, noted->at);
    }
    return order < 0 || (order == 0 && misfit->is_set && !noted->is_set);
}

bool usage_note_misfit(struct usage *usage, uint32_t rank, const struct catalog_misfit *misfit,
                       struct err *err) {
    size_t size_bytes = usage->catalog->orgs_count * sizeof *usage->misfits;
    (void)pthread_mutex_lock(&usage->misfits_mutex);
    if (usage->misfits == NULL) {
        usage->misfits = mem_alloc(size_bytes);
    }
    bool is_done = usage->misfits != NULL;
    /* the same one is told, whichever connection read it first */
    if (is_done &&
        (usage->misfits[rank].price == NULL || is_earlier(misfit, &usage->misfits[rank]))) {
        usage->misfits[rank] = *misfit;
    }
    (void)pthread_mutex_unlock(&usage->misfits_mutex);
    return is_done || err_memory(err, size_bytes);
}

struct catalog_misfit *usage_take_misfits(struct usage *usage) {
    struct catalog_misfit *misfits = usage->misfits;
    usage->misfits = NULL;
    return misfits;
}
