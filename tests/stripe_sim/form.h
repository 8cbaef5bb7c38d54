/*
 * Form bodies and query strings: "a=1&b[c]=x%20y&d[0]=z" to nested JSON whose leaves are text.
 *
 * A hash and an array are both objects here, an array's keys being "0", "1", …; "d[]=" takes the
 * next free index. Percent escapes and "+" are decoded; text must be UTF-8. Anything that could be
 * read two ways is a problem: a name given twice, a name that is both a leaf and a hash, a bracket
 * that does not close, more than FORM_DEPTH_MAX brackets.
 */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_FORM_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_FORM_H

#include <jansson.h>

#include "core/text.h"

enum { FORM_DEPTH_MAX = 5, FORM_NAME_MAX = 512 };

/* NULL, and *problem a constant sentence, when the text is not well formed. */
json_t *form_parse(struct text text, const char **problem);

#endif
