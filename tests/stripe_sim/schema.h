/*
 * Checks parameters (form.h) against a JSON Schema of Stripe's: the part of JSON Schema that
 * tests/stripe_sim/ *.schema.json use, read as Stripe reads forms: every leaf arrives as text, and
 * "integer" or "boolean" mean that the text must parse so. An unknown parameter is refused wherever
 * the schema lists properties; an empty value is refused unless the schema allows "".
 */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_SCHEMA_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

struct schema_problem {
    const char *code; /* Stripe's: parameter_unknown, parameter_missing, … */
    char param[256];  /* "period[start]" */
    char message[512];
};

/* The definition `name` of the first of the schemas (ended by NULL) that has it. */
const json_t *schema_find(json_t *const *schemas, const char *name);

/* True when params fit; root is the schema file that definition's $refs point into. */
bool schema_accepts(json_t *const *schemas, const json_t *definition, const json_t *params,
                    struct schema_problem *problem);

#endif
