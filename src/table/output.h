/*
 * The file that a table's writer fills: messages in Arrow's form, on their way to a saver.
 *
 * What is small is gathered in `pending`; large buffers of a batch go to the saver where they lie.
 * Internal to src/table.
 */
#ifndef PERIODCLOSE_TABLE_OUTPUT_H
#define PERIODCLOSE_TABLE_OUTPUT_H

#include "sys/saver.h"
#include "table/table.h"

struct table_output {
    const struct table_schema *schema;
    struct saver *saver;
    struct buffer pending; /* not yet given to the saver */
    struct buffer message;
    struct buffer blocks;      /* Arrow's Block of each batch */
    struct buffer schema_part; /* see arrow_build_schema */
    size_t schema_table;
    uint64_t size_bytes; /* of the file so far, pending included */
};

enum { TABLE_BUFFERS_MAX = 3 * TABLE_COLUMNS_MAX };

/* A buffer of a batch's body; zeros up to the next multiple of 64 follow it in the file. */
struct table_piece {
    void *bytes; /* of mem_alloc; NULL when empty */
    size_t size_bytes;
};

struct table_parts {
    size_t rows_count;
    size_t nulls_counts[TABLE_COLUMNS_MAX];
    struct table_piece pieces[TABLE_BUFFERS_MAX]; /* in Arrow's order */
    size_t pieces_count;
    bool is_last; /* the pieces' memory is the output's from now on, also after a failure */
};

/* Creates the file with its head. */
bool table_output_open(struct table_output *output, const struct sys *sys, const char *path,
                       const struct table_metadata *metadata, size_t metadata_count,
                       struct err *err);
/*
 * Writes a batch. *is_routed: its large pieces go where they lie, and if it is not the last one
 * they may be touched again when the next batch was routed too, or after table_output_settle.
 */
bool table_output_batch(struct table_output *output, const struct table_parts *parts,
                        bool *is_routed, struct err *err);
void table_output_settle(struct table_output *output);
/* Writes the footer, and gives everything to the saver. */
bool table_output_end(struct table_output *output, struct err *err);
/* Waits until all is in the temporary file; until that is durable, and left; whether it would wait.
 */
bool table_output_digest(struct table_output *output, struct digest *digest, struct err *err);
bool table_output_leave(struct table_output *output, struct err *err);
bool table_output_is_left(struct table_output *output);
/* Waits until the file is there, durable. */
bool table_output_finish(struct table_output *output, struct digest *digest, struct err *err);
void table_output_release(struct table_output *output); /* abandons the file, if not finished */

#endif
