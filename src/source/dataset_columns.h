/*
 * The columns of every small file of the dataset folder, declared: name, required, default, type,
 * and the column of the checkpoint table they are copied to. The loader and the writer walk these
 * tables, so that a new column is a new row. Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_DATASET_COLUMNS_H
#define PERIODCLOSE_SOURCE_DATASET_COLUMNS_H

#include "source/catalog.h"
#include "source/csv.h"
#include "table/checkpoint.h"

/* A field of a row, read. Which member is meant says the type of its column. */
struct field {
    bool is_given; /* a default counts as given */
    union {
        struct text text;
        struct decimal decimal;
        struct instant instant;
        struct month month;
        const struct currency *currency;
        int64_t integer; /* also the index of a choice */
        bool boolean;
    };
};

enum { FIELD_REASON_MAX = 200 };

struct column;

/* What a field holds, for those who send it on. */
enum field_kind {
    FIELD_TEXT,
    FIELD_DECIMAL,
    FIELD_INSTANT,
    FIELD_MONTH,
    FIELD_CURRENCY,
    FIELD_INTEGER,
    FIELD_BOOLEAN,
    FIELD_CHOICE,
};

struct field_type {
    enum field_kind kind;
    /* False: the reason why not. text is not empty and valid UTF-8. */
    bool (*parse)(const struct column *column, struct text text, struct field *field,
                  char reason[FIELD_REASON_MAX]);
    void (*put)(const struct column *column, const struct field *field,
                struct table_writer *writer);
    size_t packed_bytes; /* of the member; 0: a text, with its size before it */
};

struct column {
    const char *name;
    bool is_required;
    const char *fallback; /* NULL: none */
    const struct field_type *type;
    int copied_to; /* column of the checkpoint table, or COLUMN_NOT_COPIED */
    const char *(*choice_name)(size_t index); /* choices only; NULL ends them */
};

#define COLUMN_NOT_COPIED (-1)

/* In the order of the enums, which name the fields. */
enum {
    ORG_FIELD_ID,
    ORG_FIELD_NAME,
    ORG_FIELD_STATUS,
    ORG_FIELD_CURRENCY,
    ORG_FIELD_TIMEZONE,
    ORG_FIELD_ANCHOR_DAY,
    ORG_FIELD_OVERAGE_ENABLED,
    ORG_FIELD_OVERAGE_CAP,
    ORG_FIELD_STRIPE_CUSTOMER_ID,
    ORG_FIELD_STRIPE_SUBSCRIPTION_ID,
    ORG_FIELD_STRIPE_ITEM_MODE,
    ORG_FIELD_DODO_CUSTOMER_ID,
    ORG_FIELDS_COUNT,
};
enum { PLAN_FIELD_ID, PLAN_FIELD_NAME, PLAN_FIELD_CURRENCY, PLAN_FIELDS_COUNT };
enum {
    PRICE_FIELD_PLAN_ID,
    PRICE_FIELD_METRIC,
    PRICE_FIELD_AGGREGATION,
    PRICE_FIELD_MODEL,
    PRICE_FIELD_INCLUDED,
    PRICE_FIELD_HARD_LIMIT,
    PRICE_FIELD_UNIT_PRICE,
    PRICE_FIELD_PACKAGE_SIZE,
    PRICE_FIELD_UNIT,
    PRICE_FIELDS_COUNT,
};
enum {
    TIER_FIELD_PLAN_ID,
    TIER_FIELD_METRIC,
    TIER_FIELD_UP_TO,
    TIER_FIELD_UNIT_PRICE,
    TIER_FIELD_FLAT_PRICE,
    TIER_FIELDS_COUNT,
};
enum {
    SUBSCRIPTION_FIELD_ORG_ID,
    SUBSCRIPTION_FIELD_PLAN_ID,
    SUBSCRIPTION_FIELD_STARTS_AT,
    SUBSCRIPTION_FIELD_ENDS_AT,
    SUBSCRIPTION_FIELDS_COUNT,
};
enum {
    LIMIT_FIELD_ORG_ID,
    LIMIT_FIELD_METRIC,
    LIMIT_FIELD_SOFT_LIMIT,
    LIMIT_FIELD_HARD_LIMIT,
    LIMIT_FIELDS_COUNT,
};
enum {
    HISTORY_FIELD_ORG_ID,
    HISTORY_FIELD_METRIC,
    HISTORY_FIELD_PERIOD,
    HISTORY_FIELD_QUANTITY,
    HISTORY_FIELD_CLOSING_LEVEL,
    HISTORY_FIELD_OVERAGE,
    HISTORY_FIELD_COST,
    HISTORY_FIELD_CURRENCY,
    HISTORY_FIELD_PROJECTED,
    HISTORY_FIELD_PROJECTED_COST,
    HISTORY_FIELDS_COUNT,
};
enum {
    INVITATION_FIELD_ID,
    INVITATION_FIELD_ORG_ID,
    INVITATION_FIELD_EMAIL,
    INVITATION_FIELD_ROLE,
    INVITATION_FIELD_STATUS,
    INVITATION_FIELD_CREATED_AT,
    INVITATION_FIELD_EXPIRES_AT,
    INVITATION_FIELD_ACCEPTED_AT,
    INVITATION_FIELDS_COUNT,
};

enum dataset_file_number {
    DATASET_ORGS,
    DATASET_PLANS,
    DATASET_PRICES,
    DATASET_TIERS,
    DATASET_SUBSCRIPTIONS,
    DATASET_LIMITS,
    DATASET_HISTORY,
    DATASET_INVITATIONS,
    DATASET_FILES_COUNT,
};

struct dataset_file_columns {
    const char *file;
    const char *relation;  /* its like in a database */
    const char *statement; /* which gives it out, its columns in this order */
    size_t key_columns;    /* the first ones: what a row of it is called by */
    bool is_optional;
    const struct column *columns;
    size_t columns_count;
};

extern const struct dataset_file_columns dataset_files[DATASET_FILES_COUNT];

/* As csv_open wants them. */
void columns_declare(const struct dataset_file_columns *file,
                     struct csv_column declared[CSV_COLUMNS_MAX]);

/*
 * Parses one field; an empty one gives the default, or is not given. False: the reason, and the
 * field is as if it had been empty.
 */
bool column_parse(const struct column *column, struct text text, struct field *field,
                  char reason[FIELD_REASON_MAX]);

/* The fields that are copied, as bytes at the end of buffer, and back; texts point into bytes. */
bool columns_pack(const struct dataset_file_columns *file, const struct field *fields,
                  struct buffer *buffer, struct err *err);
void columns_unpack(const struct dataset_file_columns *file, struct text bytes,
                    struct field *fields);

/* Puts the fields that are copied and given into the row being filled. */
void columns_put(const struct dataset_file_columns *file, const struct field *fields,
                 struct table_writer *writer);

#endif
