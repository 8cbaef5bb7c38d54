#include <jansson.h>

#include "../../src/run/run_internal.h"
#include "core/memory.h"
#include "small_pipeline.h"
#include "support/assert_done.h"
#include "support/scratch.h"

static struct buffer text; /* of the manifest of a calm run */

static int setup(void **state) {
    if (scratch_setup(state) != 0) {
        return -1;
    }
    struct err err = {0};
    struct stage_session session = SMALL_SESSION;
    struct run_options options = {.jobs = 1};
    assert_done(small_run(sys_real(), "run", &options, &session, &err), &err);
    assert_done(file_load(sys_real(), "run/manifest.json", 1 << 20, &text, &err), &err);
    return 0;
}

static int teardown(void **state) {
    buffer_release(&text);
    return scratch_teardown(state);
}

static enum err_code parse(struct text content, const char *part) {
    struct err err = {0};
    struct manifest manifest;
    if (manifest_parse(&manifest, small_list, content, "manifest.json", &err)) {
        manifest_release(&manifest);
        return ERR_NONE;
    }
    enum err_code code = err.code;
    if (part != NULL && strstr(err.message, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, err.message);
    }
    err_release(&err);
    return code;
}

/* Writes root as a manifest with a right seal; then it is refused for what it says. */
static void assert_refused(json_t *root, enum err_code code, const char *part) {
    struct err err = {0};
    struct digest digest;
    char digest_text[DIGEST_TEXT_MAX];
    assert_done(manifest_seal(root, &digest, &err), &err);
    digest_format(&digest, digest_text);
    assert_int_equal(json_object_set_new(root, "sha256", json_string(digest_text)), 0);
    char *dumped = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    assert_non_null(dumped);
    struct buffer content = {0};
    assert_done(buffer_append_format(&content, &err, "%s\n", dumped), &err);
    assert_int_equal(parse(buffer_text(&content), part), code);
    buffer_release(&content);
    mem_free(dumped);
    json_decref(root);
}

static json_t *load(void) {
    manifest_use_memory();
    json_t *root = json_loadb(text.bytes, text.size_bytes, 0, NULL);
    assert_non_null(root);
    return root;
}

static json_t *stage_of(json_t *root, size_t index) {
    return json_array_get(json_object_get(root, "stages"), index);
}

static json_t *file_of(json_t *root, size_t stage_index, size_t file_index) {
    return json_array_get(json_object_get(stage_of(root, stage_index), "files"), file_index);
}

static void a_manifest_is_what_it_was_when_it_is_written_again(void **state) {
    (void)state;
    struct err err = {0};
    struct manifest manifest;
    assert_done(manifest_parse(&manifest, small_list, buffer_text(&text), "x", &err), &err);
    struct buffer again = {0};
    assert_done(manifest_format(&manifest, &again, &err), &err);
    assert_true(text_equals(buffer_text(&again), buffer_text(&text)));
    assert_int_equal(manifest.stages_count, SMALL_STAGES_COUNT);
    assert_int_equal(manifest.shards_count, SMALL_SHARDS);
    assert_string_equal(pins_find(&manifest.pins[PIN_OPTION], "period")->value, "2026-09");
    buffer_release(&again);
    manifest_release(&manifest);
}

static void a_manifest_with_any_flipped_bit_is_damaged(void **state) {
    (void)state;
    for (size_t index = 0; index < text.size_bytes; index++) {
        char before = text.bytes[index];
        text.bytes[index] = (char)(before ^ (1 << index % 8));
        assert_int_equal(parse(buffer_text(&text), "manifest.json"), ERR_DAMAGED);
        text.bytes[index] = before;
    }
    assert_int_equal(parse(buffer_text(&text), NULL), ERR_NONE);
}

static void a_manifest_cut_anywhere_is_damaged(void **state) {
    (void)state;
    for (size_t size_bytes = 0; size_bytes < text.size_bytes; size_bytes++) {
        struct text cut = {.bytes = text.bytes, .size_bytes = size_bytes};
        assert_int_equal(parse(cut, "manifest.json"), ERR_DAMAGED);
    }
}

static void a_manifest_written_in_another_way_is_damaged(void **state) {
    (void)state;
    struct err err = {0};
    assert_done(buffer_append(&text, text_from("\n"), &err), &err);
    assert_int_equal(parse(buffer_text(&text), "the way this program writes"), ERR_DAMAGED);
}

static void an_edited_manifest_is_damaged(void **state) {
    (void)state;
    char *digit = strstr(text.bytes, "2026-09");
    assert_non_null(digit);
    digit[6] = '8';
    assert_int_equal(parse(buffer_text(&text), "its SHA-256 is"), ERR_DAMAGED);
}

static void paths_that_lead_elsewhere_are_refused(void **state) {
    (void)state;
    static const char *const paths[] = {"/etc/passwd",
                                        "../run/10-gather/rates.arrow",
                                        "10-gather/../../secret",
                                        "10-gather/..",
                                        "10-gather/./rates.arrow",
                                        "10-gather//rates.arrow",
                                        "10-gather/",
                                        "10-gather",
                                        "20-multiply/rates.arrow",
                                        "manifest.json",
                                        "lock",
                                        "",
                                        "reports/",
                                        "reports/a\\b",
                                        "reports/a\nb"};
    for (size_t index = 0; index < sizeof paths / sizeof paths[0]; index++) {
        json_t *root = load();
        (void)json_object_set_new(file_of(root, 0, 2), "path", json_string(paths[index]));
        assert_refused(root, ERR_DAMAGED, "a path that no stage");
    }
    char long_path[RELATIVE_PATH_MAX + 20];
    memset(long_path, 'x', sizeof long_path);
    memcpy(long_path, "reports/", 8);
    long_path[sizeof long_path - 1] = '\0';
    json_t *root = load();
    (void)json_object_set_new(file_of(root, 0, 2), "path", json_string(long_path));
    assert_refused(root, ERR_DAMAGED, "a path that no stage");
}

static void files_listed_twice_are_refused(void **state) {
    (void)state;
    json_t *root = load();
    (void)json_array_append(json_object_get(stage_of(root, 0), "files"), file_of(root, 0, 1));
    assert_refused(root, ERR_DAMAGED, "twice");
    root = load();
    (void)json_object_set_new(file_of(root, 0, 0), "path", json_string("reports/total.csv"));
    assert_refused(root, ERR_DAMAGED, "twice");
}

static void members_of_other_types_are_refused(void **state) {
    (void)state;
    static const char *const members[] = {"format", "format_version", "inputs", "options", "replay",
                                          "run_id", "shards",         "stages", "versions"};
    for (size_t index = 0; index < sizeof members / sizeof members[0]; index++) {
        for (int kind = 0; kind < 3; kind++) {
            json_t *root = load();
            if (kind == 0) {
                (void)json_object_del(root, members[index]);
            } else {
                (void)json_object_set_new(root, members[index],
                                          kind == 1 ? json_string("odd") : json_false());
            }
            assert_refused(root, ERR_DAMAGED, NULL);
        }
    }
    static const char *const stage_members[] = {"name",       "number", "version",
                                                "elapsed_us", "files",  "control_totals"};
    for (size_t index = 0; index < sizeof stage_members / sizeof stage_members[0]; index++) {
        json_t *root = load();
        (void)json_object_set_new(stage_of(root, 1), stage_members[index], json_true());
        assert_refused(root, ERR_DAMAGED, stage_members[index]);
    }
    static const char *const file_members[] = {"path", "rows", "bytes", "sha256"};
    for (size_t index = 0; index < sizeof file_members / sizeof file_members[0]; index++) {
        json_t *root = load();
        (void)json_object_set_new(file_of(root, 1, 0), file_members[index], json_array());
        assert_refused(root, ERR_DAMAGED, file_members[index]);
    }
    json_t *root = load();
    (void)json_object_set_new(file_of(root, 1, 0), "rows", json_integer(-1));
    assert_refused(root, ERR_DAMAGED, "rows");
    root = load();
    (void)json_object_set_new(file_of(root, 1, 0), "sha256", json_string("abc"));
    assert_refused(root, ERR_DAMAGED, "64 hex digits");
    root = load();
    (void)json_object_set_new(root, "surprise", json_integer(7));
    assert_refused(root, ERR_DAMAGED, "the way this program writes");
    root = load();
    (void)json_array_set_new(json_object_get(root, "stages"), 1, json_string("multiply"));
    assert_refused(root, ERR_DAMAGED, NULL);
}

static void totals_that_do_not_agree_are_refused(void **state) {
    (void)state;
    json_t *root = load();
    json_t *total = json_array_get(json_object_get(stage_of(root, 0), "control_totals"), 0);
    (void)json_object_set_new(total, "left", json_string("15"));
    assert_refused(root, ERR_DAMAGED, "does not agree");
    root = load();
    total = json_array_get(json_object_get(stage_of(root, 0), "control_totals"), 0);
    (void)json_object_set_new(total, "left", json_string("1e5"));
    assert_refused(root, ERR_DAMAGED, "no decimal number");
    root = load();
    json_t *totals = json_object_get(stage_of(root, 0), "control_totals");
    (void)json_array_append(totals, json_array_get(totals, 0));
    assert_refused(root, ERR_DAMAGED, "twice");
}

static void another_format_or_pipeline_is_a_mismatch(void **state) {
    (void)state;
    json_t *root = load();
    (void)json_object_set_new(root, "format_version", json_integer(2));
    assert_refused(root, ERR_MISMATCH, "format version 2, this program reads 1");
    root = load();
    (void)json_object_set_new(stage_of(root, 2), "name", json_string("subtract"));
    assert_refused(root, ERR_MISMATCH, "30-'subtract'");
    root = load();
    (void)json_array_remove(json_object_get(root, "stages"), 1);
    assert_refused(root, ERR_MISMATCH, "20-'multiply'");
    root = load();
    json_t *stages = json_object_get(root, "stages");
    for (int extra = 0; extra < 100; extra++) {
        (void)json_array_append(stages, json_array_get(stages, 4));
    }
    assert_refused(root, ERR_DAMAGED, "too long");
}

static void the_run_id_must_be_that_of_the_pins(void **state) {
    (void)state;
    json_t *root = load();
    (void)json_object_set_new(json_object_get(root, "options"), "period", json_string("2026-08"));
    assert_refused(root, ERR_DAMAGED, "run id");
    /* now does not count */
    struct err err = {0};
    struct manifest manifest;
    assert_done(manifest_parse(&manifest, small_list, buffer_text(&text), "x", &err), &err);
    char id[RUN_ID_TEXT_MAX];
    memcpy(id, manifest.id, sizeof id);
    assert_int_equal(strlen(id), 32);
    struct pin *pin = (struct pin *)pins_find(&manifest.pins[PIN_OPTION], "now");
    const char *now = pin->value;
    pin->value = "2027-01-01T00:00:00Z";
    assert_done(manifest_update_id(&manifest, &err), &err);
    assert_string_equal(manifest.id, id);
    pin->value = now;
    assert_done(
        pins_add(&manifest.pins[PIN_VERSION], (struct pin){.name = "tz", .value = "2026f"}, &err),
        &err);
    assert_done(manifest_update_id(&manifest, &err), &err);
    assert_string_equal(manifest.id, id);
    assert_done(
        pins_add(&manifest.pins[PIN_OPTION], (struct pin){.name = "org", .value = "o-1"}, &err),
        &err);
    assert_done(manifest_update_id(&manifest, &err), &err);
    assert_string_not_equal(manifest.id, id);
    manifest_release(&manifest);
}

static void deep_and_doubled_json_is_refused(void **state) {
    (void)state;
    struct buffer deep = {0};
    struct err err = {0};
    for (int depth = 0; depth < 100000; depth++) {
        assert_done(buffer_append(&deep, text_from("["), &err), &err);
    }
    assert_int_equal(parse(buffer_text(&deep), NULL), ERR_DAMAGED);
    buffer_release(&deep);
    assert_int_equal(parse(text_from("{\"sha256\":\"a\",\"sha256\":\"b\"}"), NULL), ERR_DAMAGED);
    assert_int_equal(parse(text_from("[]"), NULL), ERR_DAMAGED);
    assert_int_equal(parse(text_from(""), NULL), ERR_DAMAGED);
    assert_int_equal(parse(text_from("{}"), "sha256"), ERR_DAMAGED);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_manifest_is_what_it_was_when_it_is_written_again),
        TEST(a_manifest_with_any_flipped_bit_is_damaged),
        TEST(a_manifest_cut_anywhere_is_damaged),
        TEST(a_manifest_written_in_another_way_is_damaged),
        TEST(an_edited_manifest_is_damaged),
        TEST(paths_that_lead_elsewhere_are_refused),
        TEST(files_listed_twice_are_refused),
        TEST(members_of_other_types_are_refused),
        TEST(totals_that_do_not_agree_are_refused),
        TEST(another_format_or_pipeline_is_a_mismatch),
        TEST(the_run_id_must_be_that_of_the_pins),
        TEST(deep_and_doubled_json_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
