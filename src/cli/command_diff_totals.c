/* diff: what both runs cost and bill, per currency. */
#include "diff.h"

/* A row per currency that any org has, in the order of the currency table. */
struct currency_cost {
    bool is_used;
    struct decimal costs[SIDES_COUNT];
};

static size_t currency_index(const struct currency *currency) {
    size_t index = 0;
    while (currency_at(index) != currency) {
        index++;
    }
    return index;
}

struct total {
    const char *heading;
    const struct table_schema *schema;
    size_t column;
};

static const struct total cost_total = {"cost", &checkpoint_charges, CHARGES_COST};
static const struct total billed_total = {"billed", &checkpoint_records, RECORDS_BILLED};

_Static_assert(CHARGES_ORG_ID == 0 && RECORDS_ORG_ID == 0 && CHARGES_METRIC == 1 &&
                   RECORDS_METRIC == 1,
               "keys stand in the first columns");

static bool add_side(const struct diff *diff, enum side side, const struct total *total,
                     struct currency_cost *sums, struct err *err) {
    struct shard_walk rows = {0};
    struct shard_walk orgs = {0};
    bool is_fine = shard_walk_start(&rows, diff->runs[side], total->schema, err) &&
                   shard_walk_start(&orgs, diff->runs[side], &checkpoint_orgs, err);
    while (is_fine && rows.has_row) {
        struct text org_id = table_get_text(&rows.cursor, CHARGES_ORG_ID);
        struct text metric = table_get_text(&rows.cursor, CHARGES_METRIC);
        bool is_found;
        is_fine = shard_walk_to(&orgs, org_id, &is_found, err);
        const struct currency *currency =
            is_fine && is_found ? currency_find(table_get_text(&orgs.cursor, ORGS_CURRENCY)) : NULL;
        if (currency != NULL && diff_is_wanted(diff, org_id, metric)) {
            struct currency_cost *sum = &sums[currency_index(currency)];
            sum->is_used = true;
            is_fine = decimal_add(sum->costs[side], table_get_decimal(&rows.cursor, total->column),
                                  &sum->costs[side]) ||
                      err_set(err, ERR_RANGE, "the %s of '%s' does not fit", total->heading,
                              currency->code);
        }
        is_fine = is_fine && shard_walk_next(&rows, err);
    }
    shard_walk_close(&rows);
    shard_walk_close(&orgs);
    return is_fine;
}

static bool load_total(const struct diff *diff, const struct total *total,
                       struct currency_cost **sums, struct err *err) {
    *sums = arena_alloc_array(diff->cli->arena, currency_count(), sizeof **sums, err);
    return *sums != NULL && add_side(diff, SIDE_A, total, *sums, err) &&
           add_side(diff, SIDE_B, total, *sums, err);
}

static bool tell_total(const struct diff *diff, const struct total *total,
                       const struct currency_cost *sums, struct err *err) {
    struct console *console = &diff->cli->console;
    if (!console_out(console, err, "\n%-8s %22s %22s %22s\n", total->heading, "A", "B",
                     "difference")) {
        return false;
    }
    for (size_t index = 0; index < currency_count(); index++) {
        const struct currency *currency = currency_at(index);
        char texts[SIDES_COUNT][PRINT_NUMBER_MAX];
        char difference_text[PRINT_NUMBER_MAX];
        struct decimal difference;
        if (!sums[index].is_used) {
            continue;
        }
        if (!decimal_subtract(sums[index].costs[SIDE_B], sums[index].costs[SIDE_A], &difference)) {
            return err_set(err, ERR_RANGE, "the difference in '%s' does not fit", currency->code);
        }
        (void)print_money(sums[index].costs[SIDE_A], currency, texts[SIDE_A]);
        (void)print_money(sums[index].costs[SIDE_B], currency, texts[SIDE_B]);
        (void)print_difference(difference, currency, difference_text);
        if (!console_out(console, err, "%-8s %22s %22s %22s\n", "", texts[SIDE_A], texts[SIDE_B],
                         difference_text)) {
            return false;
        }
    }
    return true;
}

/* Only a revision bills something else than its cost; records without a charge cost nothing. */
static bool totals_differ(const struct currency_cost *costs, const struct currency_cost *billed) {
    for (size_t index = 0; index < currency_count(); index++) {
        for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
            if (decimal_compare(costs[index].costs[side], billed[index].costs[side]) != 0) {
                return true;
            }
        }
    }
    return false;
}

static bool both_have(const struct diff *diff, const struct table_schema *schema) {
    return run_has_table(diff->runs[SIDE_A], schema) && run_has_table(diff->runs[SIDE_B], schema);
}

bool diff_totals(const struct diff *diff, struct err *err) {
    struct currency_cost *costs;
    struct currency_cost *billed;
    if (!both_have(diff, cost_total.schema)) {
        return true;
    }
    if (!load_total(diff, &cost_total, &costs, err) || !tell_total(diff, &cost_total, costs, err)) {
        return false;
    }
    return !both_have(diff, billed_total.schema) ||
           (load_total(diff, &billed_total, &billed, err) &&
            (!totals_differ(costs, billed) || tell_total(diff, &billed_total, billed, err)));
}
