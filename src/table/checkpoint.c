#include "table/checkpoint.h"

#define COLUMN_ROW(constant, column, column_type, nullable)                                        \
    {.name = (column), .type = TABLE_##column_type, .is_nullable = (nullable)},

#define DEFINE_TABLE(table, columns_list, keys)                                                    \
    static const struct table_column table##_columns[] = {columns_list(COLUMN_ROW)};               \
    _Static_assert(sizeof table##_columns / sizeof table##_columns[0] ==                           \
                       checkpoint_##table##_columns_count,                                         \
                   "the enum and the columns of " #table " differ");                               \
    const struct table_schema checkpoint_##table = {                                               \
        .name = #table,                                                                            \
        .columns = table##_columns,                                                                \
        .columns_count = checkpoint_##table##_columns_count,                                       \
        .key_columns_count = (keys),                                                               \
    };

CHECKPOINT_TABLES(DEFINE_TABLE)
