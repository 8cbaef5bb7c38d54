#include "run/stage.h"

#include <assert.h>
#include <string.h>

bool stage_touches(const struct stage *stage) {
    return stage->effect == EFFECT_DATABASE || stage->effect == EFFECT_SENDS;
}

const struct stage *stage_find(struct stage_list list, const char *name) {
    for (size_t index = 0; index < list.stages_count; index++) {
        if (strcmp(list.stages[index]->name, name) == 0) {
            return list.stages[index];
        }
    }
    return NULL;
}

const struct stage *stage_of_table(struct stage_list list, const struct table_schema *schema,
                                   const struct stage_output **output) {
    for (size_t index = 0; index < list.stages_count; index++) {
        const struct stage *stage = list.stages[index];
        for (size_t row = 0; row < stage->outputs_count; row++) {
            if (stage->outputs[row].schema == schema) {
                if (output != NULL) {
                    *output = &stage->outputs[row];
                }
                return stage;
            }
        }
    }
    assert(false); /* a table that no stage leaves */
    return NULL;
}
