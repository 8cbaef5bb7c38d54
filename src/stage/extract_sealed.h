/* What a revision keeps: terms sealed with the one before it. Internal to src/stage. */
#ifndef PERIODCLOSE_SRC_STAGE_EXTRACT_SEALED_H
#define PERIODCLOSE_SRC_STAGE_EXTRACT_SEALED_H

#include "db/db.h"
#include "run/run.h"
#include "source/dataset.h"

/* Open as long as the dataset that points into them. */
struct sealed_tables {
    struct sealed_terms terms;
    struct table **orgs;
    struct table **limits;
};

/* Of a run. Close also after a failure. */
bool sealed_open(struct sealed_tables *sealed, struct run *previous, struct err *err);
/* The same out of the database. No more than orgs, without a row, when nothing is recorded. */
bool sealed_read(struct sealed_tables *sealed, struct run *run, struct db *db, struct err *err);
void sealed_close(struct sealed_tables *sealed);

#endif
