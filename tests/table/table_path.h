/* Where a group of tests writes its one table: in a folder made before it and removed after it. */
#ifndef TESTS_TABLE_TABLE_PATH_H
#define TESTS_TABLE_TABLE_PATH_H

#include "support/test_folder.h"

static struct test_folder folder;
static char path[FILE_PATH_MAX];

static inline int make_folder(void **state) {
    (void)state;
    test_folder_create(&folder);
    (void)snprintf(path, sizeof path, "%s/table.arrow", folder.path);
    return 0;
}

static inline int remove_folder(void **state) {
    (void)state;
    test_folder_remove(&folder);
    return 0;
}

#endif
