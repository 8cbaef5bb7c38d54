/*
 * Any bytes as a CSV file, in two ways chosen by the first byte: read by each file's columns, whole
 * and cut at a row's start, where both must give the same rows; or as one file of an otherwise good
 * dataset folder, which is loaded.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/source/dataset_columns.h"
#include "core/memory.h"
#include "source/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

/* --- one file --------------------------------------------------------------------------------- */

struct digesting {
    struct buffer told;
    uint64_t rows_count;
    uint64_t last_line;
};

static bool take_row(void *context, const struct csv_row *row, struct err *err) {
    struct digesting *digesting = context;
    assert(row->line > digesting->last_line);
    digesting->last_line = row->line;
    digesting->rows_count++;
    for (size_t index = 0; index < 3; index++) {
        assert(text_is_utf8(row->fields[index]));
        if (!buffer_append(&digesting->told, row->fields[index], err) ||
            !buffer_append(&digesting->told, (struct text){"", 1}, err)) {
            return false;
        }
    }
    return true;
}

/* Returns how many rows were bad. */
static uint64_t read_part(const struct csv_file *csv, struct csv_range range,
                          struct digesting *digesting, uint64_t *next_line) {
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    bool is_read =
        problems != NULL && csv_read(csv, range, take_row, digesting, problems, next_line, &err);
    assert(is_read);
    uint64_t count = problems_count(problems);
    assert(problems_check(problems, &err) == (count == 0));
    err_release(&err);
    problems_destroy(problems);
    return count;
}

/* Offset where the line begins; lines are counted as csv.h says. */
static uint64_t offset_of_line(const uint8_t *bytes, size_t size_bytes, uint64_t line) {
    size_t offset = 0;
    for (uint64_t at = 1; at < line && offset < size_bytes; at++) {
        const uint8_t *end = memchr(bytes + offset, '\n', size_bytes - offset);
        offset = end != NULL ? (size_t)(end - bytes) + 1 : size_bytes;
    }
    return offset;
}

/* All rows as small files are read. */
static void expect_rows(const struct csv_file *csv, const struct digesting *whole,
                        uint64_t bad_count) {
    struct err err = {0};
    struct digesting rows = {0};
    struct problems *problems = problems_create(&err);
    struct csv_range all = {csv->layout.rows_offset, UINT64_MAX, csv->layout.rows_line};
    bool is_read = problems != NULL && csv_read_part(csv, all, take_row, &rows, problems, &err);
    assert(is_read);
    assert(problems_count(problems) == bad_count);
    assert(rows.rows_count == whole->rows_count);
    assert(text_equals(buffer_text(&rows.told), buffer_text(&whole->told)));
    buffer_release(&rows.told);
    problems_destroy(problems);
}

static void read_cut(const struct csv_file *csv, const uint8_t *bytes, size_t size_bytes,
                     uint64_t cut) {
    struct digesting whole = {0};
    struct digesting parts = {0};
    struct csv_range all = {csv->layout.rows_offset, UINT64_MAX, csv->layout.rows_line};
    struct csv_range first = {csv->layout.rows_offset, cut, csv->layout.rows_line};
    uint64_t line = 0;
    uint64_t bad_count = read_part(csv, all, &whole, &line);
    expect_rows(csv, &whole, bad_count);
    (void)read_part(csv, first, &parts, &line);
    struct csv_range rest = {offset_of_line(bytes, size_bytes, line), UINT64_MAX, line};
    if (bad_count == 0) { /* else the reading may have stopped for good */
        assert(rest.from >= cut || rest.from == size_bytes);
        bad_count = read_part(csv, rest, &parts, &line);
        assert(bad_count == 0);
        assert(whole.rows_count == parts.rows_count);
        assert(text_equals(buffer_text(&whole.told), buffer_text(&parts.told)));
    }
    buffer_release(&whole.told);
    buffer_release(&parts.told);
}

static void read_file(const struct dataset_file_columns *file, const uint8_t *bytes,
                      size_t size_bytes) {
    int fd = memfd_create("csv_fuzz", 0);
    assert(fd >= 0 && write(fd, bytes, size_bytes) == (ssize_t)size_bytes);
    char name[16];
    (void)snprintf(name, sizeof name, "%d", fd);
    struct err err = {0};
    struct csv_column declared[CSV_COLUMNS_MAX];
    struct csv_file csv;
    bool is_found;
    struct problems *problems = problems_create(&err);
    columns_declare(file, declared);
    bool is_opened =
        problems != NULL && csv_open(sys_real(), "/proc/self/fd", name, declared,
                                     file->columns_count, false, &csv, &is_found, problems, &err);
    assert(is_opened);
    if (is_found) {
        uint64_t cut = csv.layout.rows_offset + (size_bytes - csv.layout.rows_offset) / 2;
        read_cut(&csv, bytes, size_bytes, cut);
        csv_close(&csv);
    }
    problems_destroy(problems);
    close(fd);
}

/* --- a file of a folder ------------------------------------------------------------------------
 */

static const char *const good_files[DATASET_FILES_COUNT] = {
    [DATASET_ORGS] = "org_id,timezone,anchor_day\na,UTC,1\nb,Europe/Berlin,31\n",
    [DATASET_PLANS] = "plan_id\np\nq\n",
    [DATASET_PRICES] = "plan_id,metric,model,unit_price\np,m,,0.5\nq,m,graduated,\n",
    [DATASET_TIERS] = "plan_id,metric,up_to,unit_price\nq,m,5,2\nq,m,,1\n",
    [DATASET_SUBSCRIPTIONS] = "org_id,plan_id\na,p\nb,q\n",
    [DATASET_LIMITS] = "org_id,metric,soft_limit\na,m,7\n",
    [DATASET_HISTORY] = "org_id,metric,period,quantity,closing_level\na,m,2026-09,3,4\n",
    [DATASET_INVITATIONS] = "invitation_id,org_id,created_at\ni,a,2026-09-01T00:00:00Z\n",
};

static void write_file(const char *folder, const char *name, const void *bytes, size_t size_bytes) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    bool is_written = file != NULL && fwrite(bytes, 1, size_bytes, file) == size_bytes;
    assert(is_written);
    (void)fclose(file);
}

static char fuzz_folder[64];

static void remove_folder(void) {
    struct err err = {0};
    (void)path_remove_tree(sys_real(), fuzz_folder, &err);
    err_release(&err);
}

/* Made once, in memory where there is such a place; only the file in question is written anew. */
static const char *good_folder(void) {
    if (fuzz_folder[0] != '\0') {
        return fuzz_folder;
    }
    (void)snprintf(fuzz_folder, sizeof fuzz_folder, "%s/csv_fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    const char *made = mkdtemp(fuzz_folder);
    assert(made != NULL);
    (void)atexit(remove_folder);
    for (size_t file = 0; file < DATASET_FILES_COUNT; file++) {
        write_file(fuzz_folder, dataset_files[file].file, good_files[file],
                   strlen(good_files[file]));
    }
    return fuzz_folder;
}

static void load_folder(size_t file, const uint8_t *bytes, size_t size_bytes) {
    const char *folder = good_folder();
    write_file(folder, dataset_files[file].file, bytes, size_bytes);
    struct err err = {0};
    struct dataset *dataset;
    struct problems *problems = problems_create(&err);
    struct dataset_options options = {
        .folder = folder, .scratch_folder = folder, .month = {2026, 10}};
    bool is_loaded =
        problems != NULL && dataset_load(sys_real(), &options, &dataset, problems, &err);
    assert(is_loaded);
    if (problems_check(problems, &err)) {
        struct catalog *catalog = dataset_catalog(dataset);
        catalog_settle(catalog);
        for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
            const struct catalog_org *org = &catalog->orgs[rank];
            assert(catalog_find_org(catalog, org->org_id) == rank);
            assert(org->disposition != ORG_RATED || org->plan != NULL);
        }
    }
    dataset_destroy(dataset);
    err_release(&err);
    problems_destroy(problems);
    write_file(folder, dataset_files[file].file, good_files[file], strlen(good_files[file]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes) {
    if (size_bytes == 0) {
        return 0;
    }
    size_t file = bytes[0] % DATASET_FILES_COUNT;
    if (bytes[0] < 128) {
        read_file(&dataset_files[file], bytes + 1, size_bytes - 1);
    } else {
        load_folder(file, bytes + 1, size_bytes - 1);
    }
    return 0;
}
