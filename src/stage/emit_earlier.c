/*
 * The items of earlier revisions: one of a later revision is a difference to them, and goes only
 * when they are settled. Shards follow the order of orgs, so that the tables of a run, one after
 * the other, are walked once in the order of keys.
 */
#include "core/memory.h"
#include "emit.h"
#include "stage/emission.h"
#include "stage/stages.h"

struct earlier_run {
    struct table **tables; /* of items; of records where nothing was emitted yet */
    size_t tables_count;
    bool is_emitted;
};

struct emit_earlier {
    struct earlier_run *runs;
    size_t runs_count;
};

static bool earlier_open_run(struct earlier_run *earlier, struct run *run, struct err *err) {
    earlier->is_emitted = run_stage_is_done(run, &stage_emit);
    size_t count = run_shards_count(run);
    earlier->tables = mem_alloc(count * sizeof(struct table *));
    if (earlier->tables == NULL) {
        return err_memory(err, count * sizeof(struct table *));
    }
    for (; earlier->tables_count < count; earlier->tables_count++) {
        if (!run_input_open(run, earlier->is_emitted ? &checkpoint_items : &checkpoint_records,
                            earlier->tables_count, &earlier->tables[earlier->tables_count], err)) {
            return err_wrap(err, "the revision before, %s", run_path(run));
        }
    }
    return true;
}

bool emission_earlier_open(struct run *const *runs, size_t runs_count,
                           struct emit_earlier **earlier, struct err *err) {
    struct emit_earlier *made = mem_alloc(sizeof *made);
    *earlier = made;
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    made->runs = mem_alloc((runs_count + 1) * sizeof *made->runs);
    if (made->runs == NULL) {
        return err_memory(err, (runs_count + 1) * sizeof *made->runs);
    }
    for (; made->runs_count < runs_count; made->runs_count++) {
        if (!earlier_open_run(&made->runs[made->runs_count], runs[made->runs_count], err)) {
            made->runs_count++;
            return false;
        }
    }
    return true;
}

void emission_earlier_close(struct emit_earlier *earlier) {
    if (earlier == NULL) {
        return;
    }
    for (size_t index = 0; index < earlier->runs_count; index++) {
        for (size_t table = 0; table < earlier->runs[index].tables_count; table++) {
            table_close(earlier->runs[index].tables[table]);
        }
        mem_free(earlier->runs[index].tables);
    }
    mem_free(earlier->runs);
    mem_free(earlier);
}

/* --- walking ------------------------------------------------------------------------------------
 */

struct emit_earlier_walk {
    const struct emit_earlier *earlier;
    struct previous_walk *walks; /* one of each run */
};

bool emit_earlier_walk_open(const struct emit_earlier *earlier, struct emit_earlier_walk **walk,
                            struct err *err) {
    *walk = NULL;
    if (earlier == NULL || earlier->runs_count == 0) {
        return true;
    }
    struct emit_earlier_walk *made = mem_alloc(sizeof *made);
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    made->earlier = earlier;
    made->walks = mem_alloc(earlier->runs_count * sizeof *made->walks);
    *walk = made;
    if (made->walks == NULL) {
        return err_memory(err, earlier->runs_count * sizeof *made->walks);
    }
    for (size_t index = 0; index < earlier->runs_count; index++) {
        made->walks[index] =
            previous_walk_start(earlier->runs[index].tables, earlier->runs[index].tables_count);
    }
    return true;
}

void emit_earlier_walk_close(struct emit_earlier_walk *walk) {
    if (walk != NULL) {
        mem_free(walk->walks);
        mem_free(walk);
    }
}

static bool is_settled(const struct earlier_run *run, const struct table_cursor *row) {
    if (!run->is_emitted) {
        return decimal_is_zero(table_get_decimal(row, RECORDS_BILLED)) ||
               text_equals(table_get_text(row, RECORDS_STATUS), text_from("disabled"));
    }
    struct text status = table_get_text(row, ITEMS_STATUS);
    return text_equals(status, text_from("sent")) || text_equals(status, text_from("disabled")) ||
           text_equals(status, text_from("not_emitted"));
}

bool emit_earlier_is_settled(struct emit_earlier_walk *walk, struct text org_id,
                             struct text metric) {
    bool is_fine = true;
    for (size_t index = 0; walk != NULL && index < walk->earlier->runs_count; index++) {
        /* All of them are moved on, so that they stay in step. */
        if (previous_walk_to(&walk->walks[index], org_id, metric)) {
            is_fine =
                is_settled(&walk->earlier->runs[index], &walk->walks[index].walk.cursor) && is_fine;
        }
    }
    return is_fine;
}
