/*
 * The sums over a finished run that a person is told: what became of its orgs, amounts per
 * currency, and the largest costs.
 */
#ifndef PERIODCLOSE_CLI_CLOSING_SUMMARY_H
#define PERIODCLOSE_CLI_CLOSING_SUMMARY_H

#include "core/money.h"
#include "run/run.h"

enum { LARGEST_MAX = 10, CURRENCIES_MAX = 64, NAME_SHOWN_MAX = 32 };

struct largest {
    char org_id[NAME_SHOWN_MAX + 4];
    char metric[NAME_SHOWN_MAX + 4];
    struct decimal overage;
    struct decimal cost;
};

/* Amounts of different currencies are not compared: each has its own largest. */
struct currency_sums {
    const struct currency *currency;
    struct decimal cost;
    struct decimal billed;
    struct decimal held;
    struct decimal disabled;
    int64_t records;
    struct largest largest[LARGEST_MAX];
    size_t largest_count;
};

struct summary {
    uint64_t rated;
    uint64_t set_aside;
    uint64_t listed;
    uint64_t held;             /* records */
    bool is_emitted;           /* items tell what is held now */
    uint64_t open;             /* orgs whose period is not over at the cutoff */
    struct instant open_until; /* when the last of them is */
    struct currency_sums currencies[CURRENCIES_MAX];
    size_t currencies_count;
};

/*
 * Adds up orgs, charges and records of all shards; stage record is done. summary is zeroed but for
 * is_emitted. The same with any number of jobs.
 */
bool summary_load(struct summary *summary, struct run *run, size_t jobs, struct err *err);

#endif
