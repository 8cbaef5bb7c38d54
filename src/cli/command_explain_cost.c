/* explain: limit, overage, price, rounding, and the org's cap. */
#include <stdio.h>

#include "core/wide.h"
#include "explain.h"

/* --- limit and overage --------------------------------------------------------------------------
 */

static bool say_limit(const struct explanation *explanation, const struct explain_metric *metric,
                      struct err *err) {
    char limit[PRINT_NUMBER_MAX];
    char included[PRINT_NUMBER_MAX];
    (void)print_decimal(metric->charge.limit, limit);
    (void)print_decimal(metric->price->price.included, included);
    return metric->limits.has_soft_limit
               ? explain_say(explanation, err, "limit",
                             "%s: the org's own soft limit (the plan includes %s)", limit, included)
               : explain_say(explanation, err, "limit", "%s: included in the plan", limit);
}

static bool say_hard_limit(const struct explanation *explanation,
                           const struct explain_metric *metric, struct err *err) {
    char hard_limit[PRINT_NUMBER_MAX];
    char plans[PRINT_NUMBER_MAX];
    char blocked[PRINT_NUMBER_MAX];
    if (!metric->charge.has_hard_limit) {
        return true;
    }
    (void)print_decimal(metric->charge.hard_limit, hard_limit);
    (void)print_decimal(metric->price->price.hard_limit, plans);
    (void)print_decimal(metric->charge.blocked, blocked);
    const char *whose = !metric->limits.has_hard_limit        ? "the plan's"
                        : metric->price->price.has_hard_limit ? "the org's own, the plan's is "
                                                              : "the org's own";
    bool shows_plans = metric->limits.has_hard_limit && metric->price->price.has_hard_limit;
    return explain_say(explanation, err, "hard limit", "%s: %s%s", hard_limit, whose,
                       shows_plans ? plans : "") &&
           (decimal_is_zero(metric->charge.blocked) ||
            explain_say(explanation, err, "blocked",
                        "%s above the hard limit: should have been refused, is not billed",
                        blocked));
}

static bool say_overage(const struct explanation *explanation, const struct explain_metric *metric,
                        struct err *err) {
    const struct charge *charge = &metric->charge;
    struct decimal usage = table_get_decimal(&metric->usage, USAGE_QUANTITY);
    char used[PRINT_NUMBER_MAX];
    char limit[PRINT_NUMBER_MAX];
    char hard_limit[PRINT_NUMBER_MAX];
    char overage[PRINT_NUMBER_MAX];
    (void)print_decimal(usage, used);
    (void)print_decimal(charge->limit, limit);
    (void)print_decimal(charge->hard_limit, hard_limit);
    (void)print_decimal(charge->overage, overage);
    if (decimal_is_zero(charge->overage)) {
        return usage.units <= charge->limit.units
                   ? explain_say(explanation, err, "overage", "none: %s is within %s", used, limit)
                   : explain_say(explanation, err, "overage",
                                 "none: the hard limit %s is within %s", hard_limit, limit);
    }
    return decimal_is_zero(charge->blocked)
               ? explain_say(explanation, err, "overage", "%s - %s = %s", used, limit, overage)
               : explain_say(explanation, err, "overage", "min(%s; %s) - %s = %s", used, hard_limit,
                             limit, overage);
}

/* --- price --------------------------------------------------------------------------------------
 */

/* An exact amount in full, grouped like a decimal where it fits one. */
static void format_exact(struct exact exact, char text[EXACT_TEXT_MAX]) {
    struct decimal rounded;
    struct exact again = EXACT_ZERO;
    char grouped[PRINT_NUMBER_MAX];
    (void)exact_format(exact, text);
    if (exact_round_to_decimal(exact, &rounded) && exact_add_decimal(&again, rounded) &&
        exact_compare(again, exact) == 0) {
        (void)print_decimal(rounded, grouped);
        memcpy(text, grouped, strlen(grouped) + 1);
    }
}

static bool say_per_unit(const struct explanation *explanation, const struct explain_metric *metric,
                         struct err *err) {
    char overage[PRINT_NUMBER_MAX];
    char unit_price[PRINT_NUMBER_MAX];
    char product[EXACT_TEXT_MAX];
    (void)print_decimal(metric->charge.overage, overage);
    (void)print_decimal(metric->price->price.unit_price, unit_price);
    format_exact(metric->charge.exact, product);
    return explain_say(explanation, err, "per unit", "%s x %s %s%s = %s %s", overage, unit_price,
                       explanation->currency, metric->unit, product, explanation->currency);
}

static bool say_package(const struct explanation *explanation, const struct explain_metric *metric,
                        struct err *err) {
    const struct price *price = &metric->price->price;
    char overage[PRINT_NUMBER_MAX];
    char size[PRINT_NUMBER_MAX];
    char packages[PRINT_NUMBER_MAX];
    char unit_price[PRINT_NUMBER_MAX];
    char product[EXACT_TEXT_MAX];
    struct decimal count;
    int128 whole = decimal_divide_ceiling(metric->charge.overage, price->package_size);
    if (!decimal_from_int128(whole, &count)) {
        return err_set(err, ERR_RANGE, "the number of packages does not fit");
    }
    (void)print_decimal(metric->charge.overage, overage);
    (void)print_decimal(price->package_size, size);
    (void)print_decimal(price->unit_price, unit_price);
    (void)print_decimal(count, packages);
    format_exact(metric->charge.exact, product);
    return explain_say(explanation, err, "package", "%s in packages of %s: %s begun", overage, size,
                       packages) &&
           explain_say(explanation, err, "", "%s x %s %s = %s %s", packages, unit_price,
                       explanation->currency, product, explanation->currency);
}

/* The columns of one tier; widths are made equal over all of them. */
struct tier_words {
    char range[2 * PRINT_NUMBER_MAX + 32];
    char product[3 * PRINT_NUMBER_MAX + 16];
    char amount[EXACT_TEXT_MAX];
};

static void tier_format(const struct explain_metric *metric, const struct charge_line *line,
                        struct tier_words *words) {
    const struct tier *tiers = metric->price->price.tiers;
    const struct tier *tier = &tiers[line->tier];
    char above[PRINT_NUMBER_MAX] = "0";
    char up_to[PRINT_NUMBER_MAX];
    char quantity[PRINT_NUMBER_MAX];
    char unit_price[PRINT_NUMBER_MAX];
    char flat_price[PRINT_NUMBER_MAX];
    if (line->tier > 0) {
        (void)print_decimal(tiers[line->tier - 1].up_to, above);
    }
    (void)print_decimal(tier->up_to, up_to);
    (void)print_decimal(line->quantity, quantity);
    (void)print_decimal(tier->unit_price, unit_price);
    (void)print_decimal(tier->flat_price, flat_price);
    (void)snprintf(words->range, sizeof words->range, "tier %zu, above %s%s%s", line->tier + 1,
                   above, tier->is_open ? "" : " up to ", tier->is_open ? "" : up_to);
    (void)snprintf(words->product, sizeof words->product, "%s x %s%s%s%s", quantity, unit_price,
                   decimal_is_zero(tier->flat_price) ? "" : " + ",
                   decimal_is_zero(tier->flat_price) ? "" : flat_price,
                   decimal_is_zero(tier->flat_price) ? "" : " flat");
    format_exact(line->amount, words->amount);
}

static int wider(int width, const char *text) {
    int size = (int)strlen(text);
    return size > width ? size : width;
}

static bool say_tiers(const struct explanation *explanation, const struct explain_metric *metric,
                      struct err *err) {
    size_t count = metric->lines.lines_count;
    struct tier_words *words =
        arena_alloc_array(explanation->cli->arena, count, sizeof *words, err);
    int range = 0;
    int product = 0;
    int amount = 0;
    if (words == NULL) {
        return false;
    }
    for (size_t index = 0; index < count; index++) {
        tier_format(metric, &metric->lines.lines[index], &words[index]);
        range = wider(range, words[index].range);
        product = wider(product, words[index].product);
        amount = wider(amount, words[index].amount);
    }
    for (size_t index = 0; index < count; index++) {
        const char *label = index == 0 ? model_table[metric->price->price.model].name : "";
        if (!explain_say(explanation, err, label, "%-*s   %*s = %*s %s", range, words[index].range,
                         product, words[index].product, amount, words[index].amount,
                         explanation->currency)) {
            return false;
        }
    }
    return true;
}

static bool say_price(const struct explanation *explanation, const struct explain_metric *metric,
                      struct err *err) {
    switch (metric->price->price.model) {
    case MODEL_PER_UNIT:
        return say_per_unit(explanation, metric, err);
    case MODEL_PACKAGE:
        return say_package(explanation, metric, err);
    case MODEL_GRADUATED:
    case MODEL_VOLUME:
        return say_tiers(explanation, metric, err);
    case MODELS_COUNT:
        break;
    }
    return err_set(err, ERR_DAMAGED, "a price without a model");
}

static bool say_rounding(const struct explanation *explanation, const struct explain_metric *metric,
                         struct err *err) {
    const struct currency *currency = explanation->plan->currency;
    char exact[EXACT_TEXT_MAX];
    char rounded[PRINT_NUMBER_MAX];
    char increment[PRINT_NUMBER_MAX];
    char rounding[PRINT_NUMBER_MAX];
    struct decimal difference;
    struct exact uncapped = EXACT_ZERO;
    format_exact(metric->charge.exact, exact);
    (void)print_money(metric->charge.uncapped_cost, currency, rounded);
    (void)print_money(currency->increment, currency, increment);
    if (!decimal_subtract(metric->charge.uncapped_cost, metric->charge.exact_cost, &difference) ||
        !exact_add_decimal(&uncapped, metric->charge.uncapped_cost)) {
        return err_set(err, ERR_RANGE, "rounding does not fit");
    }
    (void)print_decimal(difference, rounding);
    if (metric->lines.lines_count > 1 &&
        !explain_say(explanation, err, "exact cost", "%s %s, all tiers together", exact,
                     explanation->currency)) {
        return false;
    }
    if (exact_compare(uncapped, metric->charge.exact) == 0) {
        return explain_say(explanation, err, "rounded", "%s: nothing to round", rounded);
    }
    return explain_say(explanation, err, "rounded", "%s: half away from zero to steps of %s (%s%s)",
                       rounded, increment, difference.units > 0 ? "+" : "", rounding);
}

static bool say_reduction(const struct explanation *explanation,
                          const struct explain_metric *metric, struct err *err) {
    const struct currency *currency = explanation->plan->currency;
    struct decimal reduction = table_get_decimal(&metric->charge_row, CHARGES_CAP_REDUCTION);
    char reduced[PRINT_NUMBER_MAX];
    char cost[PRINT_NUMBER_MAX];
    if (decimal_is_zero(reduction)) {
        return true;
    }
    (void)print_money(reduction, currency, reduced);
    (void)print_money(table_get_decimal(&metric->charge_row, CHARGES_COST), currency, cost);
    return explain_say(explanation, err, "cap", "%s taken off, see the cap below", reduced) &&
           explain_say(explanation, err, "cost", "%s", cost);
}

bool explain_cost(const struct explanation *explanation, const struct explain_metric *metric,
                  struct err *err) {
    if (!say_limit(explanation, metric, err) || !say_hard_limit(explanation, metric, err) ||
        !say_overage(explanation, metric, err)) {
        return false;
    }
    return decimal_is_zero(metric->charge.overage) ||
           (say_price(explanation, metric, err) && say_rounding(explanation, metric, err) &&
            say_reduction(explanation, metric, err));
}

/* --- the cap ------------------------------------------------------------------------------------
 */

/* cost x cap / total, for reading. */
static bool fair_share(struct decimal cost, struct decimal cap, struct decimal total,
                       struct decimal *share) {
    struct wide left = wide_from_int128(cost.units);
    struct wide right = wide_from_int128(cap.units);
    struct wide whole = wide_from_int128(total.units);
    return wide_multiply(&left, &right, &left) && wide_divide_half_away(&left, &whole, &left) &&
           wide_to_int128(&left, &share->units) && decimal_in_range(share->units);
}

/* Of the column of metrics: wide enough for the longest. */
static size_t cap_width(const struct terms_plan *plan) {
    size_t width = 24;
    for (size_t index = 0; index < plan->prices_count; index++) {
        size_t own = print_width(plan->prices[index].metric);
        width = own > width ? own : width;
    }
    return width;
}

static bool say_share(const struct explanation *explanation, const struct table_cursor *row,
                      struct decimal cap, struct decimal total, struct err *err) {
    const struct currency *currency = explanation->plan->currency;
    struct decimal uncapped = table_get_decimal(row, CHARGES_UNCAPPED_COST);
    struct decimal share = DECIMAL_ZERO;
    char texts[4][PRINT_NUMBER_MAX];
    struct buffer line = {0};
    (void)print_money(uncapped, currency, texts[0]);
    (void)fair_share(uncapped, cap, total, &share);
    (void)print_decimal(explain_shorten(share, 6), texts[1]);
    (void)print_money(table_get_decimal(row, CHARGES_CAP_REDUCTION), currency, texts[2]);
    (void)print_money(table_get_decimal(row, CHARGES_COST), currency, texts[3]);
    bool is_fine =
        buffer_append(&line, text_from("  "), err) &&
        print_fill(&line, table_get_text(row, CHARGES_METRIC), cap_width(explanation->plan), err) &&
        buffer_append_format(&line, err, " %17s %17s %15s %15s\n", texts[0], texts[1], texts[2],
                             texts[3]) &&
        console_out_text(&explanation->cli->console, buffer_text(&line), err);
    buffer_release(&line);
    return is_fine;
}

static bool cap_total(const struct explanation *explanation, struct decimal *total,
                      struct err *err) {
    const struct terms_plan *plan = explanation->plan;
    *total = DECIMAL_ZERO;
    for (size_t index = 0; index < plan->prices_count; index++) {
        struct table_cursor row;
        if (explain_find(explanation, explanation->tables.charges, plan->prices[index].metric,
                         &row) &&
            !decimal_add(*total, table_get_decimal(&row, CHARGES_UNCAPPED_COST), total)) {
            return err_set(err, ERR_RANGE, "the uncapped costs do not fit");
        }
    }
    return true;
}

bool explain_cap(const struct explanation *explanation, struct err *err) {
    const struct terms_plan *plan = explanation->plan;
    struct console *console = &explanation->cli->console;
    char cap_text[PRINT_NUMBER_MAX];
    char total_text[PRINT_NUMBER_MAX];
    char step[PRINT_NUMBER_MAX];
    struct decimal total;
    if (explanation->tables.charges == NULL || table_is_null(&explanation->org, ORGS_OVERAGE_CAP)) {
        return true;
    }
    struct decimal cap = table_get_decimal(&explanation->org, ORGS_OVERAGE_CAP);
    if (!cap_total(explanation, &total, err)) {
        return false;
    }
    (void)print_money(cap, plan->currency, cap_text);
    (void)print_money(total, plan->currency, total_text);
    (void)print_money(plan->currency->increment, plan->currency, step);
    if (total.units <= cap.units) {
        return console_out(console, err, "\ncap\n") &&
               explain_say(explanation, err, "overage cap",
                           "%s for all metrics; they come to %s: nothing is taken off", cap_text,
                           total_text);
    }
    if (!console_out(console, err, "\ncap\n") ||
        !explain_say(explanation, err, "overage cap",
                     "%s for all metrics; they come to %s: reduced pro rata", cap_text,
                     total_text) ||
        !explain_say(explanation, err, "",
                     "each gets its fair share in whole steps of %s; what is left goes,", step) ||
        !explain_say(explanation, err, "", "a step each, to the largest remainders") ||
        !console_out(console, err, "\n  %-*s %17s %17s %15s %15s\n", (int)cap_width(plan), "metric",
                     "uncapped", "fair share", "taken off", "cost")) {
        return false;
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        struct table_cursor row;
        if (explain_find(explanation, explanation->tables.charges, plan->prices[index].metric,
                         &row) &&
            !decimal_is_zero(table_get_decimal(&row, CHARGES_UNCAPPED_COST)) &&
            !say_share(explanation, &row, cap, total, err)) {
            return false;
        }
    }
    return console_out(console, err, "  %-*s %17s %17s %15s %15s\n", (int)cap_width(plan),
                       "together", total_text, "", "", cap_text);
}
