/* The table of stages: the pipeline. One row per stage, one file per row in src/stage. */
#ifndef PERIODCLOSE_STAGE_STAGES_H
#define PERIODCLOSE_STAGE_STAGES_H

#include "run/stage.h"

struct stage_list stages_all(void);

/* The rows, for code that means one of them. */
extern const struct stage stage_extract;
extern const struct stage stage_meter;
extern const struct stage stage_rate;
extern const struct stage stage_project;
extern const struct stage stage_record;
extern const struct stage stage_emit;
extern const struct stage stage_report;

#endif
