/* What an answer of Stripe means for the request it answers. */
#ifndef PERIODCLOSE_SRC_EMIT_ANSWER_H
#define PERIODCLOSE_SRC_EMIT_ANSWER_H

#include <jansson.h>

#include "brief.h"
#include "emit/http.h"

enum verdict {
    VERDICT_DONE,         /* 2xx with a JSON object */
    VERDICT_REFUSED,      /* a definite no: nothing was done */
    VERDICT_NOT_DONE,     /* nothing was done now; try again, later */
    VERDICT_TOO_MUCH,     /* the same, and everybody should slow down */
    VERDICT_UNSURE,       /* it may have been done; the same request again tells */
    VERDICT_KEPT_FAILURE, /* the same request will for ever be answered by this 5xx: ask otherwise
                           */
    VERDICT_BAD_KEY,      /* 401, or the other side is not who it should be */
    VERDICT_OTHER_CONTENT,
};

struct judgement {
    enum verdict verdict;
    json_t *object;        /* owned; of VERDICT_DONE, but by answer_judge_brief */
    struct brief brief;    /* of VERDICT_DONE, by answer_judge_brief; it points into the answer */
    bool is_about_invoice; /* what is wrong is the invoice that it was to go on */
    bool is_there_already; /* an event of a meter under the same identifier */
    bool is_untrusted;     /* of VERDICT_BAD_KEY: TLS says that it is not who it should be */
    char detail[240];
};

/* Never fails: what cannot be understood is VERDICT_UNSURE. */
void answer_judge(const struct http_answer *answer, struct judgement *judgement);
/* The same for an answer of which only the brief is wanted. */
void answer_judge_brief(const struct http_answer *answer, struct judgement *judgement);
/* The same for an API whose errors are flat: {"code", "message"}. */
void answer_judge_flat(const struct http_answer *answer, struct judgement *judgement);
void judgement_release(struct judgement *judgement);
/* Sets the error of is_untrusted; who: "Stripe". */
bool answer_untrusted(const char *who, const struct judgement *judgement, struct err *err);

/* The text of a field, "" when it is not there or no text. */
const char *object_text(const json_t *object, const char *name);

#endif
