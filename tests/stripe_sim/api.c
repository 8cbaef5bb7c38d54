#include "stripe_sim/api.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "stripe_sim/form.h"
#include "stripe_sim/limits.h"
#include "stripe_sim/schema.h"

enum { VERSION_TEXT_MIN = 10 };

struct route {
    const char *method;
    const char *path;       /* {} stands for an id */
    const char *parameters; /* the definition of its parameters; NULL: Dodo, which takes JSON */
    bool (*work)(struct world *world, const struct request *request, struct answer *answer);
};

static const struct route routes[] = {
    {"POST", "/v1/invoiceitems", "post_invoiceitems_body", create_item},
    {"GET", "/v1/invoiceitems", "get_invoiceitems_query", list_items},
    {"GET", "/v1/invoiceitems/{}", "no_parameters", show_item},
    {"DELETE", "/v1/invoiceitems/{}", "no_parameters", delete_item},
    {"POST", "/v1/invoices", "post_invoices_body", create_invoice},
    {"GET", "/v1/invoices", "get_invoices_query", list_invoices},
    {"POST", "/v1/invoices/create_preview", "post_create_preview_body", preview_invoice},
    {"GET", "/v1/invoices/{}", "no_parameters", show_invoice},
    {"DELETE", "/v1/invoices/{}", "no_parameters", delete_invoice},
    {"POST", "/v1/invoices/{}/finalize", "post_finalize_body", finalize_invoice},
    {"POST", "/v1/invoices/{}/add_lines", "post_add_lines_body", add_lines},
    {"GET", "/v1/invoices/{}/lines", "get_page_query", list_lines},
    {"GET", "/v1/customers/{}", "no_parameters", show_customer},
    {"GET", "/v1/subscriptions", "get_subscriptions_query", list_subscriptions},
    {"GET", "/v1/subscriptions/{}", "no_parameters", show_subscription},
    {"POST", "/v1/billing/meter_events", "post_billing_meter_events_body", create_meter_event},
    {"POST", "/events/ingest", NULL, ingest_events},
    {"GET", "/events", NULL, list_events},
    {"GET", "/events/{}", NULL, show_event},
    {"GET", "/subscriptions", NULL, list_dodo_subscriptions},
    {"GET", "/subscriptions/{}", NULL, show_dodo_subscription},
    {"GET", "/meters/{}", NULL, show_meter},
};

enum { ROUTES_COUNT = sizeof routes / sizeof routes[0], SCHEMAS_COUNT = 2 };

struct api {
    json_t *schemas[SCHEMAS_COUNT + 1];
    struct limits limits;
};

/* --- answers ------------------------------------------------------------------------------------
 */

bool answer_refuse(struct answer *answer, int status, const char *code, const char *param,
                   const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *type = status >= 500   ? "api_error"
                       : status == 402 ? "card_error"
                                       : "invalid_request_error";
    json_decref(answer->body);
    json_t *error = must(json_pack("{s:s, s:s}", "type", type, "message", message));
    if (code != NULL) {
        (void)json_object_set_new(error, "code", must(json_string(code)));
    }
    if (param != NULL) {
        (void)json_object_set_new(error, "param", must(json_string(param)));
    }
    answer->status = status;
    answer->body = must(json_pack("{s:o}", "error", error));
    return false;
}

void answer_header(struct answer *answer, const char *name, const char *value) {
    if (answer->headers_count < ANSWER_HEADERS_MAX) {
        answer->headers[answer->headers_count].name = name;
        (void)snprintf(answer->headers[answer->headers_count].value,
                       sizeof answer->headers[0].value, "%s", value);
        answer->headers_count++;
    }
}

void answer_release(struct answer *answer) {
    json_decref(answer->body);
    answer->body = NULL;
}

/* --- before the work ----------------------------------------------------------------------------
 */

static json_t *load(const char *folder, const char *name) {
    char path[1024];
    json_error_t error;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *schema = json_load_file(path, 0, &error);
    if (schema == NULL) {
        (void)fprintf(stderr, "stripe_sim: %s: %s\n", path, error.text);
    }
    return schema;
}

struct api *api_create(const char *folder) {
    struct api *api = calloc(1, sizeof *api);
    if (api == NULL) {
        abort();
    }
    api->schemas[0] = load(folder, "invoice_items.schema.json");
    api->schemas[1] = load(folder, "more.schema.json");
    if (api->schemas[0] == NULL || api->schemas[1] == NULL) {
        api_destroy(api);
        return NULL;
    }
    return api;
}

void api_destroy(struct api *api) {
    json_decref(api->schemas[0]);
    json_decref(api->schemas[1]);
    limits_release(&api->limits);
    free(api);
}

void api_set_limits(struct api *api, size_t per_endpoint, size_t per_account) {
    limits_release(&api->limits);
    limits_init(&api->limits, per_endpoint, per_account);
}

/* Whether path is of the route's form; its id goes into id. */
static bool path_fits(const char *form, const char *path, char id[256]) {
    const char *hole = strstr(form, "{}");
    if (hole == NULL) {
        return strcmp(form, path) == 0;
    }
    size_t head = (size_t)(hole - form);
    const char *tail = hole + 2;
    if (strncmp(form, path, head) != 0) {
        return false;
    }
    size_t size = strcspn(path + head, "/");
    if (size == 0 || size >= 256 || strcmp(path + head + size, tail) != 0) {
        return false;
    }
    memcpy(id, path + head, size);
    id[size] = '\0';
    return true;
}

static const struct route *find_route(struct request *request) {
    for (size_t index = 0; index < ROUTES_COUNT; index++) {
        if (strcmp(routes[index].method, request->method) == 0 &&
            path_fits(routes[index].path, request->path, request->id)) {
            return &routes[index];
        }
    }
    return NULL;
}

static bool may_ask(const struct world *world, const struct request *request,
                    struct answer *answer) {
    const char *given = request->authorization;
    if (given == NULL || strncmp(given, "Bearer ", 7) != 0) {
        return answer_refuse(answer, 401, NULL, NULL, "You did not provide an API key.");
    }
    if (strcmp(given + 7, world->key) != 0 || request->trouble == TROUBLE_401) {
        return answer_refuse(answer, 401, NULL, NULL, "Invalid API Key provided: ****");
    }
    if (request->trouble == TROUBLE_403) {
        return answer_refuse(answer, 403, NULL, NULL,
                             "The provided key does not have the required permissions.");
    }
    return true;
}

static bool may_pass(struct api *api, const struct route *route, const struct request *request,
                     struct answer *answer) {
    const char *reason = limits_take(&api->limits, (size_t)(route - routes));
    if (reason == NULL && request->trouble == TROUBLE_429_LIMITED) {
        reason = "endpoint-rate";
    }
    if (reason != NULL) {
        answer_header(answer, "Stripe-Rate-Limited-Reason", reason);
        return answer_refuse(answer, 429, "rate_limit", NULL, "Request rate limit exceeded.");
    }
    if (request->trouble == TROUBLE_429_LOCKED) {
        return answer_refuse(answer, 429, "lock_timeout", NULL,
                             "This object cannot be accessed right now because another API "
                             "request or Stripe process is currently accessing it.");
    }
    if (request->trouble == TROUBLE_409) {
        return answer_refuse(answer, 409, "lock_timeout", NULL,
                             "Another request is working on this object.");
    }
    return true;
}

static bool read_params(struct api *api, const struct route *route, struct request *request,
                        struct answer *answer) {
    const char *problem = NULL;
    bool has_body = strcmp(request->method, "POST") == 0;
    if (has_body && request->query.size_bytes > 0) {
        return answer_refuse(answer, 400, "parameter_unknown", NULL,
                             "A POST takes its parameters in the body.");
    }
    if (route->parameters == NULL && has_body) {
        request->params =
            json_loadb(request->body.bytes, request->body.size_bytes, JSON_REJECT_DUPLICATES, NULL);
        return request->params != NULL || answer_refuse(answer, 422, NULL, NULL, "malformed JSON");
    }
    request->params = form_parse(has_body ? request->body : request->query, &problem);
    if (request->params == NULL) {
        return answer_refuse(answer, 400, "parameter_invalid", NULL, "Invalid request: %s.",
                             problem);
    }
    struct schema_problem wrong;
    if (route->parameters != NULL &&
        !schema_accepts(api->schemas, schema_find(api->schemas, route->parameters), request->params,
                        &wrong)) {
        return answer_refuse(answer, 400, wrong.code, wrong.param, "%s", wrong.message);
    }
    return true;
}

/* --- idempotency keys ---------------------------------------------------------------------------
 */

static json_t *key_find(struct world *world, const struct request *request) {
    json_t *entry = json_object_get(world->keys, request->idempotency_key);
    if (entry != NULL && world_now_us(world) >= field_integer(entry, "expires_us")) {
        (void)json_object_del(world->keys, request->idempotency_key);
        return NULL;
    }
    return entry;
}

static bool has_key(const struct request *request) {
    return strcmp(request->method, "POST") == 0 && request->idempotency_key != NULL &&
           strncmp(request->path, "/v1/", 4) == 0;
}

/* Stripe compares parameters; here the same bytes are asked for, as a client that retries sends. */
static void asked_format(const struct request *request, char text[32]) {
    (void)snprintf(text, 32, "%016" PRIx64 ":%zu",
                   (uint64_t)XXH3_64bits(request->body.bytes, request->body.size_bytes),
                   request->body.size_bytes);
}

/* Stripe forgets a key when it is 24 hours old or later: which, the seed says. */
static int64_t key_life_us(const struct world *world, const struct request *request) {
    uint64_t draw = XXH3_64bits_withSeed(request->idempotency_key, strlen(request->idempotency_key),
                                         world->seed);
    bool is_longer = world->key_slack_us > 0 && draw % 2 == 0;
    return world->key_life_us +
           (is_longer ? (int64_t)(draw / 2 % (uint64_t)world->key_slack_us) : 0);
}

static json_t *key_entry(struct world *world, const struct request *request) {
    int64_t now_us = world_now_us(world);
    char asked[32];
    asked_format(request, asked);
    return must(json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "path", request->path, "asked", asked,
                          "first_us", (json_int_t)now_us, "expires_us",
                          (json_int_t)(now_us + key_life_us(world, request)), "number",
                          (json_int_t)request->number, "is_running", 1));
}

void api_start(struct world *world, const struct request *request) {
    if (has_key(request) && key_find(world, request) == NULL) {
        (void)json_object_set_new(world->keys, request->idempotency_key, key_entry(world, request));
    }
}

/* True when the work is still to be done; false when the key has the answer. */
static bool key_is_new(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *entry = has_key(request) ? key_find(world, request) : NULL;
    if (entry == NULL) {
        return true;
    }
    char asked[32];
    asked_format(request, asked);
    if (strcmp(field_text(entry, "path"), request->path) != 0 ||
        strcmp(field_text(entry, "asked"), asked) != 0) {
        (void)answer_refuse(answer, 400, NULL, NULL,
                            "Keys for idempotent requests can only be used with the same "
                            "parameters they were first used with.");
        (void)json_object_set_new(json_object_get(answer->body, "error"), "type",
                                  must(json_string("idempotency_error")));
        return false;
    }
    if (json_is_true(json_object_get(entry, "is_running"))) {
        return (uint64_t)field_integer(entry, "number") == request->number ||
               answer_refuse(answer, 409, "idempotency_key_in_use", NULL,
                             "There is currently another in-progress request using this "
                             "Idempotency Key.");
    }
    json_decref(answer->body);
    answer->status = (int)field_integer(entry, "status");
    answer->body = json_deep_copy(json_object_get(entry, "answer"));
    answer_header(answer, "Idempotent-Replayed", "true");
    return false;
}

static void key_keep(struct world *world, const struct request *request,
                     const struct answer *answer) {
    if (!has_key(request)) {
        return;
    }
    api_start(world, request);
    json_t *entry = json_object_get(world->keys, request->idempotency_key);
    (void)json_object_set_new(entry, "is_running", json_false());
    (void)json_object_set_new(entry, "status", must(json_integer(answer->status)));
    (void)json_object_set_new(entry, "answer", json_deep_copy(answer->body));
}

/* A request that was refused before any work leaves no trace of its key. */
static void key_forget(struct world *world, const struct request *request) {
    const json_t *entry = has_key(request) ? key_find(world, request) : NULL;
    if (entry != NULL && json_is_true(json_object_get(entry, "is_running")) &&
        (uint64_t)field_integer(entry, "number") == request->number) {
        (void)json_object_del(world->keys, request->idempotency_key);
    }
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static bool is_let_in(struct api *api, struct world *world, struct request *request,
                      const struct route **route, struct answer *answer) {
    if (!may_ask(world, request, answer)) {
        return false;
    }
    *route = find_route(request);
    if (*route == NULL) {
        return answer_refuse(answer, 404, NULL, NULL, "Unrecognized request URL (%s: %s).",
                             request->method, request->path);
    }
    if ((*route)->parameters != NULL &&
        (request->version == NULL || strlen(request->version) < VERSION_TEXT_MIN)) {
        return answer_refuse(answer, 400, NULL, NULL, "Send Stripe-Version with every request.");
    }
    if (request->idempotency_key != NULL &&
        (request->idempotency_key[0] == '\0' ||
         strlen(request->idempotency_key) > IDEMPOTENCY_KEY_MAX)) {
        return answer_refuse(answer, 400, NULL, NULL, "Idempotency-Key is empty or too long.");
    }
    return may_pass(api, *route, request, answer);
}

static void work(struct world *world, struct request *request, const struct route *route,
                 struct answer *answer) {
    if (request->trouble == TROUBLE_500_BEFORE) {
        (void)answer_refuse(answer, 500, NULL, NULL, "An unknown error occurred.");
    } else if (request->trouble == TROUBLE_402) {
        (void)answer_refuse(answer, 402, "card_declined", NULL, "The request failed.");
    } else {
        answer->status = 200;
        (void)route->work(world, request, answer);
        if (request->trouble == TROUBLE_500_AFTER) {
            (void)answer_refuse(answer, 500, NULL, NULL, "An unknown error occurred.");
        }
    }
}

/* Dodo's errors are flat. */
static void flatten(const struct request *request, struct answer *answer) {
    if (answer->status < 400 || strncmp(request->path, "/v1/", 4) == 0) {
        return;
    }
    json_t *flat =
        must(json_pack("{s:s, s:s}", "code",
                       answer->status >= 500   ? "INTERNAL_SERVER_ERROR"
                       : answer->status == 404 ? "NOT_FOUND"
                                               : "BAD_REQUEST",
                       "message", field_text(json_object_get(answer->body, "error"), "message")));
    json_decref(answer->body);
    answer->body = flat;
}

static void count_call(struct world *world, const struct request *request,
                       const struct route *route, int status) {
    char name[512];
    (void)snprintf(name, sizeof name, "%s %s %d", request->method,
                   route != NULL ? route->path : "(unknown)", status);
    (void)json_object_set_new(world->calls, name,
                              must(json_integer(field_integer(world->calls, name) + 1)));
}

void api_answer(struct api *api, struct world *world, struct request *request,
                struct answer *answer) {
    const struct route *route = NULL;
    if (!is_let_in(api, world, request, &route, answer)) {
        key_forget(world, request);
    } else if (key_is_new(world, request, answer)) {
        if (read_params(api, route, request, answer)) {
            work(world, request, route, answer);
            key_keep(world, request, answer);
        } else {
            key_forget(world, request);
        }
    }
    flatten(request, answer);
    count_call(world, request, route, answer->status);
    json_decref(request->params);
    request->params = NULL;
}
