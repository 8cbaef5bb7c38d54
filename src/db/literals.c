/*
 * Statements that take no parameters (COPY): their values are written into them as literals.
 *
 * A literal is as good as a parameter where it is quoted by libpq, and better for the planner, who
 * sees it: it leaves out partitions, and conditions that cannot hold. Comments and quoted text of
 * the statement are passed over.
 */
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "db/wire.h"
#include "db_internal.h"

static bool append_text(struct db *db, const struct db_params *params, int index,
                        struct buffer *result, struct err *err) {
    char *literal =
        PQescapeLiteral(db->connection, params->values[index], (size_t)params->sizes[index]);
    if (literal == NULL) {
        return err_set(err, ERR_DATABASE, "%s: a value cannot be quoted: %s", db->description,
                       PQerrorMessage(db->connection));
    }
    bool is_done = buffer_append(result, text_from(literal), err);
    PQfreemem(literal);
    return is_done;
}

static bool append_literal(struct db *db, const struct db_params *params, int index,
                           struct buffer *result, struct err *err) {
    const unsigned char *bytes = (const unsigned char *)params->numbers[index];
    struct instant instant = {0};
    char text[INSTANT_TEXT_MAX];
    if (params->types[index] == DB_TYPE_TEXT) {
        return append_text(db, params, index, result, err);
    }
    if (params->types[index] == DB_TYPE_BOOL) {
        return buffer_append(result, text_from(bytes[0] != 0 ? "'true'" : "'false'"), err);
    }
    if (params->types[index] == DB_TYPE_INT8) {
        return buffer_append_format(result, err, "'%" PRId64 "'", (int64_t)wire_uint64(bytes));
    }
    assert(params->types[index] == DB_TYPE_TIMESTAMPTZ);
    const char *reason = wire_instant(bytes, &instant);
    assert(reason == NULL);
    (void)reason;
    (void)instant_format(instant, text);
    return buffer_append_format(result, err, "'%s'", text);
}

/* Bytes of the comment or of the quoted text that begins there; 0: of neither. */
static size_t passed_bytes(const char *at) {
    if (at[0] == '-' && at[1] == '-') {
        return strcspn(at, "\n");
    }
    const char *end = at[0] == '\'' ? strchr(at + 1, '\'') : NULL;
    return end != NULL ? (size_t)(end + 1 - at) : 0;
}

bool db_write_literals(struct db *db, const char *statement, const struct db_params *params,
                       struct buffer *result, struct err *err) {
    const char *at = statement;
    while (*at != '\0') {
        size_t size_bytes = strcspn(at, "$-'");
        if (size_bytes == 0) {
            size_bytes = passed_bytes(at);
        }
        if (size_bytes == 0 && at[0] == '$' && isdigit((unsigned char)at[1])) {
            char *end;
            long number = strtol(at + 1, &end, 10);
            assert(number >= 1 && number <= params->count);
            if (!append_literal(db, params, (int)number - 1, result, err)) {
                return false;
            }
            at = end;
            continue;
        }
        size_bytes = size_bytes == 0 ? 1 : size_bytes;
        if (!buffer_append(result, (struct text){at, size_bytes}, err)) {
            return false;
        }
        at += size_bytes;
    }
    return buffer_append(result, (struct text){"", 1}, err);
}
