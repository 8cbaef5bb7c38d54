/*
 * Writing the reports of a run from what there is: by the report stage, and by `report RUN` on a
 * run that is not finished (for review before recording).
 */
#ifndef PERIODCLOSE_STAGE_REPORT_WRITING_H
#define PERIODCLOSE_STAGE_REPORT_WRITING_H

#include "run/run.h"

enum { REPORTS_MAX = 16 };

struct written_reports {
    size_t reports_count;
    struct {
        char relative_path[64]; /* reports/usage.csv */
        uint64_t rows_count;
        struct digest digest;
    } reports[REPORTS_MAX];
};

/*
 * Writes every report that the finished stages allow, and SHA256SUMS, into RUN/reports. totals, if
 * not NULL, receives the equations between the reports and the tables. ERR_MISMATCH when not even
 * extract is done.
 */
bool reports_write(struct run *run, size_t jobs, struct totals *totals,
                   struct written_reports *written, struct err *err);

#endif
