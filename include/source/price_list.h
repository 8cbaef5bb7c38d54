/*
 * Price list: prices.csv, tiers.csv and perhaps plans.csv of a folder, without the rest of a
 * dataset: for a what-if. Read and judged by the code that reads them for a run.
 */
#ifndef PERIODCLOSE_SOURCE_PRICE_LIST_H
#define PERIODCLOSE_SOURCE_PRICE_LIST_H

#include "source/catalog.h"
#include "table/checkpoint.h"

struct dataset;

struct price_list {
    struct dataset *dataset;          /* owns everything */
    const struct catalog_plan *plans; /* sorted by plan_id */
    uint32_t plans_count;
};

/*
 * Bad rows go to problems; the caller checks them before it uses the list. sealed_plans is the
 * table of plans of the run that is replayed: it stands in for a plans.csv that is not there.
 */
bool price_list_load(const struct sys *sys, const char *folder, const struct table *sealed_plans,
                     struct price_list *list, struct problems *problems, struct err *err);
void price_list_release(struct price_list *list); /* zeroed is fine */

/* Rows of one plan, with its prices and tiers, under plan->terms. */
struct price_list_writers {
    struct table_writer *plans;
    struct table_writer *prices;
    struct table_writer *tiers;
};

bool price_list_write(const struct catalog_plan *plan, const struct price_list_writers *writers,
                      struct err *err);

#endif
