/*
 * The revision before, read over all of its shards: see record_previous.h.
 */
#include "record_previous.h"

#include "core/memory.h"

struct previous_walk previous_walk_start(struct table *const *tables, size_t tables_count) {
    struct previous_walk walk = {.tables = tables,
                                 .tables_count = tables != NULL ? tables_count : 0};
    return walk;
}

bool previous_walk_to(struct previous_walk *walk, struct text org_id, struct text metric) {
    for (;;) {
        if (walk->table_index > 0 && terms_walk_to(&walk->walk, org_id, metric)) {
            return true;
        }
        if ((walk->table_index > 0 && walk->walk.has_row) ||
            walk->table_index == walk->tables_count) {
            return false;
        }
        walk->walk = terms_walk_start(walk->tables[walk->table_index++]);
    }
}

bool previous_orgs_to(struct previous_orgs *orgs, struct text org_id) {
    for (;;) {
        for (; orgs->has_row; orgs->has_row = table_cursor_next(&orgs->cursor)) {
            int order = text_compare(table_get_text(&orgs->cursor, ORGS_ORG_ID), org_id);
            if (order >= 0) {
                return order == 0;
            }
        }
        if (orgs->table_index == orgs->tables_count) {
            return false;
        }
        orgs->cursor = table_cursor_start(orgs->tables[orgs->table_index++]);
        orgs->has_row = table_cursor_next(&orgs->cursor);
    }
}

void previous_close(struct previous_tables *previous) {
    struct table **lists[] = {previous->orgs, previous->usage, previous->negatives,
                              previous->charges, previous->records};
    for (size_t list = 0; list < sizeof lists / sizeof lists[0]; list++) {
        for (size_t index = 0; lists[list] != NULL && index < previous->shards_count; index++) {
            table_close(lists[list][index]);
        }
        mem_free(lists[list]);
    }
}

static bool previous_open_list(struct run *run, const struct table_schema *schema,
                               size_t shards_count, struct table ***tables, struct err *err) {
    *tables = mem_alloc(shards_count * sizeof **tables);
    if (*tables == NULL) {
        return err_memory(err, shards_count * sizeof **tables);
    }
    for (size_t index = 0; index < shards_count; index++) {
        if (!run_input_open(run, schema, index, &(*tables)[index], err)) {
            return err_wrap(err, "the revision before, %s", run_path(run));
        }
    }
    return true;
}

bool previous_open(struct run *run, struct previous_tables *previous, struct err *err) {
    const struct {
        const struct table_schema *schema;
        struct table ***tables;
    } lists[] = {
        {&checkpoint_orgs, &previous->orgs},           {&checkpoint_usage, &previous->usage},
        {&checkpoint_negatives, &previous->negatives}, {&checkpoint_charges, &previous->charges},
        {&checkpoint_records, &previous->records},
    };
    previous->shards_count = run_shards_count(run);
    for (size_t list = 0; list < sizeof lists / sizeof lists[0]; list++) {
        if (!previous_open_list(run, lists[list].schema, previous->shards_count, lists[list].tables,
                                err)) {
            return false;
        }
    }
    return true;
}
