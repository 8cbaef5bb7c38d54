/* A spill in a folder of its own, made before a test and removed after it. */
#ifndef TESTS_SOURCE_SCRATCH_SPILL_H
#define TESTS_SOURCE_SCRATCH_SPILL_H

#include "source/spill.h"
#include "support/test_folder.h"

static struct test_folder folder;
static struct spill *spill;

static inline void scratch_spill_create(uint32_t chunk_bytes) {
    struct err err = {0};
    char path[FILE_PATH_MAX];
    test_folder_create(&folder);
    (void)snprintf(path, sizeof path, "%s/scratch", folder.path);
    assert_done(spill_create(sys_real(), path, chunk_bytes, &spill, &err), &err);
}

static inline int scratch_spill_remove(void **state) {
    (void)state;
    spill_destroy(spill);
    test_folder_remove(&folder);
    return 0;
}

#endif
