/*
 * Makes the benchmark dataset, the same bytes every time: 200,000 orgs x 4 metrics x 30 days =
 * 24 million usage rows for 2026-09, graduated tiers, and a million seat assignments.
 *
 * Activity is skewed: of the orgs 1 % have 2,400 rows per metric, 9 % 40, 30 % 6 and 60 % 1;
 * which is which, the day and second of every row and its quantity come from a hash of its number.
 *
 *     generate FOLDER [--order org|random] [--orgs N] [--times N] [--event-ids]
 *
 * --order org: within each day in org order; random: a permutation of all rows. --times N: N times
 * the rows for the same orgs. --event-ids: every row has a 36-character event_id, and every 24th
 * row comes once more, DUPLICATE_DELAY repeats later, as a retry would.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    METRICS_COUNT = 4,
    DAYS_COUNT = 30,
    CLASSES_COUNT = 4,
    DAY_SECONDS = 86400,
    SEATS_PER_ORG = 5,
    DUPLICATE_EVERY = 24,
    DUPLICATE_DELAY = 4096,
};

/* Per thousand of the orgs, and rows per (org, metric). */
static const unsigned class_share[CLASSES_COUNT] = {10, 90, 300, 600};
static const unsigned class_rows[CLASSES_COUNT] = {2400, 40, 6, 1};

static const char *const metrics[METRICS_COUNT] = {"api_calls", "playbook_runs", "tokens",
                                                   "transfer_gb"};

struct plan {
    const char *folder;
    bool is_random;
    bool has_event_ids;
    uint64_t orgs_count;
    uint64_t times;
    uint64_t class_orgs[CLASSES_COUNT];
    uint64_t rows_count;
};

static uint64_t mix(uint64_t value) {
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

static void fail(const char *what) {
    fprintf(stderr, "generate: %s: %s\n", what, strerror(errno));
    exit(1);
}

static FILE *create(const struct plan *plan, const char *name) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", plan->folder, name) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        fail(name);
    }
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fail(path);
    }
    (void)setvbuf(file, NULL, _IOFBF, 1 << 20);
    return file;
}

static void finish(FILE *file, const char *name) {
    if (fclose(file) != 0) {
        fail(name);
    }
}

/* The org that has place i among all orgs ordered by class: a permutation, so that active orgs lie
 * anywhere in org_id order. The multiplier has no factor in common with the number of orgs. */
static uint64_t org_at(const struct plan *plan, uint64_t place) {
    return (place * UINT64_C(1000003) + 12345) % plan->orgs_count;
}

struct row {
    uint64_t number; /* of the series and of the row in it, for hashes */
    uint64_t org;
    unsigned metric;
};

/* Row `index` of all rows: class, then org, then metric, then number in the series. */
static struct row row_at(const struct plan *plan, uint64_t index) {
    uint64_t first_place = 0;
    for (unsigned class = 0; class < CLASSES_COUNT; class ++) {
        uint64_t series_rows = class_rows[class] * plan->times;
        uint64_t rows = plan->class_orgs[class] * METRICS_COUNT * series_rows;
        if (index < rows) {
            uint64_t series = index / series_rows;
            return (struct row){.number = (first_place * METRICS_COUNT + series) << 20 |
                                          index % series_rows,
                                .org = org_at(plan, first_place + series / METRICS_COUNT),
                                .metric = (unsigned)(series % METRICS_COUNT)};
        }
        index -= rows;
        first_place += plan->class_orgs[class];
    }
    abort();
}

static unsigned row_day(const struct row *row) {
    return (unsigned)(mix(row->number) % DAYS_COUNT);
}

static void put_row(FILE *file, const struct plan *plan, const struct row *row) {
    uint64_t hash = mix(row->number * 2 + 1);
    unsigned second = (unsigned)(hash % DAY_SECONDS);
    unsigned whole = (unsigned)((hash >> 20) % 5000);
    unsigned hundredths = (unsigned)((hash >> 40) % 100);
    char quantity[32];
    if (row->metric == 3) {
        (void)snprintf(quantity, sizeof quantity, "%u.%02u", whole, hundredths);
    } else {
        (void)snprintf(quantity, sizeof quantity, "%u", whole + 1);
    }
    fprintf(file, "org_%07llu,%s,%s,2026-09-%02uT%02u:%02u:%02uZ", (unsigned long long)row->org,
            metrics[row->metric], quantity, row_day(row) + 1, second / 3600, second / 60 % 60,
            second % 60);
    if (plan->has_event_ids) {
        uint64_t first = mix(row->number ^ UINT64_C(0x5bd1e995));
        uint64_t second_half = mix(first);
        fprintf(file, ",%08x-%04x-%04x-%04x-%012llx", (unsigned)(first >> 32),
                (unsigned)(first >> 16 & 0xffff), (unsigned)(first & 0xffff),
                (unsigned)(second_half >> 48),
                (unsigned long long)(second_half & UINT64_C(0xffffffffffff)));
    }
    fputc('\n', file);
}

/* Rows that come once more, waiting for their turn. */
struct repeats {
    struct row rows[DUPLICATE_DELAY];
    uint64_t count;
};

static void put_row_and_repeat(FILE *file, const struct plan *plan, struct repeats *repeats,
                               const struct row *row) {
    put_row(file, plan, row);
    if (plan->has_event_ids && mix(row->number + 7) % DUPLICATE_EVERY == 0) {
        struct row *slot = &repeats->rows[repeats->count % DUPLICATE_DELAY];
        if (repeats->count >= DUPLICATE_DELAY) {
            put_row(file, plan, slot);
        }
        *slot = *row;
        repeats->count++;
    }
}

static void put_last_repeats(FILE *file, const struct plan *plan, const struct repeats *repeats) {
    uint64_t waiting = repeats->count < DUPLICATE_DELAY ? repeats->count : DUPLICATE_DELAY;
    for (uint64_t place = 0; place < waiting; place++) {
        put_row(file, plan, &repeats->rows[place]);
    }
}

/* An odd multiplier modulo a power of two above the number of rows visits each once. */
static void write_random(FILE *file, const struct plan *plan, struct repeats *repeats) {
    uint64_t mask = 1;
    while (mask < plan->rows_count) {
        mask <<= 1;
    }
    mask--;
    uint64_t place = 0;
    for (uint64_t step = 0; step <= mask; step++) {
        place = (place * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407)) & mask;
        uint64_t index = place ^ (place >> 13 & mask);
        if (index < plan->rows_count) {
            struct row row = row_at(plan, index);
            put_row_and_repeat(file, plan, repeats, &row);
        }
    }
}

static int compare_numbers(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Per day: the rows of the day, sorted by org and metric. */
static void write_org_order(FILE *file, const struct plan *plan, struct repeats *repeats) {
    uint64_t *keys = malloc(plan->rows_count * sizeof *keys);
    size_t counts[DAYS_COUNT + 1] = {0};
    if (keys == NULL) {
        fail("memory");
    }
    for (uint64_t index = 0; index < plan->rows_count; index++) {
        struct row row = row_at(plan, index);
        counts[row_day(&row) + 1]++;
    }
    for (unsigned day = 0; day < DAYS_COUNT; day++) {
        counts[day + 1] += counts[day];
    }
    size_t filled[DAYS_COUNT];
    memcpy(filled, counts, sizeof filled);
    for (uint64_t index = 0; index < plan->rows_count; index++) {
        struct row row = row_at(plan, index);
        /* org 24 bits, metric 2 bits, index 38 bits: sorts by org, metric, and finds the row */
        keys[filled[row_day(&row)]++] = row.org << 40 | (uint64_t)row.metric << 38 | index;
    }
    for (unsigned day = 0; day < DAYS_COUNT; day++) {
        qsort(keys + counts[day], counts[day + 1] - counts[day], sizeof *keys, compare_numbers);
        for (size_t place = counts[day]; place < counts[day + 1]; place++) {
            struct row row = row_at(plan, keys[place] & ((UINT64_C(1) << 38) - 1));
            put_row_and_repeat(file, plan, repeats, &row);
        }
    }
    free(keys);
}

/* Half of the seats are given back, in a month after the one they were assigned in. */
static void put_seat(FILE *seats, uint64_t org, unsigned seat, uint64_t hash) {
    unsigned assigned_month = (unsigned)(hash % 9) + 1;
    fprintf(seats, "org_%07llu,user_%u,member,2026-%02u-%02uT09:00:00Z,", (unsigned long long)org,
            seat, assigned_month, (unsigned)(hash >> 8) % 28 + 1);
    if (hash >> 16 & 1) {
        unsigned first_month = assigned_month < 9 ? 9 : 10;
        fprintf(seats, "2026-%02u-%02uT18:30:00Z", (unsigned)(hash >> 20) % 2 + first_month,
                (unsigned)(hash >> 24) % 28 + 2);
    }
    fputc('\n', seats);
}

static void write_small_files(const struct plan *plan) {
    FILE *orgs = create(plan, "orgs.csv");
    FILE *subscriptions = create(plan, "subscriptions.csv");
    FILE *seats = create(plan, "seats.csv");
    fputs("org_id,name,overage_cap\n", orgs);
    fputs("org_id,plan_id\n", subscriptions);
    fputs("org_id,user_id,role,assigned_at,revoked_at\n", seats);
    for (uint64_t org = 0; org < plan->orgs_count; org++) {
        uint64_t hash = mix(org ^ UINT64_C(0xabcdef));
        fprintf(orgs, "org_%07llu,Organisation %llu,%s\n", (unsigned long long)org,
                (unsigned long long)org, hash % 20 == 0 ? "250" : "");
        fprintf(subscriptions, "org_%07llu,%s\n", (unsigned long long)org,
                hash % 3 == 0 ? "team" : "pro");
        for (unsigned seat = 0; seat < SEATS_PER_ORG; seat++) {
            put_seat(seats, org, seat, mix(hash + seat));
        }
    }
    finish(orgs, "orgs.csv");
    finish(subscriptions, "subscriptions.csv");
    finish(seats, "seats.csv");
}

static void write_prices(const struct plan *plan) {
    static const char *const plans[] = {"pro", "team"};
    FILE *file = create(plan, "plans.csv");
    fputs("plan_id,name,currency\npro,Pro,usd\nteam,Team,usd\n", file);
    finish(file, "plans.csv");
    FILE *prices = create(plan, "prices.csv");
    FILE *tiers = create(plan, "tiers.csv");
    fputs("plan_id,metric,aggregation,model,included,unit_price\n", prices);
    fputs("plan_id,metric,up_to,unit_price,flat_price\n", tiers);
    for (unsigned which = 0; which < 2; which++) {
        for (unsigned metric = 0; metric < METRICS_COUNT; metric++) {
            unsigned included = (which + 1) * (metric + 1) * 10000;
            if (metric == 1) {
                fprintf(prices, "%s,%s,sum,per_unit,%u,0.0025\n", plans[which], metrics[metric],
                        included);
                continue;
            }
            fprintf(prices, "%s,%s,sum,graduated,%u,\n", plans[which], metrics[metric], included);
            fprintf(tiers, "%s,%s,10000,0.0015,0\n%s,%s,100000,0.00125,0.5\n%s,%s,,0.000975,0\n",
                    plans[which], metrics[metric], plans[which], metrics[metric], plans[which],
                    metrics[metric]);
        }
        fprintf(prices, "%s,seats,last,per_unit,4,12.5\n", plans[which]);
    }
    finish(prices, "prices.csv");
    finish(tiers, "tiers.csv");
}

static uint64_t number_option(int argc, char **argv, const char *name, uint64_t fallback) {
    for (int index = 2; index + 1 < argc; index++) {
        if (strcmp(argv[index], name) == 0) {
            return strtoull(argv[index + 1], NULL, 10);
        }
    }
    return fallback;
}

static bool has_word(int argc, char **argv, const char *word) {
    for (int index = 2; index < argc; index++) {
        if (strcmp(argv[index], word) == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fputs("usage: generate FOLDER [--order org|random] [--orgs N] [--times N] [--event-ids]\n",
              stderr);
        return 2;
    }
    struct plan plan = {
        .folder = argv[1],
        .is_random = has_word(argc, argv, "random"),
        .has_event_ids = has_word(argc, argv, "--event-ids"),
        .orgs_count = number_option(argc, argv, "--orgs", 200000),
        .times = number_option(argc, argv, "--times", 1),
    };
    for (unsigned class = 0; class < CLASSES_COUNT; class ++) {
        plan.class_orgs[class] = plan.orgs_count * class_share[class] / 1000;
        plan.rows_count += plan.class_orgs[class] * METRICS_COUNT * class_rows[class] * plan.times;
    }
    write_small_files(&plan);
    write_prices(&plan);
    static struct repeats repeats;
    FILE *usage = create(&plan, "usage.csv");
    fprintf(usage, "org_id,metric,quantity,occurred_at%s\n", plan.has_event_ids ? ",event_id" : "");
    if (plan.is_random) {
        write_random(usage, &plan, &repeats);
    } else {
        write_org_order(usage, &plan, &repeats);
    }
    put_last_repeats(usage, &plan, &repeats);
    finish(usage, "usage.csv");
    return 0;
}
