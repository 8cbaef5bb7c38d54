#include "cli/shard_walk.h"

#include "sys/process.h"

bool shard_walk_next(struct shard_walk *walk, struct err *err) {
    while (walk->table == NULL || !table_cursor_next(&walk->cursor)) {
        table_close(walk->table);
        walk->table = NULL;
        walk->has_row = false;
        if (walk->shard_next == walk->shards_count) {
            return true;
        }
        if (!interrupt_check(err) ||
            !run_input_open(walk->run, walk->schema, walk->shard_next++, &walk->table, err)) {
            return false;
        }
        walk->cursor = table_cursor_start(walk->table);
    }
    walk->has_row = true;
    return true;
}

bool shard_walk_start(struct shard_walk *walk, struct run *run, const struct table_schema *schema,
                      struct err *err) {
    const struct stage_output *output;
    (void)stage_of_table(run_stages(run), schema, &output);
    *walk = (struct shard_walk){.run = run, .schema = schema};
    walk->shards_count = output->is_sharded ? run_shards_count(run) : 1;
    return shard_walk_next(walk, err);
}

bool shard_walk_to(struct shard_walk *walk, struct text key, bool *is_found, struct err *err) {
    enum { KEY_COLUMN = 0 };
    while (walk->has_row) {
        int order = text_compare(table_get_text(&walk->cursor, KEY_COLUMN), key);
        if (order >= 0) {
            *is_found = order == 0;
            return true;
        }
        if (!shard_walk_next(walk, err)) {
            return false;
        }
    }
    *is_found = false;
    return true;
}

void shard_walk_close(struct shard_walk *walk) {
    table_close(walk->table);
    *walk = (struct shard_walk){0};
}

bool run_has_table(const struct run *run, const struct table_schema *schema) {
    const struct stage_output *output;
    return run_stage_is_done(run, stage_of_table(run_stages(run), schema, &output));
}
