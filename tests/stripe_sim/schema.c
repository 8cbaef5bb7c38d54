#include "stripe_sim/schema.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/decimal.h"

enum { CHECKS_MAX = 4096, DECIMAL_PLACES_MAX = 12 };

/* One value that is still to be checked. Nested values are put on a list, not called into. */
struct check {
    const json_t *schema;
    const json_t *value;
    char param[256];
};

struct checker {
    json_t *const *schemas;
    struct schema_problem *problem;
    size_t checks_count;
    struct check checks[CHECKS_MAX];
};

static bool problem_set(struct schema_problem *problem, const char *param, const char *code,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool problem_set(struct schema_problem *problem, const char *param, const char *code,
                        const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(problem->message, sizeof problem->message, format, arguments);
    va_end(arguments);
    problem->code = code;
    (void)snprintf(problem->param, sizeof problem->param, "%s", param);
    return false;
}

const json_t *schema_find(json_t *const *schemas, const char *name) {
    for (; *schemas != NULL; schemas++) {
        const json_t *found = json_object_get(json_object_get(*schemas, "$defs"), name);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static const char *schema_text(const json_t *schema, const char *key) {
    const char *text = json_string_value(json_object_get(schema, key));
    return text != NULL ? text : "";
}

/* Which of the alternatives this value is meant for; the last one when none fits better. */
static const json_t *choose(const json_t *alternatives, const json_t *value) {
    const json_t *chosen = NULL;
    bool is_empty = json_is_string(value) && json_string_length(value) == 0;
    for (size_t index = 0; index < json_array_size(alternatives); index++) {
        const json_t *one = json_array_get(alternatives, index);
        const char *type = schema_text(one, "type");
        bool wants_hash = strcmp(type, "object") == 0 || strcmp(type, "array") == 0;
        bool allows_empty = json_object_get(one, "enum") != NULL;
        if (wants_hash == json_is_object(value) && (wants_hash || allows_empty == is_empty)) {
            return one;
        }
        chosen = one;
    }
    return chosen;
}

static const json_t *resolve(struct checker *checker, const json_t *schema, const json_t *value) {
    for (int step = 0; step < 4; step++) {
        const json_t *alternatives = json_object_get(schema, "anyOf");
        const char *reference = schema_text(schema, "$ref");
        if (alternatives != NULL) {
            schema = choose(alternatives, value);
        } else if (strncmp(reference, "#/$defs/", 8) == 0) {
            schema = schema_find(checker->schemas, reference + 8);
        } else {
            break;
        }
    }
    return schema;
}

static bool push(struct checker *checker, const struct check *parent, const char *name,
                 const json_t *schema, const json_t *value) {
    if (checker->checks_count == CHECKS_MAX) {
        return problem_set(checker->problem, parent->param, "parameter_invalid",
                           "Too many parameters.");
    }
    struct check *check = &checker->checks[checker->checks_count++];
    check->schema = schema;
    check->value = value;
    char param[256];
    int size = parent->param[0] == '\0'
                   ? snprintf(param, sizeof param, "%s", name)
                   : snprintf(param, sizeof param, "%s[%s]", parent->param, name);
    if (size < 0 || (size_t)size >= sizeof param) {
        return problem_set(checker->problem, parent->param, "parameter_unknown",
                           "Received a parameter with an overlong name.");
    }
    memcpy(check->param, param, sizeof param);
    return true;
}

static bool check_hash(struct checker *checker, const struct check *check, const json_t *schema) {
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    const json_t *required = json_object_get(schema, "required");
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)check->value, name, value) {
        const json_t *property = json_object_get(properties, name);
        if (property == NULL && json_is_object(others)) {
            property = others;
        }
        if (property == NULL) {
            return problem_set(checker->problem, name, "parameter_unknown",
                               "Received unknown parameter: %s%s%s", check->param,
                               check->param[0] != '\0' ? " > " : "", name);
        }
        if (!push(checker, check, name, property, value)) {
            return false;
        }
    }
    for (size_t index = 0; index < json_array_size(required); index++) {
        name = json_string_value(json_array_get(required, index));
        if (json_object_get(check->value, name) == NULL) {
            return problem_set(checker->problem, name, "parameter_missing",
                               "Missing required param: %s.", name);
        }
    }
    return true;
}

static bool check_array(struct checker *checker, const struct check *check, const json_t *schema) {
    const json_t *items = json_object_get(schema, "items");
    size_t count = json_object_size(check->value);
    for (size_t index = 0; index < count; index++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%zu", index);
        const json_t *value = json_object_get(check->value, name);
        if (value == NULL) {
            return problem_set(checker->problem, check->param, "parameter_invalid",
                               "Invalid array: %s", check->param);
        }
        if (!push(checker, check, name, items, value)) {
            return false;
        }
    }
    return true;
}

static bool is_integer(const char *text) {
    size_t digits = strspn(text + (*text == '-'), "0123456789");
    return digits > 0 && digits <= 18 && text[(*text == '-') + digits] == '\0';
}

static bool is_currency(const char *text) {
    size_t length = strlen(text);
    for (size_t index = 0; index < length; index++) {
        if (!islower((unsigned char)text[index])) {
            return false;
        }
    }
    return length == 3;
}

static bool is_decimal(const char *text) {
    struct decimal value;
    const char *point = strchr(text, '.');
    return decimal_parse(text_from(text), &value) == DECIMAL_OK &&
           (point == NULL || strlen(point + 1) <= DECIMAL_PLACES_MAX);
}

static size_t characters_count(const char *text) {
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xC0U) != 0x80U;
    }
    return count;
}

static bool is_one_of(const json_t *values, const char *text) {
    for (size_t index = 0; index < json_array_size(values); index++) {
        if (strcmp(json_string_value(json_array_get(values, index)), text) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_text(struct checker *checker, const struct check *check, const json_t *schema) {
    const char *text = json_string_value(check->value);
    const char *type = schema_text(schema, "type");
    const char *format = schema_text(schema, "format");
    const json_t *values = json_object_get(schema, "enum");
    const json_t *length_max = json_object_get(schema, "maxLength");
    if (values != NULL && !is_one_of(values, text)) {
        return problem_set(checker->problem, check->param, "parameter_invalid", "Invalid %s: %s",
                           check->param, text);
    }
    if (*text == '\0' && values == NULL && strstr(check->param, "metadata[") == NULL) {
        return problem_set(checker->problem, check->param, "parameter_invalid_empty",
                           "You passed an empty string for '%s'.", check->param);
    }
    if (strcmp(type, "integer") == 0 && !is_integer(text)) {
        return problem_set(checker->problem, check->param, "parameter_invalid_integer",
                           "Invalid integer: %s", text);
    }
    if (strcmp(type, "boolean") == 0 && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        return problem_set(checker->problem, check->param, "parameter_invalid_boolean",
                           "Invalid boolean: %s", text);
    }
    if (strcmp(format, "currency") == 0 && !is_currency(text)) {
        return problem_set(checker->problem, check->param, "parameter_invalid",
                           "Invalid currency: %s", text);
    }
    if (strcmp(format, "decimal") == 0 && !is_decimal(text)) {
        return problem_set(checker->problem, check->param, "parameter_invalid_decimal",
                           "Invalid decimal: %s; must contain at maximum 12 decimal places.", text);
    }
    if (length_max != NULL && characters_count(text) > (size_t)json_integer_value(length_max)) {
        return problem_set(checker->problem, check->param, "parameter_invalid_string_too_long",
                           "Invalid string: %.20s...; must be at most %lld characters", text,
                           (long long)json_integer_value(length_max));
    }
    return true;
}

static bool check_one(struct checker *checker, const struct check *check) {
    const json_t *schema = resolve(checker, check->schema, check->value);
    const char *type = schema_text(schema, "type");
    bool wants_hash = strcmp(type, "object") == 0 || strcmp(type, "array") == 0;
    if (wants_hash != json_is_object(check->value)) {
        return problem_set(checker->problem, check->param, "parameter_invalid", "Invalid %s: %s",
                           wants_hash ? "object" : "string", check->param);
    }
    if (!wants_hash) {
        return check_text(checker, check, schema);
    }
    return strcmp(type, "array") == 0 ? check_array(checker, check, schema)
                                      : check_hash(checker, check, schema);
}

bool schema_accepts(json_t *const *schemas, const json_t *definition, const json_t *params,
                    struct schema_problem *problem) {
    static struct checker checker;
    checker.schemas = schemas;
    checker.problem = problem;
    checker.checks_count = 1;
    checker.checks[0] = (struct check){.schema = definition, .value = params};
    while (checker.checks_count > 0) {
        struct check check = checker.checks[--checker.checks_count];
        if (!check_one(&checker, &check)) {
            return false;
        }
    }
    return true;
}
