#include "stage/stages.h"

#include "stage/session.h"

static const struct stage *const rows[] = {
    &stage_extract, &stage_meter, &stage_rate,   &stage_project,
    &stage_record,  &stage_emit,  &stage_report,
};

const char pin_snapshot[] = "snapshot";
const char pin_recorded[] = "recorded";
const char pin_new_results[] = "new_results";

struct stage_list stages_all(void) {
    return (struct stage_list){.stages = rows, .stages_count = sizeof rows / sizeof rows[0]};
}
