/*
 * Signatures of webhooks: who sent a body, and when.
 *
 * Stripe's scheme: the header Stripe-Signature is "t=SECONDS,v1=HEX[,v1=HEX…]", HEX the HMAC-SHA256
 * of "SECONDS.BODY" under the endpoint's secret as it is (whsec_…). Standard Webhooks (Dodo): the
 * headers webhook-id, webhook-timestamp and webhook-signature ("v1,BASE64 …"), BASE64 the same of
 * "ID.SECONDS.BODY" under the secret decoded from the base64 behind "whsec_".
 *
 * Any of several signatures may fit, so that secrets can be rotated; comparing takes the same time
 * whatever differs. A time stamp more than five minutes off is refused: a body that was recorded is
 * not taken again. What does not fit is ERR_INPUT and says what, but never the secret.
 */
#ifndef PERIODCLOSE_EMIT_WEBHOOK_H
#define PERIODCLOSE_EMIT_WEBHOOK_H

#include "core/instant.h"
#include "core/text.h"

enum { WEBHOOK_TOLERANCE_S = 300 };

bool webhook_check_stripe(struct text body, const char *signature, const char *secret,
                          struct instant now, struct err *err);

struct webhook_standard {
    const char *id;
    const char *timestamp;
    const char *signature;
};

bool webhook_check_standard(struct text body, const struct webhook_standard *headers,
                            const char *secret, struct instant now, struct err *err);

#endif
