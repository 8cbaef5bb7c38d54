#include "emit/webhook.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { HMAC_BYTES = 32, KEY_BYTES_MAX = 256, SIGNATURES_MAX = 16 };

struct key {
    unsigned char bytes[KEY_BYTES_MAX];
    size_t size_bytes;
};

static bool refused(struct err *err, const char *why) {
    (void)err_set(err, ERR_INPUT, "the webhook is not taken: %s", why);
    return err_hint(err, "see that the body is passed on byte for byte, its headers with it, and "
                         "that the secret is the one of this endpoint");
}

/* Seconds as decimal digits; false for anything else. */
static bool parse_seconds(struct text text, int64_t *seconds) {
    *seconds = 0;
    if (text.size_bytes == 0 || text.size_bytes > 12) {
        return false;
    }
    for (size_t index = 0; index < text.size_bytes; index++) {
        if (text.bytes[index] < '0' || text.bytes[index] > '9') {
            return false;
        }
        *seconds = *seconds * 10 + (text.bytes[index] - '0');
    }
    return true;
}

static bool check_time(struct text seconds, struct instant now, struct err *err) {
    int64_t at_s;
    if (!parse_seconds(seconds, &at_s)) {
        return refused(err, "its signature has no time stamp");
    }
    int64_t off_s = now.us / 1000000 - at_s;
    if (off_s > WEBHOOK_TOLERANCE_S || off_s < -WEBHOOK_TOLERANCE_S) {
        (void)err_set(err, ERR_INPUT,
                      "the webhook is not taken: its time stamp is more than five minutes off");
        return err_hint(err, "it was kept too long, or the clock of this machine is wrong; let it "
                             "be sent again, which gives it a new one");
    }
    return true;
}

/* The HMAC of prefix and body, one after the other. */
static bool sign(const struct key *key, struct text prefix, struct text body,
                 unsigned char hmac[HMAC_BYTES], struct err *err) {
    struct buffer content = {0};
    unsigned size_bytes = HMAC_BYTES;
    bool is_fine = buffer_append(&content, prefix, err) && buffer_append(&content, body, err);
    if (is_fine &&
        HMAC(EVP_sha256(), key->bytes, (int)key->size_bytes, (const unsigned char *)content.bytes,
             content.size_bytes, hmac, &size_bytes) == NULL) {
        is_fine = err_set(err, ERR_MEMORY, "libcrypto cannot make a signature");
    }
    buffer_release(&content);
    return is_fine;
}

/* The next part of a list, up to the separator; false at its end. */
static bool next_part(struct text *list, char separator, struct text *part) {
    if (list->size_bytes == 0) {
        return false;
    }
    const char *found = memchr(list->bytes, separator, list->size_bytes);
    size_t size = found != NULL ? (size_t)(found - list->bytes) : list->size_bytes;
    *part = (struct text){list->bytes, size};
    size_t used = found != NULL ? size + 1 : size;
    *list = (struct text){list->bytes + used, list->size_bytes - used};
    return true;
}

static bool begins_with(struct text text, const char *prefix, struct text *rest) {
    size_t size = strlen(prefix);
    if (text.size_bytes < size || memcmp(text.bytes, prefix, size) != 0) {
        return false;
    }
    *rest = (struct text){text.bytes + size, text.size_bytes - size};
    return true;
}

/* --- Stripe -------------------------------------------------------------------------------------
 */

bool webhook_check_stripe(struct text body, const char *signature, const char *secret,
                          struct instant now, struct err *err) {
    static const char hex[] = "0123456789abcdef";
    struct text list = text_from(signature);
    struct text part;
    struct text seconds = {"", 0};
    struct text candidates[SIGNATURES_MAX];
    size_t candidates_count = 0;
    while (next_part(&list, ',', &part)) {
        struct text rest;
        if (begins_with(part, "t=", &rest)) {
            seconds = rest;
        } else if (begins_with(part, "v1=", &rest) && candidates_count < SIGNATURES_MAX) {
            candidates[candidates_count++] = rest;
        }
    }
    struct key key = {.size_bytes = strlen(secret)};
    struct buffer prefix = {0};
    unsigned char hmac[HMAC_BYTES];
    if (key.size_bytes >= sizeof key.bytes || !check_time(seconds, now, err)) {
        return key.size_bytes < sizeof key.bytes ? false
                                                 : refused(err, "the secret is far too long");
    }
    memcpy(key.bytes, secret, key.size_bytes);
    bool is_fine = buffer_append(&prefix, seconds, err) &&
                   buffer_append(&prefix, text_from("."), err) &&
                   sign(&key, buffer_text(&prefix), body, hmac, err);
    explicit_bzero(&key, sizeof key);
    buffer_release(&prefix);
    if (!is_fine) {
        return false;
    }
    char ours[HMAC_BYTES * 2];
    for (size_t index = 0; index < HMAC_BYTES; index++) {
        ours[index * 2] = hex[hmac[index] >> 4];
        ours[index * 2 + 1] = hex[hmac[index] & 15];
    }
    bool is_same = false;
    for (size_t index = 0; index < candidates_count; index++) {
        is_same = (candidates[index].size_bytes == sizeof ours &&
                   CRYPTO_memcmp(candidates[index].bytes, ours, sizeof ours) == 0) ||
                  is_same;
    }
    return is_same || refused(err, "no signature in Stripe-Signature fits");
}

/* --- Standard Webhooks --------------------------------------------------------------------------
 */

/* Standard base64 with its padding; false for anything else. */
static bool decode(struct text text, unsigned char *bytes, size_t bytes_max, size_t *size_bytes) {
    size_t padding = 0;
    if (text.size_bytes == 0 || text.size_bytes % 4 != 0 || text.size_bytes / 4 * 3 > bytes_max) {
        return false;
    }
    while (padding < 2 && text.bytes[text.size_bytes - 1 - padding] == '=') {
        padding++;
    }
    int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)text.bytes, (int)text.size_bytes);
    if (decoded < 0) {
        return false;
    }
    *size_bytes = (size_t)decoded - padding;
    return true;
}

static bool any_fits(struct text list, const unsigned char hmac[HMAC_BYTES]) {
    struct text part;
    bool is_same = false;
    while (next_part(&list, ' ', &part)) {
        struct text rest;
        unsigned char theirs[HMAC_BYTES * 2];
        size_t size_bytes = 0;
        is_same =
            (begins_with(part, "v1,", &rest) && decode(rest, theirs, sizeof theirs, &size_bytes) &&
             size_bytes == HMAC_BYTES && CRYPTO_memcmp(theirs, hmac, HMAC_BYTES) == 0) ||
            is_same;
    }
    return is_same;
}

bool webhook_check_standard(struct text body, const struct webhook_standard *headers,
                            const char *secret, struct instant now, struct err *err) {
    struct key key = {0};
    struct text encoded = text_from(secret);
    struct buffer prefix = {0};
    unsigned char hmac[HMAC_BYTES];
    if (!check_time(text_from(headers->timestamp), now, err)) {
        return false;
    }
    (void)begins_with(encoded, "whsec_", &encoded);
    if (!decode(encoded, key.bytes, sizeof key.bytes, &key.size_bytes)) {
        return refused(err, "the secret is not whsec_ and base64");
    }
    bool is_fine = buffer_append_format(&prefix, err, "%s.%s.", headers->id, headers->timestamp) &&
                   sign(&key, buffer_text(&prefix), body, hmac, err);
    explicit_bzero(&key, sizeof key);
    buffer_release(&prefix);
    return is_fine && (any_fits(text_from(headers->signature), hmac) ||
                       refused(err, "no signature in webhook-signature fits"));
}
