/* What the calls have in common: parameters, pages, amounts. */
#include <stdlib.h>
#include <string.h>

#include "core/money.h"
#include "stripe_sim/api.h"

enum {
    PAGE_DEFAULT = 10,
    PAGE_MAX = 100,
    METADATA_KEYS_MAX = 50,
    METADATA_KEY_MAX = 40,
    METADATA_VALUE_MAX = 500,
};

static const int64_t amount_max = INT64_C(999999999999);

const char *param_text(const json_t *params, const char *name) {
    return json_string_value(json_object_get(params, name));
}

bool param_integer(const json_t *params, const char *name, int64_t *value) {
    const char *text = param_text(params, name);
    if (text != NULL) {
        *value = strtoll(text, NULL, 10);
    }
    return text != NULL;
}

bool param_is_true(const json_t *params, const char *name, bool otherwise) {
    const char *text = param_text(params, name);
    return text != NULL ? strcmp(text, "true") == 0 : otherwise;
}

static size_t characters_count(const char *text) {
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xC0U) != 0x80U;
    }
    return count;
}

bool metadata_accepts(const json_t *params, const char *name, struct answer *answer) {
    const json_t *metadata = json_object_get(params, name);
    const char *key = NULL;
    json_t *value = NULL;
    if (json_object_size(metadata) > METADATA_KEYS_MAX) {
        return answer_refuse(answer, 400, "parameter_invalid", name,
                             "Metadata can have at most 50 keys.");
    }
    json_object_foreach((json_t *)metadata, key, value) {
        if (characters_count(key) > METADATA_KEY_MAX) {
            return answer_refuse(answer, 400, "parameter_invalid", name,
                                 "Metadata keys can have at most 40 characters.");
        }
        if (characters_count(json_string_value(value)) > METADATA_VALUE_MAX) {
            return answer_refuse(answer, 400, "parameter_invalid", name,
                                 "Metadata values can have at most 500 characters.");
        }
    }
    return true;
}

json_t *metadata_of(const json_t *params, const char *name) {
    const json_t *metadata = json_object_get(params, name);
    json_t *result = must(json_object());
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)metadata, key, value) {
        if (json_string_length(value) > 0) { /* an empty value unsets its key */
            (void)json_object_set(result, key, value);
        }
    }
    return result;
}

/* --- pages --------------------------------------------------------------------------------------
 */

bool created_fits(const json_t *params, int64_t value) {
    const json_t *created = json_object_get(params, "created");
    int64_t bound = 0;
    if (json_is_string(created)) {
        return param_integer(params, "created", &bound) && value == bound;
    }
    return !(param_integer(created, "gt", &bound) && value <= bound) &&
           !(param_integer(created, "gte", &bound) && value < bound) &&
           !(param_integer(created, "lt", &bound) && value >= bound) &&
           !(param_integer(created, "lte", &bound) && value > bound);
}

/* The position of the object with that id; the array's size when there is none. */
static size_t position_of(const json_t *candidates, const char *id) {
    size_t index = 0;
    while (index < json_array_size(candidates) &&
           strcmp(field_text(json_array_get(candidates, index), "id"), id) != 0) {
        index++;
    }
    return index;
}

/* Newest first from position `from` down to `until` (exclusive); *has_more: there would be more. */
static void gather_newest(json_t *page, const json_t *candidates, const json_t *params,
                          bool (*wanted)(const json_t *object, const json_t *params), size_t from,
                          size_t limit, bool *has_more) {
    for (size_t index = from; index > 0; index--) {
        json_t *object = json_array_get(candidates, index - 1);
        if (wanted != NULL && !wanted(object, params)) {
            continue;
        }
        if (json_array_size(page) == limit) {
            *has_more = true;
            return;
        }
        (void)json_array_append(page, object);
    }
}

/* The page before (newer than) position `after`, still shown newest first. */
static void gather_newer(json_t *page, const json_t *candidates, const json_t *params,
                         bool (*wanted)(const json_t *object, const json_t *params), size_t after,
                         size_t limit, bool *has_more) {
    for (size_t index = after + 1; index < json_array_size(candidates); index++) {
        json_t *object = json_array_get(candidates, index);
        if (wanted != NULL && !wanted(object, params)) {
            continue;
        }
        if (json_array_size(page) == limit) {
            *has_more = true;
            return;
        }
        (void)json_array_insert(page, 0, object);
    }
}

bool answer_page(struct answer *answer, const json_t *params, const json_t *candidates,
                 bool (*wanted)(const json_t *object, const json_t *params), const char *url) {
    int64_t limit = PAGE_DEFAULT;
    const char *after = param_text(params, "starting_after");
    const char *before = param_text(params, "ending_before");
    const char *cursor = after != NULL ? after : before;
    (void)param_integer(params, "limit", &limit);
    if (limit < 1 || limit > PAGE_MAX) {
        return answer_refuse(answer, 400, "parameter_invalid_integer", "limit",
                             "limit must be between 1 and 100.");
    }
    if (after != NULL && before != NULL) {
        return answer_refuse(answer, 400, "parameter_invalid", "ending_before",
                             "Give starting_after or ending_before, not both.");
    }
    size_t position = json_array_size(candidates);
    if (cursor != NULL) {
        position = position_of(candidates, cursor);
        if (position == json_array_size(candidates)) {
            return answer_refuse(answer, 404, "resource_missing",
                                 after != NULL ? "starting_after" : "ending_before",
                                 "No such object: '%s'", cursor);
        }
    }
    json_t *page = must(json_array());
    bool has_more = false;
    if (before != NULL) {
        gather_newer(page, candidates, params, wanted, position, (size_t)limit, &has_more);
    } else {
        gather_newest(page, candidates, params, wanted, position, (size_t)limit, &has_more);
    }
    answer->body = must(json_pack("{s:s, s:s, s:b, s:o}", "object", "list", "url", url, "has_more",
                                  has_more, "data", page));
    return true;
}

/* --- amounts ------------------------------------------------------------------------------------
 */

bool amount_accepts(int64_t amount, const char *code, struct answer *answer) {
    const struct currency *currency = currency_find(text_from(code));
    if (currency == NULL) {
        return answer_refuse(answer, 400, "parameter_invalid", "currency", "Invalid currency: %s.",
                             code);
    }
    if (amount > amount_max || amount < -amount_max) {
        return answer_refuse(answer, 400, amount > 0 ? "amount_too_large" : "amount_too_small",
                             "amount", "Amount must be no more than 999,999,999,999.");
    }
    static const char *const hundreds[] = {"isk", "ugx"};
    static const char *const tens[] = {"bhd", "jod", "kwd", "omr", "tnd"};
    int64_t multiple = 1;
    for (size_t index = 0; index < sizeof hundreds / sizeof hundreds[0]; index++) {
        multiple = strcmp(code, hundreds[index]) == 0 ? 100 : multiple;
    }
    for (size_t index = 0; index < sizeof tens / sizeof tens[0]; index++) {
        multiple = strcmp(code, tens[index]) == 0 ? 10 : multiple;
    }
    return amount % multiple == 0 ||
           answer_refuse(answer, 400, "parameter_invalid", "amount",
                         "Invalid amount: amounts in %s must be divisible by %lld.", code,
                         (long long)multiple);
}

bool amount_of_price(const json_t *params, const json_t *unit_params, int64_t *amount,
                     struct answer *answer) {
    struct decimal quantity = DECIMAL_ONE;
    struct decimal unit = DECIMAL_ZERO;
    struct decimal total;
    const char *quantity_text = param_text(params, "quantity_decimal");
    const char *unit_text = param_text(unit_params, "unit_amount_decimal");
    if (quantity_text != NULL && param_text(params, "quantity") != NULL) {
        return answer_refuse(answer, 400, "parameter_invalid", "quantity",
                             "Give quantity or quantity_decimal, not both.");
    }
    if (quantity_text == NULL) {
        quantity_text = param_text(params, "quantity");
    }
    if (unit_text == NULL) {
        unit_text = param_text(unit_params, "unit_amount");
    }
    if (unit_text == NULL) {
        return answer_refuse(answer, 400, "parameter_missing", "amount",
                             "Give amount, or a unit amount.");
    }
    struct exact product = EXACT_ZERO;
    if ((quantity_text != NULL &&
         decimal_parse(text_from(quantity_text), &quantity) != DECIMAL_OK) ||
        decimal_is_negative(quantity) || decimal_parse(text_from(unit_text), &unit) != DECIMAL_OK ||
        !exact_add_product(&product, quantity, unit) ||
        !exact_round_half_away(product, DECIMAL_ONE, &total) ||
        total.units / DECIMAL_ONE.units > (int128)amount_max * 10) {
        return answer_refuse(answer, 400, "parameter_invalid", "quantity_decimal",
                             "Invalid quantity or unit amount.");
    }
    *amount = (int64_t)(total.units / DECIMAL_ONE.units);
    return true;
}
