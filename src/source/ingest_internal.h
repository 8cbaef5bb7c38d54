/* What the parts of ingest share. Internal to src/source. */
#ifndef PERIODCLOSE_SOURCE_INGEST_INTERNAL_H
#define PERIODCLOSE_SOURCE_INGEST_INTERNAL_H

#include "core/digest.h"
#include "dataset_internal.h"
#include "db/copy.h"
#include "source/ingest.h"
#include "sys/files.h"

struct ingest {
    const struct sys *sys;
    struct db *db;
    const struct ingest_options *options;
    struct problems *problems;
    struct vector counts; /* of struct ingest_counts */
    char folder[FILE_PATH_MAX];
    bool is_dataset; /* the folder's other files are taken, too */
    struct dataset *dataset;
    struct dataset_file *usage_files;
    size_t usage_files_count;
    uint64_t bytes_total;
    uint64_t bytes_done;
    uint64_t rows_total;
    uint64_t rows_done;
};

/* What a file has come to; the same one for the same name. */
bool ingest_count(struct ingest *ingest, const char *name, const struct ingest_counts *more,
                  struct err *err);

/* ingest_stage.c: files into the staging tables, judged row by row. */
bool ingest_stage_usage(struct ingest *ingest, struct err *err);
bool ingest_stage_seats(struct ingest *ingest, struct err *err);
/* The small files, found sound before. */
bool ingest_stage_dataset(struct ingest *ingest, struct err *err);

/* ingest_merge.c: small files, in the caller's transaction. */
bool ingest_merge_dataset(struct ingest *ingest, struct err *err);

/* ingest_usage.c: usage that was staged. */
bool ingest_lock_files(struct ingest *ingest, struct err *err);
bool ingest_judge_usage(struct ingest *ingest, struct err *err);
bool ingest_take_usage(struct ingest *ingest, struct err *err);

#endif
