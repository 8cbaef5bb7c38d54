#include "support/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/files.h"

static char scratch_path[FILE_PATH_MAX];
static char scratch_home[FILE_PATH_MAX];

static void must(bool is_fine, const char *what, const struct err *err) {
    if (!is_fine) {
        (void)fprintf(stderr, "scratch: %s: %s\n", what, err == NULL ? "failed" : err->message);
        abort();
    }
}

int scratch_setup(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(scratch_path, sizeof scratch_path, "%s/periodclose-test-XXXXXX",
                   base == NULL ? "/tmp" : base);
    must(getcwd(scratch_home, sizeof scratch_home) != NULL, "where am I", NULL);
    must(mkdtemp(scratch_path) != NULL, "making a folder", NULL);
    must(chdir(scratch_path) == 0, "going there", NULL);
    return 0;
}

int scratch_teardown(void **state) {
    (void)state;
    struct err err = {0};
    must(chdir(scratch_home) == 0, "going home", NULL);
    must(path_remove_tree(sys_real(), scratch_path, &err), "cleaning up", &err);
    return 0;
}

void scratch_empty(void) {
    struct err err = {0};
    struct directory_listing listing;
    must(directory_list(sys_real(), ".", &listing, &err), "listing", &err);
    for (size_t index = 0; index < listing.names_count; index++) {
        must(path_remove_tree(sys_real(), listing.names[index], &err), "emptying", &err);
    }
    directory_release(&listing);
}

void scratch_write(const char *path, const char *content) {
    struct err err = {0};
    struct file file;
    must(file_create(sys_real(), path, &file, &err) &&
             file_append(&file, content, strlen(content), &err) && file_close(&file, &err),
         path, &err);
}

bool scratch_holds(const char *path, const char *content) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    char held[4096];
    size_t size_bytes = fread(held, 1, sizeof held, file);
    (void)fclose(file);
    return size_bytes == strlen(content) && memcmp(held, content, size_bytes) == 0;
}

bool scratch_exists(const char *path) {
    return access(path, F_OK) == 0;
}
