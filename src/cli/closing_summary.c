#include "closing_summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "rating/terms.h"
#include "stage/stages.h"
#include "sys/process.h"

static struct currency_sums *summary_currency(struct summary *summary, struct text code,
                                              struct err *err) {
    for (size_t index = 0; index < summary->currencies_count; index++) {
        if (text_equals(text_from(summary->currencies[index].currency->code), code)) {
            return &summary->currencies[index];
        }
    }
    const struct currency *currency = currency_find(code);
    if (currency == NULL || summary->currencies_count == CURRENCIES_MAX) {
        (void)err_set(err, ERR_DAMAGED, "currency '%.*s': unknown, or more than %d of them",
                      (int)code.size_bytes, code.bytes, (int)CURRENCIES_MAX);
        return NULL;
    }
    struct currency_sums *sums = &summary->currencies[summary->currencies_count++];
    *sums = (struct currency_sums){.currency = currency};
    return sums;
}

/* A name for a table on a terminal: control bytes as ?, cut with … */
static void shown_name(char *shown, struct text name) {
    size_t size = name.size_bytes < NAME_SHOWN_MAX ? name.size_bytes : NAME_SHOWN_MAX;
    while (size < name.size_bytes && size > 0 && ((unsigned char)name.bytes[size] & 0xC0) == 0x80) {
        size--; /* not inside a character */
    }
    for (size_t index = 0; index < size; index++) {
        shown[index] = (unsigned char)name.bytes[index] < ' ' ? '?' : name.bytes[index];
    }
    (void)snprintf(shown + size, 4, "%s", size < name.size_bytes ? "…" : "");
}

/* The place of such a cost among the largest, behind equal ones; NULL when it is not one of them.
 */
static struct largest *currency_place_largest(struct currency_sums *sums, struct decimal cost) {
    size_t place = sums->largest_count;
    while (place > 0 && decimal_compare(sums->largest[place - 1].cost, cost) < 0) {
        place--;
    }
    if (place == LARGEST_MAX) {
        return NULL;
    }
    size_t last = sums->largest_count < LARGEST_MAX ? sums->largest_count : LARGEST_MAX - 1;
    for (size_t index = last; index > place; index--) {
        sums->largest[index] = sums->largest[index - 1];
    }
    sums->largest_count = last + 1;
    return &sums->largest[place];
}

static void currency_add_largest(struct currency_sums *sums, struct text org_id, struct text metric,
                                 struct decimal overage, struct decimal cost) {
    struct largest *row = currency_place_largest(sums, cost);
    if (row != NULL) {
        *row = (struct largest){.overage = overage, .cost = cost};
        shown_name(row->org_id, org_id);
        shown_name(row->metric, metric);
    }
}

static bool sum_add(struct decimal *sum, struct decimal amount, struct err *err) {
    return decimal_add(*sum, amount, sum) || err_set(err, ERR_RANGE, "a sum of costs does not fit");
}

static bool summary_record(struct summary *summary, const struct table_cursor *record,
                           const struct table_cursor *org, struct decimal overage,
                           struct err *err) {
    struct currency_sums *sums = summary_currency(summary, table_get_text(org, ORGS_CURRENCY), err);
    struct decimal cost = table_get_decimal(record, RECORDS_COST);
    struct decimal billed = table_get_decimal(record, RECORDS_BILLED);
    struct text status = table_get_text(record, RECORDS_STATUS);
    if (sums == NULL || !sum_add(&sums->cost, cost, err) || !sum_add(&sums->billed, billed, err)) {
        return false;
    }
    sums->records++;
    if (!decimal_is_zero(cost)) {
        currency_add_largest(sums, table_get_text(record, RECORDS_ORG_ID),
                             table_get_text(record, RECORDS_METRIC), overage, cost);
    }
    if (!summary->is_emitted && text_equals(status, text_from("held"))) {
        summary->held++;
        return sum_add(&sums->held, billed, err);
    }
    return !text_equals(status, text_from("disabled")) || sum_add(&sums->disabled, billed, err);
}

static void summary_add_open(struct summary *summary, const struct table_cursor *org) {
    if (table_is_null(org, ORGS_REASON) ||
        !text_equals(table_get_text(org, ORGS_REASON), text_from("period_open"))) {
        return;
    }
    struct instant end = table_get_instant(org, ORGS_PERIOD_END);
    if (summary->open++ == 0 || instant_compare(end, summary->open_until) > 0) {
        summary->open_until = end;
    }
}

static bool summary_rows(struct summary *summary, struct table *orgs, struct table *charges,
                         struct table *records, struct err *err) {
    struct table_cursor record = table_cursor_start(records);
    struct table_cursor org = table_cursor_start(orgs);
    struct terms_walk charge = terms_walk_start(charges);
    bool has_record = table_cursor_next(&record);
    while (table_cursor_next(&org)) {
        struct text disposition = table_get_text(&org, ORGS_DISPOSITION);
        summary->rated += text_equals(disposition, text_from("rated")) ? 1 : 0;
        summary->set_aside += text_equals(disposition, text_from("set_aside")) ? 1 : 0;
        summary->listed += text_equals(disposition, text_from("listed")) ? 1 : 0;
        summary_add_open(summary, &org);
        struct text org_id = table_get_text(&org, ORGS_ORG_ID);
        while (has_record && text_equals(table_get_text(&record, RECORDS_ORG_ID), org_id)) {
            struct decimal overage = DECIMAL_ZERO;
            if (terms_walk_to(&charge, org_id, table_get_text(&record, RECORDS_METRIC))) {
                overage = table_get_decimal(&charge.cursor, CHARGES_OVERAGE);
            }
            if (!summary_record(summary, &record, &org, overage, err)) {
                return false;
            }
            has_record = table_cursor_next(&record);
        }
    }
    return true;
}

/* --- all shards --------------------------------------------------------------------------------
 */

/* The tables of one shard. */
struct summed_shard {
    struct table *orgs;
    struct table *charges;
    struct table *records;
};

/* Neighbouring shards are summed by one thread each, so that the parts are in the rows' order. */
struct summing {
    struct summed_shard *shards;
    size_t shards_count;
    struct summary *parts;
    size_t parts_count;
};

static bool summing_open(struct summing *summing, struct run *run, struct err *err) {
    for (size_t index = 0; index < summing->shards_count; index++) {
        struct summed_shard *shard = &summing->shards[index];
        if (!run_input_open(run, &checkpoint_orgs, index, &shard->orgs, err) ||
            !run_input_open(run, &checkpoint_charges, index, &shard->charges, err) ||
            !run_input_open(run, &checkpoint_records, index, &shard->records, err)) {
            return false;
        }
    }
    return true;
}

static bool summing_part(void *context, size_t part_index, struct err *err) {
    struct summing *summing = context;
    size_t from = part_index * summing->shards_count / summing->parts_count;
    size_t until = (part_index + 1) * summing->shards_count / summing->parts_count;
    for (size_t index = from; index < until; index++) {
        struct summed_shard *shard = &summing->shards[index];
        if (!summary_rows(&summing->parts[part_index], shard->orgs, shard->charges, shard->records,
                          err)) {
            return false;
        }
    }
    return true;
}

static bool summary_add_currency(struct summary *summary, const struct currency_sums *added,
                                 struct err *err) {
    struct currency_sums *sums = summary_currency(summary, text_from(added->currency->code), err);
    if (sums == NULL || !sum_add(&sums->cost, added->cost, err) ||
        !sum_add(&sums->billed, added->billed, err) || !sum_add(&sums->held, added->held, err) ||
        !sum_add(&sums->disabled, added->disabled, err)) {
        return false;
    }
    sums->records += added->records;
    for (size_t index = 0; index < added->largest_count; index++) {
        struct largest *row = currency_place_largest(sums, added->largest[index].cost);
        if (row == NULL) {
            break; /* nor is there a place for those that follow */
        }
        *row = added->largest[index];
    }
    return true;
}

/* The part's rows come behind those that the summary has. */
static bool summary_add(struct summary *summary, const struct summary *part, struct err *err) {
    summary->rated += part->rated;
    summary->set_aside += part->set_aside;
    summary->listed += part->listed;
    summary->held += part->held;
    if (part->open > 0 &&
        (summary->open == 0 || instant_compare(part->open_until, summary->open_until) > 0)) {
        summary->open_until = part->open_until;
    }
    summary->open += part->open;
    for (size_t index = 0; index < part->currencies_count; index++) {
        if (!summary_add_currency(summary, &part->currencies[index], err)) {
            return false;
        }
    }
    return true;
}

static int compare_currencies(const void *left, const void *right) {
    const struct currency_sums *a = left;
    const struct currency_sums *b = right;
    return strcmp(a->currency->code, b->currency->code);
}

static bool summing_run(struct summing *summing, size_t jobs, struct summary *summary,
                        struct err *err) {
    for (size_t part = 0; part < summing->parts_count; part++) {
        summing->parts[part].is_emitted = summary->is_emitted;
    }
    if (!process_parallel(jobs, summing->parts_count, summing_part, summing, err)) {
        return false;
    }
    for (size_t part = 0; part < summing->parts_count; part++) {
        if (!summary_add(summary, &summing->parts[part], err)) {
            return false;
        }
    }
    qsort(summary->currencies, summary->currencies_count, sizeof summary->currencies[0],
          compare_currencies);
    return true;
}

bool summary_load(struct summary *summary, struct run *run, size_t jobs, struct err *err) {
    size_t shards_count = run_shards_count(run);
    size_t parts_count = jobs < shards_count ? jobs : shards_count;
    struct summing summing = {
        .shards = mem_alloc(shards_count * sizeof *summing.shards),
        .shards_count = shards_count,
        .parts = mem_alloc(parts_count * sizeof *summing.parts),
        .parts_count = parts_count,
    };
    bool is_fine = summing.shards != NULL && summing.parts != NULL;
    if (!is_fine) {
        (void)err_memory(err, parts_count * sizeof *summing.parts);
    }
    is_fine =
        is_fine && summing_open(&summing, run, err) && summing_run(&summing, jobs, summary, err);
    for (size_t index = 0; summing.shards != NULL && index < shards_count; index++) {
        table_close(summing.shards[index].orgs);
        table_close(summing.shards[index].charges);
        table_close(summing.shards[index].records);
    }
    mem_free(summing.shards);
    mem_free(summing.parts);
    return is_fine;
}
