#include "stripe_sim/faults.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

static const struct {
    const char *name;
    uint64_t weight; /* 0: only when the script or `kinds` asks for it */
    enum trouble trouble;
} kinds[FAULTS_COUNT] = {
    [FAULT_NONE] = {"none", 0, TROUBLE_NONE},
    [FAULT_REFUSE] = {"refuse", 1, TROUBLE_NONE},
    [FAULT_RESET_BEFORE] = {"reset_before", 4, TROUBLE_NONE},
    [FAULT_RESET_AFTER] = {"reset_after", 6, TROUBLE_NONE},
    [FAULT_CLOSE_AFTER] = {"close_after", 3, TROUBLE_NONE},
    [FAULT_CLOSE_SESSION] = {"close_session", 2, TROUBLE_NONE},
    [FAULT_500_BEFORE] = {"500_before", 4, TROUBLE_500_BEFORE},
    [FAULT_500_AFTER] = {"500_after", 5, TROUBLE_500_AFTER},
    [FAULT_409] = {"409", 4, TROUBLE_409},
    [FAULT_429_LIMITED] = {"429_limited", 4, TROUBLE_429_LIMITED},
    [FAULT_429_LOCKED] = {"429_locked", 4, TROUBLE_429_LOCKED},
    [FAULT_401] = {"401", 0, TROUBLE_401},
    [FAULT_402] = {"402", 0, TROUBLE_402},
    [FAULT_403] = {"403", 0, TROUBLE_403},
    [FAULT_STALL_BEFORE] = {"stall_before", 3, TROUBLE_NONE},
    [FAULT_STALL_AFTER] = {"stall_after", 3, TROUBLE_NONE},
    [FAULT_TRUNCATE] = {"truncate", 4, TROUBLE_NONE},
    [FAULT_NOT_JSON_502] = {"not_json_502", 3, TROUBLE_NONE},
    [FAULT_NOT_JSON_AFTER] = {"not_json_after", 3, TROUBLE_NONE},
    [FAULT_KILL_BEFORE] = {"kill_before", 3, TROUBLE_NONE},
    [FAULT_KILL_DONE] = {"kill_done", 5, TROUBLE_NONE},
    [FAULT_KILL_ANSWERED] = {"kill_answered", 5, TROUBLE_NONE},
};

const char *fault_name(enum fault fault) {
    return kinds[fault].name;
}

enum trouble fault_trouble(enum fault fault) {
    return kinds[fault].trouble;
}

static enum fault kind_find(const char *name) {
    for (int fault = FAULT_NONE + 1; fault < FAULTS_COUNT; fault++) {
        if (strcmp(kinds[fault].name, name) == 0) {
            return (enum fault)fault;
        }
    }
    return FAULT_NONE;
}

static uint64_t number_or(const json_t *plan, const char *name, uint64_t otherwise) {
    return json_object_get(plan, name) != NULL ? (uint64_t)field_integer(plan, name) : otherwise;
}

bool faults_load(struct faults *faults, const json_t *plan, const char **problem) {
    faults_release(faults);
    const json_t *names = json_object_get(plan, "kinds");
    const json_t *script = json_object_get(plan, "script");
    faults->seed = number_or(plan, "seed", 0);
    faults->per_mille = number_or(plan, "per_mille", 0);
    faults->faults_max = number_or(plan, "faults_max", UINT32_MAX);
    faults->kills_max = number_or(plan, "kills_max", 0);
    faults->stall_ms = (int64_t)number_or(plan, "stall_ms", 50);
    faults->refuse_ms = (int64_t)number_or(plan, "refuse_ms", 20);
    faults->asked = must(json_object());
    faults->script = script != NULL ? json_deep_copy(script) : must(json_array());
    for (int fault = FAULT_NONE + 1; fault < FAULTS_COUNT; fault++) {
        faults->may[fault] = names == NULL && kinds[fault].weight > 0;
    }
    for (size_t index = 0; index < json_array_size(names); index++) {
        enum fault fault = kind_find(json_string_value(json_array_get(names, index)));
        faults->may[fault] = true;
        *problem = fault == FAULT_NONE ? "an unknown kind of fault" : *problem;
    }
    for (size_t index = 0; index < json_array_size(faults->script); index++) {
        if (kind_find(field_text(json_array_get(faults->script, index), "kind")) == FAULT_NONE) {
            *problem = "an unknown kind of fault in the script";
        }
    }
    return *problem == NULL;
}

void faults_release(struct faults *faults) {
    json_decref(faults->script);
    json_decref(faults->asked);
    memset(faults, 0, sizeof *faults);
}

static bool ends_with(const char *path, const char *end) {
    size_t size = strlen(path);
    return size >= strlen(end) && strcmp(path + size - strlen(end), end) == 0;
}

static enum fault script_draw(struct faults *faults, const struct request *request) {
    enum fault found = FAULT_NONE;
    for (size_t index = 0; index < json_array_size(faults->script); index++) {
        json_t *line = json_array_get(faults->script, index);
        const char *method = field_text(line, "method");
        const char *path = field_text(line, "path");
        if ((*method != '\0' && strcmp(method, request->method) != 0) ||
            strncmp(path, request->path, strlen(path)) != 0 ||
            !ends_with(request->path, field_text(line, "ends"))) {
            continue;
        }
        uint64_t seen = (uint64_t)field_integer(line, "seen") + 1;
        uint64_t nth = number_or(line, "nth", 1);
        (void)json_object_set_new(line, "seen", must(json_integer((json_int_t)seen)));
        if (seen >= nth && seen < nth + number_or(line, "times", 1)) {
            found = kind_find(field_text(line, "kind"));
        }
    }
    return found;
}

static bool is_kill(enum fault fault) {
    return fault == FAULT_KILL_BEFORE || fault == FAULT_KILL_DONE || fault == FAULT_KILL_ANSWERED;
}

static enum fault random_draw(struct faults *faults, const struct request *request) {
    char same[1024];
    char name[24];
    (void)snprintf(
        same, sizeof same, "%s %s %s %016llx", request->method, request->path,
        request->idempotency_key != NULL ? request->idempotency_key : "",
        (unsigned long long)XXH3_64bits(request->query.bytes, request->query.size_bytes));
    uint64_t hash = XXH3_64bits_withSeed(same, strlen(same), faults->seed);
    (void)snprintf(name, sizeof name, "%016llx", (unsigned long long)hash);
    int64_t times = field_integer(faults->asked, name) + 1;
    (void)json_object_set_new(faults->asked, name, must(json_integer(times)));
    uint64_t draw = XXH3_64bits_withSeed(&times, sizeof times, hash);
    if (draw % 1000 >= faults->per_mille) {
        return FAULT_NONE;
    }
    uint64_t sum = 0;
    for (int fault = 0; fault < FAULTS_COUNT; fault++) {
        sum += faults->may[fault] ? kinds[fault].weight + 1 : 0;
    }
    uint64_t rest = sum > 0 ? draw / 1000 % sum : 0;
    for (int fault = 0; fault < FAULTS_COUNT; fault++) {
        uint64_t weight = faults->may[fault] ? kinds[fault].weight + 1 : 0;
        if (rest < weight) {
            return (enum fault)fault;
        }
        rest -= weight;
    }
    return FAULT_NONE;
}

enum fault faults_draw(struct faults *faults, const struct request *request) {
    enum fault fault = script_draw(faults, request);
    if (fault == FAULT_NONE) {
        fault = random_draw(faults, request);
        if (fault == FAULT_NONE || faults->faults_count >= faults->faults_max ||
            (is_kill(fault) && faults->kills_count >= faults->kills_max)) {
            return FAULT_NONE;
        }
    }
    faults->faults_count++;
    faults->kills_count += is_kill(fault);
    faults->struck[fault]++;
    return fault;
}
