#include "answer.h"

#include <stdio.h>

const char *object_text(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

void judgement_release(struct judgement *judgement) {
    json_decref(judgement->object);
    judgement->object = NULL;
}

static enum verdict judge_refusal(const struct http_answer *answer, const json_t *error) {
    if (strcmp(object_text(error, "type"), "idempotency_error") == 0) {
        return VERDICT_OTHER_CONTENT;
    }
    if (answer->status == 401) {
        return VERDICT_BAD_KEY;
    }
    if (answer->status == 429) {
        return VERDICT_TOO_MUCH;
    }
    if (answer->status >= 500) {
        return answer->is_replayed ? VERDICT_KEPT_FAILURE : VERDICT_UNSURE;
    }
    /* A lock, or the same key is being worked on: its outcome is still to come. */
    if (answer->status == 408 || answer->status == 409 ||
        (answer->has_should_retry && answer->should_retry)) {
        return VERDICT_UNSURE;
    }
    /* A proxy may answer in Stripe's place: only Stripe's own word is a refusal. */
    return json_is_object(error) && answer->status >= 400 ? VERDICT_REFUSED : VERDICT_UNSURE;
}

static void describe(const struct http_answer *answer, const json_t *error,
                     struct judgement *judgement) {
    const char *message = object_text(error, "message");
    const char *code = object_text(error, "code");
    (void)snprintf(judgement->detail, sizeof judgement->detail, "HTTP %d%s%s%s%.180s",
                   answer->status, code[0] != '\0' ? " " : "", code, message[0] != '\0' ? ": " : "",
                   message);
    for (char *byte = judgement->detail; *byte != '\0'; byte++) {
        *byte = (unsigned char)*byte < ' ' ? ' ' : *byte;
    }
    /* Cut inside a character, perhaps. */
    size_t size = strlen(judgement->detail);
    while (size > 0 && !text_is_utf8((struct text){judgement->detail, size})) {
        judgement->detail[--size] = '\0';
    }
}

/* Both fields, as no proxy has them. */
static const json_t *flat_error(const json_t *object) {
    bool is_error = object_text(object, "code")[0] != '\0' &&
                    json_is_string(json_object_get(object, "message"));
    return is_error ? object : NULL;
}

static void judge(const struct http_answer *answer, bool is_flat, struct judgement *judgement) {
    *judgement = (struct judgement){.verdict = VERDICT_UNSURE};
    if (answer->fate != HTTP_ANSWERED) {
        judgement->verdict = answer->fate == HTTP_NOT_SENT    ? VERDICT_NOT_DONE
                             : answer->fate == HTTP_UNTRUSTED ? VERDICT_BAD_KEY
                                                              : VERDICT_UNSURE;
        judgement->is_untrusted = answer->fate == HTTP_UNTRUSTED;
        (void)snprintf(judgement->detail, sizeof judgement->detail, "%s", answer->problem);
        return;
    }
    json_t *object = json_loadb(answer->body.bytes != NULL ? answer->body.bytes : "",
                                answer->body.size_bytes, JSON_REJECT_DUPLICATES, NULL);
    if (answer->status >= 200 && answer->status < 300) {
        if (json_is_object(object)) {
            judgement->verdict = VERDICT_DONE;
            judgement->object = object;
            return;
        }
        (void)snprintf(judgement->detail, sizeof judgement->detail,
                       "HTTP %d with something that is no JSON object", answer->status);
    } else {
        const json_t *error = is_flat ? flat_error(object) : json_object_get(object, "error");
        judgement->verdict = judge_refusal(answer, error);
        judgement->is_there_already =
            answer->status == 400 &&
            (strcmp(object_text(error, "code"), "resource_already_exists") == 0 ||
             strstr(object_text(error, "message"), "already exists with identifier") != NULL);
        judgement->is_about_invoice =
            strcmp(object_text(error, "param"), "invoice") == 0 ||
            strcmp(object_text(error, "code"), "invoice_not_editable") == 0;
        describe(answer, error, judgement);
    }
    json_decref(object);
}

void answer_judge(const struct http_answer *answer, struct judgement *judgement) {
    judge(answer, false, judgement);
}

void answer_judge_brief(const struct http_answer *answer, struct judgement *judgement) {
    *judgement = (struct judgement){.verdict = VERDICT_DONE};
    if (answer->fate == HTTP_ANSWERED && answer->status >= 200 && answer->status < 300 &&
        brief_scan(buffer_text(&answer->body), &judgement->brief)) {
        return;
    }
    judge(answer, false, judgement);
    judgement->brief = brief_of(judgement->object);
}

void answer_judge_flat(const struct http_answer *answer, struct judgement *judgement) {
    judge(answer, true, judgement);
}

bool answer_untrusted(const char *who, const struct judgement *judgement, struct err *err) {
    (void)err_set(err, ERR_REFUSED, "what answers is not known to be %s: %s", who,
                  judgement->detail);
    return err_hint(err, "nothing was sent to it; see whether a proxy stands between, the clock of "
                         "this machine, and the authorities in SSL_CERT_FILE, SSL_CERT_DIR or "
                         "CURL_CA_BUNDLE");
}
