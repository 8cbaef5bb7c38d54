#include "stripe_sim/form.h"

#include <stdio.h>
#include <stdlib.h>

static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Decodes in place; false for an escape that is none. NUL is refused: no parameter may hold one. */
static bool unescape(char *bytes, size_t *size_bytes) {
    size_t written = 0;
    for (size_t index = 0; index < *size_bytes; index++) {
        char byte = bytes[index];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            if (index + 2 >= *size_bytes) {
                return false;
            }
            int high = hex_value(bytes[index + 1]);
            int low = hex_value(bytes[index + 2]);
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (char)(unsigned char)(high * 16 + low);
            index += 2;
        }
        if (byte == '\0') {
            return false;
        }
        bytes[written++] = byte;
    }
    bytes[written] = '\0';
    *size_bytes = written;
    return true;
}

/* "a[b][]" to a, b and the empty segment. Segments point into name, which is cut up. */
static size_t split_name(char *name, char *segments[FORM_DEPTH_MAX + 1]) {
    char *bracket = strchr(name, '[');
    size_t count = 1;
    segments[0] = name;
    if (*name == '\0' || bracket == name || (bracket == NULL && strchr(name, ']') != NULL)) {
        return 0;
    }
    while (bracket != NULL && *bracket != '\0') {
        char *end = strchr(bracket, ']');
        if (*bracket != '[' || end == NULL || count > FORM_DEPTH_MAX) {
            return 0;
        }
        *bracket = '\0';
        *end = '\0';
        if (strchr(bracket + 1, '[') != NULL) {
            return 0;
        }
        segments[count++] = bracket + 1;
        bracket = end + 1;
    }
    return count;
}

static const char *put(json_t *root, char *name, const char *value) {
    char *segments[FORM_DEPTH_MAX + 1];
    size_t count = split_name(name, segments);
    if (count == 0) {
        return "a parameter's name has brackets that do not match";
    }
    json_t *hash = root;
    for (size_t index = 0; index < count; index++) {
        char next[24];
        const char *segment = segments[index];
        if (index > 0 && *segment == '\0') {
            (void)snprintf(next, sizeof next, "%zu", json_object_size(hash));
            segment = next;
        }
        json_t *found = json_object_get(hash, segment);
        bool is_leaf = index + 1 == count;
        if (found != NULL && (is_leaf || !json_is_object(found))) {
            return "a parameter is given twice";
        }
        if (is_leaf) {
            return json_object_set_new(hash, segment, json_string(value)) == 0
                       ? NULL
                       : "a parameter is not UTF-8";
        }
        if (found == NULL) {
            found = json_object();
            if (json_object_set_new(hash, segment, found) != 0) {
                return "a parameter's name is not UTF-8";
            }
        }
        hash = found;
    }
    return NULL;
}

static const char *put_pair(json_t *root, struct text pair) {
    char name[FORM_NAME_MAX];
    const char *equals = memchr(pair.bytes, '=', pair.size_bytes);
    size_t name_size = equals != NULL ? (size_t)(equals - pair.bytes) : pair.size_bytes;
    if (name_size == 0 || name_size >= sizeof name) {
        return "a parameter's name is empty or too long";
    }
    memcpy(name, pair.bytes, name_size);
    size_t value_size = equals != NULL ? pair.size_bytes - name_size - 1 : 0;
    char *value = calloc(1, value_size + 1);
    if (value == NULL) {
        return "no memory";
    }
    if (value_size > 0) {
        memcpy(value, equals + 1, value_size);
    }
    const char *problem = unescape(name, &name_size) && unescape(value, &value_size)
                              ? put(root, name, value)
                              : "a percent escape is not one";
    free(value);
    return problem;
}

json_t *form_parse(struct text text, const char **problem) {
    json_t *root = json_object();
    const char *rest = text.bytes;
    const char *end = text.bytes + text.size_bytes;
    while (rest < end) {
        const char *ampersand = memchr(rest, '&', (size_t)(end - rest));
        const char *pair_end = ampersand != NULL ? ampersand : end;
        *problem =
            put_pair(root, (struct text){.bytes = rest, .size_bytes = (size_t)(pair_end - rest)});
        if (*problem != NULL) {
            json_decref(root);
            return NULL;
        }
        rest = pair_end + 1;
    }
    return root;
}
