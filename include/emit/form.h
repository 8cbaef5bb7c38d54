/*
 * Form encoding as Stripe's own clients send it: NAME=VALUE joined by "&", spaces as %20, brackets
 * left bare in names and in values, everything else but letters, digits and "-_.~" percent-encoded
 * in UTF-8.
 */
#ifndef PERIODCLOSE_EMIT_FORM_H
#define PERIODCLOSE_EMIT_FORM_H

#include "core/text.h"

/* Appends one parameter; name may have brackets: metadata[run_id]. */
bool form_text(struct buffer *form, const char *name, struct text value, struct err *err);
bool form_int64(struct buffer *form, const char *name, int64_t value, struct err *err);
bool form_bool(struct buffer *form, const char *name, bool value, struct err *err);
/* The number alone. */
bool form_digits(struct buffer *form, int64_t value, struct err *err);
/* A part of a path or of a query, percent-encoded. */
bool form_encode(struct buffer *form, struct text value, struct err *err);

#endif
