/*
 * What the test may ask for. Commands, by their "do":
 *   reset   {seed, key, faults, limits: {endpoint, account}, record, fast, key_life_s,
 *           key_slack_s}
 *   add     {customers: [{id, currency}], subscriptions: [{…, as Stripe or Dodo show them}],
 *           meters: [{…, as Dodo shows them}]}
 *   faults  {plan}             another plan, from now on
 *   clock   {advance_s}        moves the world's clock, once what was sent is carried out
 *   client  {pid}              who is killed by a kill_… fault; 0: nobody
 *   remove  {item}             somebody deletes an item at Stripe
 *   remove_event {event}       an event is gone at Dodo
 *   renew   {subscription}     a draft invoice with the pending items of its customer
 *   refuse  {metric}           no item or line of it is taken; left out: all are
 *   line    {invoice, …}       somebody adds a line at Stripe, or with remove takes the first away
 *   dump                       everything there is
 *   stop
 */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stripe_sim/server.h"

enum { SECOND_US = 1000000 };

static json_t *fine(void) {
    return must(json_pack("{s:b}", "ok", 1));
}

static json_t *wrong(const char *why) {
    return must(json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

static json_t *do_faults(struct server *server, const json_t *plan) {
    const char *problem = NULL;
    return faults_load(&server->faults, plan, &problem) ? fine() : wrong(problem);
}

static json_t *do_reset(struct server *server, const json_t *command) {
    const json_t *limits = json_object_get(command, "limits");
    const char *key = field_text(command, "key");
    int64_t key_life_s = field_integer(command, "key_life_s");
    world_reset(server->world, (uint64_t)field_integer(command, "seed"),
                *key != '\0' ? key : "sk_test_simulator");
    if (key_life_s > 0) {
        server->world->key_life_us = key_life_s * SECOND_US;
    }
    server->world->key_slack_us = field_integer(command, "key_slack_s") * SECOND_US;
    api_set_limits(server->api, (size_t)field_integer(limits, "endpoint"),
                   (size_t)field_integer(limits, "account"));
    server->is_fast = json_is_true(json_object_get(command, "fast"));
    server->is_recording = json_is_true(json_object_get(command, "record"));
    server->stats = (struct server_stats){0};
    (void)json_array_clear(server->recorded);
    return do_faults(server, json_object_get(command, "faults"));
}

static json_t *do_add(struct server *server, const json_t *command) {
    const json_t *customers = json_object_get(command, "customers");
    const json_t *subscriptions = json_object_get(command, "subscriptions");
    const json_t *meters = json_object_get(command, "meters");
    for (size_t index = 0; index < json_array_size(customers); index++) {
        json_t *customer = json_deep_copy(json_array_get(customers, index));
        if (json_object_get(customer, "currency") == NULL) {
            (void)json_object_set_new(customer, "currency", must(json_string("usd")));
        }
        (void)json_object_set_new(customer, "object", must(json_string("customer")));
        collection_add(&server->world->customers, customer);
    }
    for (size_t index = 0; index < json_array_size(subscriptions); index++) {
        collection_add(&server->world->subscriptions,
                       json_deep_copy(json_array_get(subscriptions, index)));
    }
    for (size_t index = 0; index < json_array_size(meters); index++) {
        collection_add(&server->world->meters, json_deep_copy(json_array_get(meters, index)));
    }
    return fine();
}

static json_t *do_client(struct server *server, const json_t *command) {
    int64_t pid = field_integer(command, "pid");
    if (server->client >= 0) {
        (void)close(server->client);
    }
    /* A handle and not a number: a number may be another process by the time it is killed. */
    server->client = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
    return server->client >= 0 || pid <= 0 ? fine() : wrong("no such process");
}

static json_t *do_renew(struct server *server, const json_t *command) {
    struct world *world = server->world;
    const char *id = field_text(command, "subscription");
    const json_t *subscription = collection_find(&world->subscriptions, id);
    if (subscription == NULL) {
        return wrong("no such subscription");
    }
    const char *customer = field_text(subscription, "customer");
    json_t *invoice = invoice_new(world, customer, field_text(subscription, "currency"));
    (void)json_object_set_new(invoice, "parent",
                              must(json_pack("{s:s, s:{s:s}}", "type", "subscription_details",
                                             "subscription_details", "subscription", id)));
    static const char *const bounds[] = {"period_start", "period_end"};
    for (size_t index = 0; index < sizeof bounds / sizeof bounds[0]; index++) {
        if (json_object_get(command, bounds[index]) != NULL) {
            (void)json_object_set(invoice, bounds[index], json_object_get(command, bounds[index]));
        }
    }
    collection_add(&world->invoices, invoice);
    const json_t *items = world_items_of(world, customer);
    for (size_t index = 0; index < json_array_size(items); index++) {
        json_t *item = json_array_get(items, index);
        if (*field_text(item, "invoice") == '\0' &&
            strcmp(field_text(item, "currency"), field_text(invoice, "currency")) == 0 &&
            json_array_size(world_lines_of(world, field_text(invoice, "id"))) < INVOICE_LINES_MAX) {
            invoice_attach(world, invoice, item);
        }
    }
    return must(json_pack("{s:b, s:O}", "ok", 1, "invoice", json_object_get(invoice, "id")));
}

static json_t *do_line(struct server *server, const json_t *command) {
    struct world *world = server->world;
    json_t *invoice = collection_find(&world->invoices, field_text(command, "invoice"));
    if (invoice == NULL) {
        return wrong("no such invoice");
    }
    if (json_is_true(json_object_get(command, "remove"))) {
        invoice_drop_line(world, invoice, json_is_true(json_object_get(command, "last")));
        return fine();
    }
    json_t *line = must(json_pack("{s:s, s:I, s:O, s:s, s:b, s:{}, s:n}", "id", "", "amount",
                                  (json_int_t)field_integer(command, "amount"), "currency",
                                  json_object_get(invoice, "currency"), "description", "by hand",
                                  "discountable", 1, "metadata", "period"));
    if (json_object_get(command, "metadata") != NULL) {
        (void)json_object_set(line, "metadata", json_object_get(command, "metadata"));
    }
    invoice_attach(world, invoice, line);
    json_decref(line);
    return fine();
}

static json_t *do_dump(struct server *server) {
    json_t *struck = must(json_object());
    for (int fault = FAULT_NONE + 1; fault < FAULTS_COUNT; fault++) {
        (void)json_object_set_new(struck, fault_name((enum fault)fault),
                                  must(json_integer((json_int_t)server->faults.struck[fault])));
    }
    json_t *dump = world_dump(server->world);
    (void)json_object_set_new(dump, "struck", struck);
    (void)json_object_set(dump, "recorded", server->recorded);
    (void)json_object_set_new(
        dump, "stats",
        must(json_pack("{s:I, s:I, s:I}", "requests", (json_int_t)server->stats.requests,
                       "connections", (json_int_t)server->stats.connections, "overlaps",
                       (json_int_t)server->stats.overlaps)));
    (void)json_object_set_new(dump, "ok", json_true());
    return dump;
}

bool control_moves_time(const json_t *command) {
    return strcmp(field_text(command, "do"), "clock") == 0;
}

json_t *control_answer(struct server *server, const json_t *command) {
    const char *what = field_text(command, "do");
    if (strcmp(what, "reset") == 0) {
        return do_reset(server, command);
    }
    if (strcmp(what, "add") == 0) {
        return do_add(server, command);
    }
    if (strcmp(what, "faults") == 0) {
        return do_faults(server, json_object_get(command, "plan"));
    }
    if (strcmp(what, "clock") == 0) {
        server->world->clock_offset_us += field_integer(command, "advance_s") * SECOND_US;
        return fine();
    }
    if (strcmp(what, "client") == 0) {
        return do_client(server, command);
    }
    if (strcmp(what, "remove") == 0) {
        const char *id = field_text(command, "item");
        if (collection_find(&server->world->items, id) == NULL) {
            return wrong("no such item");
        }
        invoice_forget_item(server->world, id);
        world_remove_item(server->world, id);
        return fine();
    }
    if (strcmp(what, "remove_event") == 0) {
        const char *id = field_text(command, "event");
        if (collection_find(&server->world->dodo_events, id) == NULL) {
            return wrong("no such event");
        }
        collection_remove(&server->world->dodo_events, id);
        return fine();
    }
    if (strcmp(what, "refuse") == 0) {
        (void)snprintf(server->world->refused_metric, sizeof server->world->refused_metric, "%s",
                       field_text(command, "metric"));
        return fine();
    }
    if (strcmp(what, "line") == 0) {
        return do_line(server, command);
    }
    if (strcmp(what, "renew") == 0) {
        return do_renew(server, command);
    }
    if (strcmp(what, "dump") == 0) {
        return do_dump(server);
    }
    server->is_stopping = strcmp(what, "stop") == 0;
    return server->is_stopping ? fine() : wrong("unknown command");
}
