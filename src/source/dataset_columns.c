#include "dataset_columns.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* --- types ----------------------------------------------------------------------------------- */

static bool refuse(char reason[FIELD_REASON_MAX], const char *text) {
    (void)snprintf(reason, FIELD_REASON_MAX, "%s", text);
    return false;
}

static bool parse_text(const struct column *column, struct text text, struct field *field,
                       char reason[FIELD_REASON_MAX]) {
    (void)column;
    (void)reason;
    field->text = text;
    return true;
}

static bool parse_id(const struct column *column, struct text text, struct field *field,
                     char reason[FIELD_REASON_MAX]) {
    (void)column;
    field->text = text;
    const char *fault = catalog_check_id(text);
    return fault == NULL || refuse(reason, fault);
}

static bool parse_metric(const struct column *column, struct text text, struct field *field,
                         char reason[FIELD_REASON_MAX]) {
    (void)column;
    field->text = text;
    const char *fault = catalog_check_metric(text);
    return fault == NULL || refuse(reason, fault);
}

static bool parse_decimal(const struct column *column, struct text text, struct field *field,
                          char reason[FIELD_REASON_MAX]) {
    (void)column;
    enum decimal_fault fault = decimal_parse(text, &field->decimal);
    return fault == DECIMAL_OK || refuse(reason, decimal_fault_text(fault));
}

static bool parse_amount(const struct column *column, struct text text, struct field *field,
                         char reason[FIELD_REASON_MAX]) {
    return parse_decimal(column, text, field, reason) &&
           (!decimal_is_negative(field->decimal) || refuse(reason, "is negative"));
}

static bool parse_positive(const struct column *column, struct text text, struct field *field,
                           char reason[FIELD_REASON_MAX]) {
    return parse_decimal(column, text, field, reason) &&
           (field->decimal.units > 0 || refuse(reason, "is not above zero"));
}

static bool parse_instant(const struct column *column, struct text text, struct field *field,
                          char reason[FIELD_REASON_MAX]) {
    (void)column;
    const char *fault = instant_parse(text, &field->instant);
    return fault == NULL || refuse(reason, fault);
}

static bool parse_month(const struct column *column, struct text text, struct field *field,
                        char reason[FIELD_REASON_MAX]) {
    (void)column;
    const char *fault = month_parse(text, &field->month);
    return fault == NULL || refuse(reason, fault);
}

static bool parse_currency(const struct column *column, struct text text, struct field *field,
                           char reason[FIELD_REASON_MAX]) {
    (void)column;
    field->currency = currency_find(text);
    return field->currency != NULL || refuse(reason, "is no currency known here");
}

static bool parse_anchor_day(const struct column *column, struct text text, struct field *field,
                             char reason[FIELD_REASON_MAX]) {
    (void)column;
    int64_t day = 0;
    bool is_number = text.size_bytes <= 2;
    for (size_t index = 0; is_number && index < text.size_bytes; index++) {
        is_number = text.bytes[index] >= '0' && text.bytes[index] <= '9';
        day = day * 10 + (text.bytes[index] - '0');
    }
    field->integer = day;
    return (is_number && day >= 1 && day <= 31) ||
           refuse(reason, "is not a day of the month, 1 to 31");
}

/* name is in lower case, text in any. */
static bool is_word(struct text text, const char *name) {
    size_t index = 0;
    for (; index < text.size_bytes && name[index] != '\0'; index++) {
        char byte = text.bytes[index];
        if ((byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte) != name[index]) {
            return false;
        }
    }
    return index == text.size_bytes && name[index] == '\0';
}

static bool parse_boolean(const struct column *column, struct text text, struct field *field,
                          char reason[FIELD_REASON_MAX]) {
    static const char *const words[][2] = {{"false", "true"}, {"f", "t"}, {"no", "yes"},
                                           {"n", "y"},        {"0", "1"}, {"off", "on"}};
    (void)column;
    for (size_t pair = 0; pair < sizeof words / sizeof words[0]; pair++) {
        for (size_t value = 0; value < 2; value++) {
            if (is_word(text, words[pair][value])) {
                field->boolean = value == 1;
                return true;
            }
        }
    }
    return refuse(reason, "is neither true nor false");
}

static bool parse_choice(const struct column *column, struct text text, struct field *field,
                         char reason[FIELD_REASON_MAX]) {
    size_t length = 0;
    const char *name = column->choice_name(0);
    for (size_t index = 0; name != NULL; index++) {
        if (text_equals(text, text_from(name))) {
            field->integer = (int64_t)index;
            return true;
        }
        int written = snprintf(reason + length, FIELD_REASON_MAX - length, "%s%s",
                               index == 0 ? "is none of " : ", ", name);
        assert(written > 0 && length + (size_t)written < FIELD_REASON_MAX);
        length += (size_t)written;
        name = column->choice_name(index + 1);
    }
    return false;
}

static void put_text(const struct column *column, const struct field *field,
                     struct table_writer *writer) {
    table_put_text(writer, (size_t)column->copied_to, field->text);
}

static void put_decimal(const struct column *column, const struct field *field,
                        struct table_writer *writer) {
    table_put_decimal(writer, (size_t)column->copied_to, field->decimal);
}

static void put_instant(const struct column *column, const struct field *field,
                        struct table_writer *writer) {
    table_put_instant(writer, (size_t)column->copied_to, field->instant);
}

static void put_integer(const struct column *column, const struct field *field,
                        struct table_writer *writer) {
    table_put_int64(writer, (size_t)column->copied_to, field->integer);
}

static void put_boolean(const struct column *column, const struct field *field,
                        struct table_writer *writer) {
    table_put_bool(writer, (size_t)column->copied_to, field->boolean);
}

static void put_currency(const struct column *column, const struct field *field,
                         struct table_writer *writer) {
    table_put_text(writer, (size_t)column->copied_to, text_from(field->currency->code));
}

static void put_choice(const struct column *column, const struct field *field,
                       struct table_writer *writer) {
    const char *name = column->choice_name((size_t)field->integer);
    table_put_text(writer, (size_t)column->copied_to, text_from(name));
}

static void put_month(const struct column *column, const struct field *field,
                      struct table_writer *writer) {
    char text[INSTANT_TEXT_MAX];
    size_t size_bytes = month_format(field->month, text);
    table_put_text(writer, (size_t)column->copied_to, (struct text){text, size_bytes});
}

#define MEMBER_BYTES(member) sizeof(((struct field *)NULL)->member)

static const struct field_type type_text = {FIELD_TEXT, parse_text, put_text, 0};
static const struct field_type type_id = {FIELD_TEXT, parse_id, put_text, 0};
static const struct field_type type_metric = {FIELD_TEXT, parse_metric, put_text, 0};
static const struct field_type type_decimal = {FIELD_DECIMAL, parse_decimal, put_decimal,
                                               MEMBER_BYTES(decimal)};
static const struct field_type type_amount = {FIELD_DECIMAL, parse_amount, put_decimal,
                                              MEMBER_BYTES(decimal)};
static const struct field_type type_positive = {FIELD_DECIMAL, parse_positive, put_decimal,
                                                MEMBER_BYTES(decimal)};
static const struct field_type type_instant = {FIELD_INSTANT, parse_instant, put_instant,
                                               MEMBER_BYTES(instant)};
static const struct field_type type_month = {FIELD_MONTH, parse_month, put_month,
                                             MEMBER_BYTES(month)};
static const struct field_type type_currency = {FIELD_CURRENCY, parse_currency, put_currency,
                                                MEMBER_BYTES(currency)};
static const struct field_type type_anchor_day = {FIELD_INTEGER, parse_anchor_day, put_integer,
                                                  MEMBER_BYTES(integer)};
static const struct field_type type_boolean = {FIELD_BOOLEAN, parse_boolean, put_boolean,
                                               MEMBER_BYTES(boolean)};
static const struct field_type type_choice = {FIELD_CHOICE, parse_choice, put_choice,
                                              MEMBER_BYTES(integer)};

/* --- choices --------------------------------------------------------------------------------- */

static const char *status_name(size_t index) {
    return index < ORG_STATUSES_COUNT ? org_status_names[index] : NULL;
}

static const char *item_mode_name(size_t index) {
    static const char *const names[] = {"amount", "quantity"};
    return index < sizeof names / sizeof names[0] ? names[index] : NULL;
}

static const char *aggregation_name(size_t index) {
    return index < AGGREGATIONS_COUNT ? aggregation_table[index].name : NULL;
}

static const char *model_name(size_t index) {
    return index < MODELS_COUNT ? model_table[index].name : NULL;
}

/* --- the files ------------------------------------------------------------------------------- */

#define NOT_COPIED COLUMN_NOT_COPIED

static const struct column org_columns[] = {
    [ORG_FIELD_ID] = {"org_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [ORG_FIELD_NAME] = {"name", false, NULL, &type_text, ORGS_NAME, NULL},
    [ORG_FIELD_STATUS] = {"status", false, "active", &type_choice, ORGS_STATUS, status_name},
    [ORG_FIELD_CURRENCY] = {"currency", false, "usd", &type_currency, ORGS_CURRENCY, NULL},
    [ORG_FIELD_TIMEZONE] = {"timezone", false, "UTC", &type_id, ORGS_TIMEZONE, NULL},
    [ORG_FIELD_ANCHOR_DAY] = {"anchor_day", false, "1", &type_anchor_day, ORGS_ANCHOR_DAY, NULL},
    [ORG_FIELD_OVERAGE_ENABLED] = {"overage_enabled", false, "true", &type_boolean,
                                   ORGS_OVERAGE_ENABLED, NULL},
    [ORG_FIELD_OVERAGE_CAP] = {"overage_cap", false, NULL, &type_amount, ORGS_OVERAGE_CAP, NULL},
    [ORG_FIELD_STRIPE_CUSTOMER_ID] = {"stripe_customer_id", false, NULL, &type_id,
                                      ORGS_STRIPE_CUSTOMER_ID, NULL},
    [ORG_FIELD_STRIPE_SUBSCRIPTION_ID] = {"stripe_subscription_id", false, NULL, &type_id,
                                          ORGS_STRIPE_SUBSCRIPTION_ID, NULL},
    [ORG_FIELD_STRIPE_ITEM_MODE] = {"stripe_item_mode", false, "amount", &type_choice,
                                    ORGS_STRIPE_ITEM_MODE, item_mode_name},
    [ORG_FIELD_DODO_CUSTOMER_ID] = {"dodo_customer_id", false, NULL, &type_id,
                                    ORGS_DODO_CUSTOMER_ID, NULL},
};

static const struct column plan_columns[] = {
    [PLAN_FIELD_ID] = {"plan_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [PLAN_FIELD_NAME] = {"name", false, NULL, &type_text, NOT_COPIED, NULL},
    [PLAN_FIELD_CURRENCY] = {"currency", false, "usd", &type_currency, NOT_COPIED, NULL},
};

/* The default of aggregation is `last` for seats and `sum` for all else: see dataset_plans.c. */
static const struct column price_columns[] = {
    [PRICE_FIELD_PLAN_ID] = {"plan_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [PRICE_FIELD_METRIC] = {"metric", true, NULL, &type_metric, NOT_COPIED, NULL},
    [PRICE_FIELD_AGGREGATION] = {"aggregation", false, NULL, &type_choice, NOT_COPIED,
                                 aggregation_name},
    [PRICE_FIELD_MODEL] = {"model", false, "per_unit", &type_choice, NOT_COPIED, model_name},
    [PRICE_FIELD_INCLUDED] = {"included", false, "0", &type_amount, NOT_COPIED, NULL},
    [PRICE_FIELD_HARD_LIMIT] = {"hard_limit", false, NULL, &type_amount, NOT_COPIED, NULL},
    [PRICE_FIELD_UNIT_PRICE] = {"unit_price", false, NULL, &type_amount, NOT_COPIED, NULL},
    [PRICE_FIELD_PACKAGE_SIZE] = {"package_size", false, NULL, &type_positive, NOT_COPIED, NULL},
    [PRICE_FIELD_UNIT] = {"unit", false, NULL, &type_text, NOT_COPIED, NULL},
};

static const struct column tier_columns[] = {
    [TIER_FIELD_PLAN_ID] = {"plan_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [TIER_FIELD_METRIC] = {"metric", true, NULL, &type_metric, NOT_COPIED, NULL},
    [TIER_FIELD_UP_TO] = {"up_to", false, NULL, &type_positive, NOT_COPIED, NULL},
    [TIER_FIELD_UNIT_PRICE] = {"unit_price", true, NULL, &type_amount, NOT_COPIED, NULL},
    [TIER_FIELD_FLAT_PRICE] = {"flat_price", false, "0", &type_amount, NOT_COPIED, NULL},
};

static const struct column subscription_columns[] = {
    [SUBSCRIPTION_FIELD_ORG_ID] = {"org_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [SUBSCRIPTION_FIELD_PLAN_ID] = {"plan_id", true, NULL, &type_id, SUBSCRIPTIONS_PLAN_ID, NULL},
    [SUBSCRIPTION_FIELD_STARTS_AT] = {"starts_at", false, NULL, &type_instant,
                                      SUBSCRIPTIONS_STARTS_AT, NULL},
    [SUBSCRIPTION_FIELD_ENDS_AT] = {"ends_at", false, NULL, &type_instant, SUBSCRIPTIONS_ENDS_AT,
                                    NULL},
};

static const struct column limit_columns[] = {
    [LIMIT_FIELD_ORG_ID] = {"org_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [LIMIT_FIELD_METRIC] = {"metric", true, NULL, &type_metric, LIMITS_METRIC, NULL},
    [LIMIT_FIELD_SOFT_LIMIT] = {"soft_limit", false, NULL, &type_amount, LIMITS_SOFT_LIMIT, NULL},
    [LIMIT_FIELD_HARD_LIMIT] = {"hard_limit", false, NULL, &type_amount, LIMITS_HARD_LIMIT, NULL},
};

static const struct column history_columns[] = {
    [HISTORY_FIELD_ORG_ID] = {"org_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [HISTORY_FIELD_METRIC] = {"metric", true, NULL, &type_metric, HISTORY_METRIC, NULL},
    [HISTORY_FIELD_PERIOD] = {"period", true, NULL, &type_month, HISTORY_PERIOD, NULL},
    [HISTORY_FIELD_QUANTITY] = {"quantity", true, NULL, &type_decimal, HISTORY_QUANTITY, NULL},
    [HISTORY_FIELD_CLOSING_LEVEL] = {"closing_level", false, NULL, &type_decimal,
                                     HISTORY_CLOSING_LEVEL, NULL},
    [HISTORY_FIELD_OVERAGE] = {"overage", false, NULL, &type_decimal, HISTORY_OVERAGE, NULL},
    [HISTORY_FIELD_COST] = {"cost", false, NULL, &type_decimal, HISTORY_COST, NULL},
    [HISTORY_FIELD_CURRENCY] = {"currency", false, NULL, &type_currency, HISTORY_CURRENCY, NULL},
    [HISTORY_FIELD_PROJECTED] = {"projected", false, NULL, &type_decimal, HISTORY_PROJECTED, NULL},
    [HISTORY_FIELD_PROJECTED_COST] = {"projected_cost", false, NULL, &type_decimal,
                                      HISTORY_PROJECTED_COST, NULL},
};

static const struct column invitation_columns[] = {
    [INVITATION_FIELD_ID] = {"invitation_id", true, NULL, &type_id, INVITATIONS_INVITATION_ID,
                             NULL},
    [INVITATION_FIELD_ORG_ID] = {"org_id", true, NULL, &type_id, NOT_COPIED, NULL},
    [INVITATION_FIELD_EMAIL] = {"email", false, NULL, &type_text, INVITATIONS_EMAIL, NULL},
    [INVITATION_FIELD_ROLE] = {"role", false, NULL, &type_text, INVITATIONS_ROLE, NULL},
    [INVITATION_FIELD_STATUS] = {"status", false, NULL, &type_text, INVITATIONS_STATUS, NULL},
    [INVITATION_FIELD_CREATED_AT] = {"created_at", true, NULL, &type_instant,
                                     INVITATIONS_CREATED_AT, NULL},
    [INVITATION_FIELD_EXPIRES_AT] = {"expires_at", false, NULL, &type_instant,
                                     INVITATIONS_EXPIRES_AT, NULL},
    [INVITATION_FIELD_ACCEPTED_AT] = {"accepted_at", false, NULL, &type_instant,
                                      INVITATIONS_ACCEPTED_AT, NULL},
};

#define COLUMNS_OF(columns) (columns), sizeof(columns) / sizeof((columns)[0])

const struct dataset_file_columns dataset_files[DATASET_FILES_COUNT] = {
    [DATASET_ORGS] = {"orgs.csv", "billing.orgs", "extract/orgs.sql", 1, false,
                      COLUMNS_OF(org_columns)},
    [DATASET_PLANS] = {"plans.csv", "billing.plans", "extract/plans.sql", 1, false,
                       COLUMNS_OF(plan_columns)},
    [DATASET_PRICES] = {"prices.csv", "billing.prices", "extract/prices.sql", 2, false,
                        COLUMNS_OF(price_columns)},
    [DATASET_TIERS] = {"tiers.csv", "billing.price_tiers", "extract/tiers.sql", 3, true,
                       COLUMNS_OF(tier_columns)},
    [DATASET_SUBSCRIPTIONS] = {"subscriptions.csv", "billing.subscriptions",
                               "extract/subscriptions.sql", 3, false,
                               COLUMNS_OF(subscription_columns)},
    [DATASET_LIMITS] = {"limits.csv", "billing.org_limits", "extract/limits.sql", 2, true,
                        COLUMNS_OF(limit_columns)},
    [DATASET_HISTORY] = {"usage_history.csv", "billing.org_billing_usage_monthly",
                         "extract/history.sql", 3, true, COLUMNS_OF(history_columns)},
    [DATASET_INVITATIONS] = {"invitations.csv", "billing.seat_invitations",
                             "extract/invitations.sql", 1, true, COLUMNS_OF(invitation_columns)},
};

_Static_assert(sizeof org_columns / sizeof org_columns[0] == ORG_FIELDS_COUNT, "orgs.csv");
_Static_assert(sizeof price_columns / sizeof price_columns[0] == PRICE_FIELDS_COUNT, "prices.csv");
_Static_assert(sizeof history_columns / sizeof history_columns[0] == HISTORY_FIELDS_COUNT,
               "usage_history.csv");
_Static_assert(DATASET_FILES_COUNT == 8, "a new file needs its row in dataset_files");

/* --- walking them ---------------------------------------------------------------------------- */

void columns_declare(const struct dataset_file_columns *file,
                     struct csv_column declared[CSV_COLUMNS_MAX]) {
    assert(file->columns_count <= CSV_COLUMNS_MAX);
    for (size_t index = 0; index < file->columns_count; index++) {
        declared[index].name = file->columns[index].name;
        declared[index].is_required = file->columns[index].is_required;
    }
}

bool column_parse(const struct column *column, struct text text, struct field *field,
                  char reason[FIELD_REASON_MAX]) {
    *field = (struct field){0};
    if (text.size_bytes > 0) {
        field->is_given = column->type->parse(column, text, field, reason);
        if (field->is_given) {
            return true;
        }
    }
    if (column->fallback != NULL) {
        char ignored[FIELD_REASON_MAX];
        field->is_given = column->type->parse(column, text_from(column->fallback), field, ignored);
        assert(field->is_given);
    }
    if (text.size_bytes == 0 && column->is_required) {
        return refuse(reason, "is empty, but must be given");
    }
    return text.size_bytes == 0;
}

/* Per field: whether it is given, then its value; before a text its size (at most 1 MB: csv.h). */
static size_t packed_bytes_max(const struct dataset_file_columns *file,
                               const struct field *fields) {
    size_t bytes_max = file->columns_count * (1 + sizeof(uint32_t) + sizeof(struct decimal));
    for (size_t index = 0; index < file->columns_count; index++) {
        bool is_text = file->columns[index].type->packed_bytes == 0;
        bytes_max += is_text && fields[index].is_given ? fields[index].text.size_bytes : 0;
    }
    return bytes_max;
}

bool columns_pack(const struct dataset_file_columns *file, const struct field *fields,
                  struct buffer *buffer, struct err *err) {
    if (!buffer_reserve(buffer, packed_bytes_max(file, fields), err)) {
        return false;
    }
    char *at = buffer->bytes + buffer->size_bytes;
    for (size_t index = 0; index < file->columns_count; index++) {
        const struct field *field = &fields[index];
        size_t packed_bytes = file->columns[index].type->packed_bytes;
        if (file->columns[index].copied_to == COLUMN_NOT_COPIED) {
            continue;
        }
        *at = field->is_given ? 1 : 0;
        at++;
        if (!field->is_given) {
            continue;
        }
        if (packed_bytes > 0) {
            memcpy(at, &field->integer, packed_bytes);
            at += packed_bytes;
            continue;
        }
        uint32_t text_bytes = (uint32_t)field->text.size_bytes;
        memcpy(at, &text_bytes, sizeof text_bytes);
        memcpy(at + sizeof text_bytes, field->text.bytes, text_bytes);
        at += sizeof text_bytes + text_bytes;
    }
    buffer->size_bytes = (size_t)(at - buffer->bytes);
    assert(buffer->size_bytes <= buffer->capacity_bytes);
    return true;
}

static const char *take(struct text *bytes, size_t size_bytes) {
    assert(bytes->size_bytes >= size_bytes);
    const char *taken = bytes->bytes;
    bytes->bytes += size_bytes;
    bytes->size_bytes -= size_bytes;
    return taken;
}

void columns_unpack(const struct dataset_file_columns *file, struct text bytes,
                    struct field *fields) {
    for (size_t index = 0; index < file->columns_count; index++) {
        struct field *field = &fields[index];
        *field = (struct field){0};
        size_t packed_bytes = file->columns[index].type->packed_bytes;
        if (file->columns[index].copied_to == COLUMN_NOT_COPIED || *take(&bytes, 1) == 0) {
            continue;
        }
        field->is_given = true;
        if (packed_bytes > 0) {
            memcpy(&field->integer, take(&bytes, packed_bytes), packed_bytes);
        } else {
            uint32_t text_bytes;
            memcpy(&text_bytes, take(&bytes, sizeof text_bytes), sizeof text_bytes);
            field->text = (struct text){take(&bytes, text_bytes), text_bytes};
        }
    }
    assert(bytes.size_bytes == 0);
}

void columns_put(const struct dataset_file_columns *file, const struct field *fields,
                 struct table_writer *writer) {
    for (size_t index = 0; index < file->columns_count; index++) {
        const struct column *column = &file->columns[index];
        if (column->copied_to != COLUMN_NOT_COPIED && fields[index].is_given) {
            column->type->put(column, &fields[index], writer);
        }
    }
}
