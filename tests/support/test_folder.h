/* A folder of small files for one test, made before it and removed after it. */
#ifndef TESTS_SUPPORT_TEST_FOLDER_H
#define TESTS_SUPPORT_TEST_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

#include "support/assert_done.h"
#include "sys/files.h"

struct test_folder {
    char path[64];
};

static inline void test_folder_create(struct test_folder *folder) {
    (void)snprintf(folder->path, sizeof folder->path, "/tmp/periodclose-test-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static inline void test_folder_remove(struct test_folder *folder) {
    struct err err = {0};
    assert_true(path_remove_tree(sys_real(), folder->path, &err));
}

static inline void test_folder_write(const struct test_folder *folder, const char *name,
                                     struct text content) {
    char path[FILE_PATH_MAX];
    struct err err = {0};
    assert_true(path_format(path, &err, "%s/%s", folder->path, name));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content.bytes, 1, content.size_bytes, file), content.size_bytes);
    assert_int_equal(fclose(file), 0);
}

#endif
