/* diff: what both runs cost, per currency. */
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

static bool add_side(const struct diff *diff, enum side side, struct currency_cost *sums,
                     struct err *err) {
    struct shard_walk charges = {0};
    struct shard_walk orgs = {0};
    bool is_fine = shard_walk_start(&charges, diff->runs[side], &checkpoint_charges, err) &&
                   shard_walk_start(&orgs, diff->runs[side], &checkpoint_orgs, err);
    while (is_fine && charges.has_row) {
        struct text org_id = table_get_text(&charges.cursor, CHARGES_ORG_ID);
        struct text metric = table_get_text(&charges.cursor, CHARGES_METRIC);
        bool is_found;
        is_fine = shard_walk_to(&orgs, org_id, &is_found, err);
        const struct currency *currency =
            is_fine && is_found ? currency_find(table_get_text(&orgs.cursor, ORGS_CURRENCY)) : NULL;
        if (currency != NULL && diff_is_wanted(diff, org_id, metric)) {
            struct currency_cost *sum = &sums[currency_index(currency)];
            sum->is_used = true;
            is_fine =
                decimal_add(sum->costs[side], table_get_decimal(&charges.cursor, CHARGES_COST),
                            &sum->costs[side]) ||
                err_set(err, ERR_RANGE, "the cost of '%s' does not fit", currency->code);
        }
        is_fine = is_fine && shard_walk_next(&charges, err);
    }
    shard_walk_close(&charges);
    shard_walk_close(&orgs);
    return is_fine;
}

bool diff_totals(const struct diff *diff, struct err *err) {
    struct console *console = &diff->cli->console;
    struct currency_cost *sums =
        arena_alloc_array(diff->cli->arena, currency_count(), sizeof *sums, err);
    if (sums == NULL) {
        return false;
    }
    if (!run_has_table(diff->runs[SIDE_A], &checkpoint_charges) ||
        !run_has_table(diff->runs[SIDE_B], &checkpoint_charges)) {
        return true;
    }
    if (!add_side(diff, SIDE_A, sums, err) || !add_side(diff, SIDE_B, sums, err) ||
        !console_out(console, err, "\n%-8s %22s %22s %22s\n", "cost", "A", "B", "difference")) {
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
