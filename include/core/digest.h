/*
 * SHA-256, by OpenSSL. A digest is 32 bytes; its text is 64 lower-case hex digits and a NUL.
 */
#ifndef PERIODCLOSE_CORE_DIGEST_H
#define PERIODCLOSE_CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT_MAX = 65 };

struct digest {
    unsigned char bytes[DIGEST_BYTES];
};

struct hasher; /* a running SHA-256; heap, one thread */

struct hasher *hasher_create(struct err *err); /* NULL and ERR_MEMORY */
void hasher_destroy(struct hasher *hasher);    /* NULL is fine */
bool hasher_add(struct hasher *hasher, const void *bytes, size_t size_bytes, struct err *err);
/* Finishes; the hasher can only be destroyed afterwards. */
bool hasher_finish(struct hasher *hasher, struct digest *digest, struct err *err);

bool digest_of(const void *bytes, size_t size_bytes, struct digest *digest, struct err *err);
void digest_format(const struct digest *digest, char text[DIGEST_TEXT_MAX]);
bool digest_parse(const char *text, struct digest *digest); /* exactly 64 hex digits */
bool digest_equals(const struct digest *left, const struct digest *right);

#endif
