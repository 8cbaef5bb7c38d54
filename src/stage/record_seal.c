/*
 * Plans as they were rated with, for later revisions: each once, by the digest of its content. They
 * travel as one document each for plans, prices and tiers, numbers as texts.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "core/memory.h"
#include "record_database.h"

struct sealing {
    json_t *plans;
    json_t *prices;
    json_t *tiers;
};

static json_t *text_value(struct text text) {
    return json_stringn(text.bytes, text.size_bytes);
}

static json_t *decimal_value(struct decimal value, bool is_given) {
    char text[DECIMAL_TEXT_MAX];
    if (!is_given) {
        return json_null();
    }
    (void)decimal_format(value, text);
    return json_string(text);
}

static bool append(json_t *rows, json_t *row) {
    return row != NULL && json_array_append_new(rows, row) == 0;
}

static bool add_tiers(json_t *rows, const char *digest, const struct terms_price *price) {
    for (size_t index = 0; index < price->price.tiers_count; index++) {
        const struct tier *tier = &price->price.tiers[index];
        if (!append(rows, json_pack("{s:s, s:o, s:I, s:o, s:o, s:o}", "digest", digest, "metric",
                                    text_value(price->metric), "tier", (json_int_t)index + 1,
                                    "up_to", decimal_value(tier->up_to, !tier->is_open),
                                    "unit_price", decimal_value(tier->unit_price, true),
                                    "flat_price", decimal_value(tier->flat_price, true)))) {
            return false;
        }
    }
    return true;
}

static bool add_price(json_t *rows, const char *digest, const struct terms_price *terms) {
    const struct price *price = &terms->price;
    const struct model_row *model = &model_table[price->model];
    return append(
        rows, json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "digest", digest, "metric",
                        text_value(terms->metric), "aggregation",
                        aggregation_table[price->aggregation].name, "model", model->name,
                        "included", decimal_value(price->included, true), "hard_limit",
                        decimal_value(price->hard_limit, price->has_hard_limit), "unit_price",
                        decimal_value(price->unit_price, model->needs_unit_price), "package_size",
                        decimal_value(price->package_size, model->needs_package_size), "unit",
                        terms->unit.size_bytes > 0 ? text_value(terms->unit) : json_null()));
}

/* name: as the table of plans has it, which terms do not. */
static bool add_plan(struct sealing *sealing, const struct terms_plan *plan, json_t *name,
                     const char *digest) {
    if (!append(sealing->plans, json_pack("{s:s, s:o, s:o, s:s}", "digest", digest, "plan_id",
                                          text_value(plan->plan_id), "name", name, "currency",
                                          plan->currency->code))) {
        return false;
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        if (!add_price(sealing->prices, digest, &plan->prices[index]) ||
            !add_tiers(sealing->tiers, digest, &plan->prices[index])) {
            return false;
        }
    }
    return true;
}

static bool sealing_create(struct sealing *sealing, struct err *err) {
    *sealing = (struct sealing){json_array(), json_array(), json_array()};
    return (sealing->plans != NULL && sealing->prices != NULL && sealing->tiers != NULL) ||
           err_memory(err, 4096);
}

static void sealing_release(struct sealing *sealing) {
    json_decref(sealing->plans);
    json_decref(sealing->prices);
    json_decref(sealing->tiers);
}

static json_t *plan_name(const struct table_cursor *row) {
    return table_is_null(row, PLANS_NAME) ? json_null()
                                          : text_value(table_get_text(row, PLANS_NAME));
}

/* The digest of the very documents that are written, with nothing in the digest's place. */
static bool digest_plan(const struct terms_plan *plan, const struct table_cursor *row,
                        struct digest *digest, struct err *err) {
    struct sealing sealing;
    bool is_fine = sealing_create(&sealing, err) &&
                   (add_plan(&sealing, plan, plan_name(row), "") || err_memory(err, 4096));
    json_t *all =
        is_fine ? json_pack("[O, O, O]", sealing.plans, sealing.prices, sealing.tiers) : NULL;
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (is_fine) {
        is_fine = text != NULL ? digest_of(text, strlen(text), digest, err) : err_memory(err, 4096);
    }
    free(text);
    json_decref(all);
    sealing_release(&sealing);
    return is_fine;
}

bool ledger_digest_plans(const struct ledger *ledger, struct sealed_digests *sealed,
                         struct err *err) {
    struct table *plans = NULL;
    size_t count = ledger->terms->plans_count;
    *sealed = (struct sealed_digests){
        .digests = mem_alloc(count * sizeof *sealed->digests),
        .is_used = mem_alloc(count * sizeof *sealed->is_used),
    };
    if (sealed->digests == NULL || sealed->is_used == NULL) {
        return err_memory(err, count * sizeof *sealed->digests);
    }
    if (!run_input_open(ledger->run, &checkpoint_plans, 0, &plans, err)) {
        return false;
    }
    struct table_cursor row = table_cursor_start(plans);
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < count; index++) {
        bool has_row = table_cursor_next(&row);
        assert(has_row); /* terms_load read the same table */
        is_fine = has_row &&
                  digest_plan(&ledger->terms->plans[index], &row, &sealed->digests[index], err);
    }
    table_close(plans);
    return is_fine;
}

void sealed_digests_release(struct sealed_digests *sealed) {
    mem_free(sealed->digests);
    mem_free(sealed->is_used);
    *sealed = (struct sealed_digests){0};
}

static bool write_rows(struct db *db, const char *statement, const json_t *rows, struct err *err) {
    struct db_params params = {0};
    char *text = json_dumps(rows, JSON_COMPACT);
    if (text == NULL) {
        return err_memory(err, 4096);
    }
    db_params_text(&params, text_from(text));
    bool is_done = db_run(db, statement, &params, NULL, err);
    free(text);
    return is_done;
}

bool ledger_seal_plans(const struct ledger *ledger, const struct sealed_digests *sealed,
                       struct err *err) {
    struct table *plans = NULL;
    struct sealing sealing = {0};
    bool is_fine = sealing_create(&sealing, err) &&
                   run_input_open(ledger->run, &checkpoint_plans, 0, &plans, err);
    if (is_fine) {
        struct table_cursor row = table_cursor_start(plans);
        for (size_t index = 0; is_fine && table_cursor_next(&row); index++) {
            char digest[DIGEST_TEXT_MAX];
            digest_format(&sealed->digests[index], digest);
            is_fine = !sealed->is_used[index] ||
                      add_plan(&sealing, &ledger->terms->plans[index], plan_name(&row), digest) ||
                      err_memory(err, 4096);
        }
    }
    is_fine = is_fine && write_rows(ledger->db, "record/seal_plans.sql", sealing.plans, err) &&
              write_rows(ledger->db, "record/seal_prices.sql", sealing.prices, err) &&
              write_rows(ledger->db, "record/seal_tiers.sql", sealing.tiers, err);
    table_close(plans);
    sealing_release(&sealing);
    return is_fine;
}
