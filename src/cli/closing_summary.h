/*
 * The sums over a finished run that a person is told: what became of its orgs, amounts per
 * currency, and the largest costs.
 */
#ifndef PERIODCLOSE_CLI_CLOSING_SUMMARY_H
#define PERIODCLOSE_CLI_CLOSING_SUMMARY_H

#include "cli/cli.h"
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
    struct currency_sums currencies[CURRENCIES_MAX]; /* by code, once loaded */
    size_t currencies_count;
};

/*
 * Adds up orgs, charges and records of all shards; stage record is done. summary is zeroed but for
 * is_emitted. The same with any number of jobs.
 */
bool summary_load(struct summary *summary, struct run *run, size_t jobs, struct err *err);

/*
 * What a person is told after a close: orgs, events, cost per currency, the ten largest, where the
 * reports are. Sets cli->status to 4 when orgs are set aside or records held. To stdout. Of a run
 * that stopped before record, which has no sums, where it stopped.
 */
bool closing_tell(struct cli *cli, struct run *run, const struct summary *summary, struct err *err);

#endif
