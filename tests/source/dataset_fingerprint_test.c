#include "dataset_fixture.h"

struct listing {
    struct dataset_file *files;
    size_t count;
};

static struct listing fingerprint(struct fixture *fixture, size_t jobs) {
    struct listing listing;
    assert_true(dataset_fingerprint(sys_real(), fixture->source,
                                    &(struct dataset_fingerprint_options){.jobs = jobs},
                                    &listing.files, &listing.count, &fixture->err));
    return listing;
}

static void known_files_are_listed_in_order_of_names(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "usage.csv", "org_id\n");
    fixture_write(fixture, "usage-2026-10-02.csv", "");
    fixture_write(fixture, "usage.csv.bak", "x");
    fixture_write(fixture, "notes.txt", "x");
    fixture_write(fixture, "seats.csv", "org_id,user_id\n");
    struct listing listing = fingerprint(fixture, 1);
    const char *const names[] = {"invitations.csv",   "limits.csv",       "orgs.csv",
                                 "plans.csv",         "prices.csv",       "seats.csv",
                                 "subscriptions.csv", "tiers.csv",        "usage-2026-10-02.csv",
                                 "usage.csv",         "usage_history.csv"};
    assert_int_equal(listing.count, sizeof names / sizeof names[0]);
    for (size_t index = 0; index < listing.count; index++) {
        assert_string_equal(listing.files[index].name, names[index]);
    }
    assert_int_equal(listing.files[9].size_bytes, 7);
    assert_int_equal(listing.files[8].size_bytes, 0);
    mem_free(listing.files);
}

/* Several blocks and parts, with an odd rest; every changed byte shows, with any number of jobs. */
static void one_changed_byte_anywhere_shows(void **state) {
    struct fixture *fixture = *state;
    enum { SIZE = 20 * 1024 * 1024 + 77 };
    char *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t index = 0; index < SIZE; index++) {
        bytes[index] = (char)(unsigned char)(index * 2654435761U >> 13);
    }
    const struct text content = {bytes, SIZE};
    test_folder_write(&fixture->folder, "source/usage.csv", content);
    struct listing calm = fingerprint(fixture, 1);
    struct listing threaded = fingerprint(fixture, 3);
    assert_string_equal(calm.files[8].name, "usage_history.csv");
    const struct digest digest = calm.files[7].content;
    assert_int_equal(calm.files[7].size_bytes, SIZE);
    assert_true(digest_equals(&digest, &threaded.files[7].content));
    mem_free(threaded.files);
    const size_t places[] = {0, 1024 * 1024 - 1, 1024 * 1024, 17 * 1024 * 1024 + 5, SIZE - 1};
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        bytes[places[index]] ^= 4;
        test_folder_write(&fixture->folder, "source/usage.csv", content);
        struct listing changed = fingerprint(fixture, 2);
        assert_false(digest_equals(&digest, &changed.files[7].content));
        mem_free(changed.files);
        bytes[places[index]] ^= 4;
    }
    test_folder_write(&fixture->folder, "source/usage.csv", (struct text){bytes, SIZE - 1});
    struct listing shorter = fingerprint(fixture, 2);
    assert_false(digest_equals(&digest, &shorter.files[7].content));
    mem_free(shorter.files);
    mem_free(calm.files);
    free(bytes);
}

static void a_folder_in_place_of_a_file_is_bad_input(void **state) {
    const struct dataset_fingerprint_options one_job = {.jobs = 1};
    struct fixture *fixture = *state;
    char path[FILE_PATH_MAX];
    struct listing listing;
    assert_true(path_format(path, &fixture->err, "%s/usage.csv", fixture->source));
    assert_true(directory_create(sys_real(), path, &fixture->err));
    assert_false(dataset_fingerprint(sys_real(), fixture->source, &one_job, &listing.files,
                                     &listing.count, &fixture->err));
    assert_int_equal(fixture->err.code, ERR_INPUT);
    err_release(&fixture->err);
    assert_false(dataset_fingerprint(sys_real(), "/nowhere/at/all", &one_job, &listing.files,
                                     &listing.count, &fixture->err));
    assert_int_equal(fixture->err.code, ERR_INPUT);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(known_files_are_listed_in_order_of_names),
        TEST(one_changed_byte_anywhere_shows),
        TEST(a_folder_in_place_of_a_file_is_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
