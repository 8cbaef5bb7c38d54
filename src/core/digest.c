#include "core/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "core/memory.h"

struct hasher {
    EVP_MD_CTX *context;
    bool is_finished;
};

/*
 * Fetched once: an implicit fetch (EVP_sha256) searches the providers under a lock for every
 * digest. Kept for the life of the process.
 */
static EVP_MD *digest_sha256;
static pthread_once_t digest_once = PTHREAD_ONCE_INIT;

/* Of each thread one, for digests of short texts: to make one costs as much as such a digest. */
static pthread_key_t digest_context_key;
static bool has_context_key;

static void digest_context_free(void *context) {
    EVP_MD_CTX_free(context);
}

static void digest_fetch(void) {
    digest_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    has_context_key = pthread_key_create(&digest_context_key, digest_context_free) == 0;
}

/* NULL: no memory, or nowhere to keep it. */
static EVP_MD_CTX *digest_context(void) {
    EVP_MD_CTX *context = has_context_key ? pthread_getspecific(digest_context_key) : NULL;
    if (context == NULL && has_context_key) {
        context = EVP_MD_CTX_new();
        if (context != NULL && pthread_setspecific(digest_context_key, context) != 0) {
            EVP_MD_CTX_free(context);
            context = NULL;
        }
    }
    return context;
}

static const EVP_MD *digest_algorithm(struct err *err) {
    (void)pthread_once(&digest_once, digest_fetch);
    if (digest_sha256 == NULL) {
        (void)err_set(err, ERR_MEMORY, "OpenSSL gives no SHA-256");
    }
    return digest_sha256;
}

static bool digest_failed(struct err *err) {
    return err_set(err, ERR_MEMORY, "OpenSSL cannot compute a SHA-256");
}

struct hasher *hasher_create(struct err *err) {
    const EVP_MD *algorithm = digest_algorithm(err);
    if (algorithm == NULL) {
        return NULL;
    }
    struct hasher *hasher = mem_alloc(sizeof *hasher);
    if (hasher == NULL) {
        (void)err_memory(err, sizeof *hasher);
        return NULL;
    }
    hasher->context = EVP_MD_CTX_new();
    if (hasher->context == NULL || EVP_DigestInit_ex2(hasher->context, algorithm, NULL) != 1) {
        hasher_destroy(hasher);
        (void)digest_failed(err);
        return NULL;
    }
    return hasher;
}

void hasher_destroy(struct hasher *hasher) {
    if (hasher == NULL) {
        return;
    }
    EVP_MD_CTX_free(hasher->context);
    mem_free(hasher);
}

bool hasher_add(struct hasher *hasher, const void *bytes, size_t size_bytes, struct err *err) {
    assert(!hasher->is_finished);
    return EVP_DigestUpdate(hasher->context, bytes, size_bytes) == 1 || digest_failed(err);
}

bool hasher_finish(struct hasher *hasher, struct digest *digest, struct err *err) {
    assert(!hasher->is_finished);
    hasher->is_finished = true;
    unsigned written = 0;
    struct digest finished;
    if (EVP_DigestFinal_ex(hasher->context, finished.bytes, &written) != 1) {
        return digest_failed(err);
    }
    assert(written == DIGEST_BYTES);
    *digest = finished;
    return true;
}

bool digest_of(const void *bytes, size_t size_bytes, struct digest *digest, struct err *err) {
    const EVP_MD *algorithm = digest_algorithm(err);
    if (algorithm == NULL) {
        return false;
    }
    unsigned written = 0;
    struct digest finished;
    EVP_MD_CTX *context = digest_context();
    if (context == NULL || EVP_DigestInit_ex2(context, algorithm, NULL) != 1 ||
        EVP_DigestUpdate(context, bytes, size_bytes) != 1 ||
        EVP_DigestFinal_ex(context, finished.bytes, &written) != 1) {
        return digest_failed(err);
    }
    assert(written == DIGEST_BYTES);
    *digest = finished;
    return true;
}

void digest_format(const struct digest *digest, char text[DIGEST_TEXT_MAX]) {
    static const char hex[] = "0123456789abcdef";
    for (size_t index = 0; index < DIGEST_BYTES; index++) {
        text[index * 2] = hex[digest->bytes[index] >> 4];
        text[index * 2 + 1] = hex[digest->bytes[index] & 15];
    }
    text[DIGEST_BYTES * 2] = '\0';
}

/* -1 for anything but a hex digit, the end of the text included. */
static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

bool digest_parse(const char *text, struct digest *digest) {
    struct digest parsed;
    for (size_t index = 0; index < DIGEST_BYTES; index++) {
        int high = hex_value(text[index * 2]);
        int low = high < 0 ? -1 : hex_value(text[index * 2 + 1]);
        if (low < 0) {
            return false;
        }
        parsed.bytes[index] = (unsigned char)(high * 16 + low);
    }
    if (text[DIGEST_BYTES * 2] != '\0') {
        return false;
    }
    *digest = parsed;
    return true;
}

bool digest_equals(const struct digest *left, const struct digest *right) {
    return memcmp(left->bytes, right->bytes, DIGEST_BYTES) == 0;
}
