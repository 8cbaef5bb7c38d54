#include "stripe_sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MICROSECONDS = 1000000 };

json_t *must(json_t *value) {
    if (value == NULL) {
        (void)fprintf(stderr, "stripe_sim: no memory, or text that is not UTF-8\n");
        abort();
    }
    return value;
}

const char *field_text(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

int64_t field_integer(const json_t *object, const char *name) {
    return (int64_t)json_integer_value(json_object_get(object, name));
}

static void collection_init(struct collection *collection) {
    json_decref(collection->list);
    json_decref(collection->by_id);
    collection->list = must(json_array());
    collection->by_id = must(json_object());
}

void collection_add(struct collection *collection, json_t *object) {
    (void)json_object_set(collection->by_id, field_text(object, "id"), object);
    (void)json_array_append_new(collection->list, object);
}

json_t *collection_find(const struct collection *collection, const char *id) {
    return json_object_get(collection->by_id, id);
}

static void array_remove(json_t *array, const json_t *object) {
    for (size_t index = 0; index < json_array_size(array); index++) {
        if (json_array_get(array, index) == object) {
            (void)json_array_remove(array, index);
            return;
        }
    }
}

void collection_remove(struct collection *collection, const char *id) {
    array_remove(collection->list, collection_find(collection, id));
    (void)json_object_del(collection->by_id, id);
}

static json_t *array_of(json_t *hash, const char *name) {
    json_t *array = json_object_get(hash, name);
    if (array == NULL) {
        array = must(json_array());
        (void)json_object_set_new(hash, name, array);
    }
    return array;
}

json_t *world_items_of(struct world *world, const char *customer) {
    return array_of(world->items_of, customer);
}

json_t *world_lines_of(struct world *world, const char *invoice) {
    return array_of(world->lines_of, invoice);
}

void world_add_item(struct world *world, json_t *item) {
    (void)json_array_append(world_items_of(world, field_text(item, "customer")), item);
    collection_add(&world->items, item);
}

void world_remove_item(struct world *world, const char *id) {
    json_t *item = collection_find(&world->items, id);
    array_remove(world_items_of(world, field_text(item, "customer")), item);
    collection_remove(&world->items, id);
}

struct world *world_create(void) {
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL) {
        abort();
    }
    world_reset(world, 0, "sk_test_simulator");
    return world;
}

void world_reset(struct world *world, uint64_t seed, const char *key) {
    struct collection *collections[] = {
        &world->customers,    &world->subscriptions, &world->items, &world->invoices,
        &world->meter_events, &world->dodo_events,   &world->meters};
    json_t **hashes[] = {&world->items_of, &world->lines_of, &world->keys, &world->calls};
    for (size_t index = 0; index < sizeof collections / sizeof collections[0]; index++) {
        collection_init(collections[index]);
    }
    for (size_t index = 0; index < sizeof hashes / sizeof hashes[0]; index++) {
        json_decref(*hashes[index]);
        *hashes[index] = must(json_object());
    }
    world->generation++;
    world->seed = seed;
    world->clock_offset_us = 0;
    world->key_life_us = INT64_C(86400) * MICROSECONDS;
    world->key_slack_us = 0;
    world->refused_metric[0] = '\0';
    world->ids_count = 0;
    (void)snprintf(world->key, sizeof world->key, "%s", key);
}

void world_destroy(struct world *world) {
    struct collection *collections[] = {
        &world->customers,    &world->subscriptions, &world->items, &world->invoices,
        &world->meter_events, &world->dodo_events,   &world->meters};
    for (size_t index = 0; index < sizeof collections / sizeof collections[0]; index++) {
        json_decref(collections[index]->list);
        json_decref(collections[index]->by_id);
    }
    json_decref(world->items_of);
    json_decref(world->lines_of);
    json_decref(world->keys);
    json_decref(world->calls);
    free(world);
}

int64_t world_now_us(const struct world *world) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * MICROSECONDS + now.tv_nsec / 1000 + world->clock_offset_us;
}

int64_t world_now_s(const struct world *world) {
    return world_now_us(world) / MICROSECONDS;
}

bool world_is_live(const struct world *world) {
    return strstr(world->key, "_live_") != NULL;
}

json_t *world_new_id(struct world *world, const char *prefix) {
    char id[64];
    (void)snprintf(id, sizeof id, "%s_%08" PRIx64 "%016" PRIx64, prefix, world->seed & UINT32_MAX,
                   ++world->ids_count);
    return must(json_string(id));
}

json_t *world_dump(const struct world *world) {
    return must(json_pack(
        "{s:I, s:I, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "seed", (json_int_t)world->seed,
        "now_s", (json_int_t)world_now_s(world), "customers", world->customers.list,
        "subscriptions", world->subscriptions.list, "items", world->items.list, "invoices",
        world->invoices.list, "lines", world->lines_of, "meter_events", world->meter_events.list,
        "dodo_events", world->dodo_events.list, "keys", world->keys, "calls", world->calls));
}
