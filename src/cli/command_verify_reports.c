/* verify: the reports on disk, held against SHA256SUMS and against the tables. */
#include <stdio.h>

#include "cli/closing.h"
#include "cli/shard_walk.h"
#include "source/csv.h"
#include "stage/stages.h"
#include "sys/files.h"
#include "verify.h"

/* --- SHA256SUMS ---------------------------------------------------------------------------------
 */

enum { SUMS_BYTES_MAX = 64 * 1024, SEPARATOR_SIZE = 2 };

struct sums {
    uint64_t listed;
    uint64_t agreeing;
};

static void sums_disagree(struct verification *verification, struct text name, const char *sealed,
                          const char *expected) {
    struct disagreement *found = disagreements_add(&verification->disagreements);
    if (found != NULL) {
        disagreement_name(found->org_id, name);
        disagreement_name(found->what, text_from("SHA256SUMS"));
        (void)snprintf(found->sealed, sizeof found->sealed, "%s", sealed);
        (void)snprintf(found->expected, sizeof found->expected, "%s", expected);
    }
}

/* One line: 64 digits, two spaces, a name in the same folder. */
static bool sums_line(struct verification *verification, struct text line, struct sums *sums,
                      struct err *err) {
    char listed[DIGEST_TEXT_MAX] = "";
    char path[FILE_PATH_MAX];
    struct digest digest;
    enum path_kind kind;
    size_t name_at = DIGEST_TEXT_MAX - 1 + SEPARATOR_SIZE;
    sums->listed++;
    if (line.size_bytes > name_at) {
        memcpy(listed, line.bytes, DIGEST_TEXT_MAX - 1);
    }
    if (line.size_bytes <= name_at ||
        memchr(line.bytes + name_at, '/', line.size_bytes - name_at) ||
        !digest_parse(listed, &digest)) {
        sums_disagree(verification, text_from("SHA256SUMS"), "a line of another form",
                      "digest, two spaces, name");
        return true;
    }
    struct text name = {line.bytes + name_at, line.size_bytes - name_at};
    if (!path_format(path, err, "%s/reports/%.*s", run_path(verification->run),
                     (int)name.size_bytes, name.bytes) ||
        !path_kind(verification->cli->sys, path, &kind, err)) {
        return false;
    }
    if (kind != PATH_FILE) {
        sums_disagree(verification, name, listed, "no such file");
        return true;
    }
    struct table_seal seal;
    char actual[DIGEST_TEXT_MAX];
    if (!table_file_digest(verification->cli->sys, path, &seal, err)) {
        return false;
    }
    digest_format(&seal.digest, actual);
    if (digest_equals(&seal.digest, &digest)) {
        sums->agreeing++;
    } else {
        sums_disagree(verification, name, listed, actual);
    }
    return true;
}

static bool verify_sums(struct verification *verification, struct err *err) {
    struct buffer content = {0};
    struct sums sums = {0};
    char path[FILE_PATH_MAX];
    bool is_fine = path_format(path, err, "%s/reports/SHA256SUMS", run_path(verification->run)) &&
                   file_load(verification->cli->sys, path, SUMS_BYTES_MAX, &content, err);
    for (size_t at = 0; is_fine && at < content.size_bytes;) {
        const char *end = memchr(content.bytes + at, '\n', content.size_bytes - at);
        size_t size = end != NULL ? (size_t)(end - (content.bytes + at)) : content.size_bytes - at;
        is_fine = sums_line(verification, (struct text){content.bytes + at, size}, &sums, err);
        at += size + 1;
    }
    buffer_release(&content);
    size_t files_count;
    (void)run_stage_files(verification->run, &stage_report, &files_count);
    if (is_fine && sums.listed + 1 != files_count) {
        char listed_text[PRINT_NUMBER_MAX];
        char files_text[PRINT_NUMBER_MAX];
        (void)print_count(sums.listed, listed_text);
        (void)print_count(files_count - 1, files_text);
        sums_disagree(verification, text_from("reports"), listed_text, files_text);
    }
    return is_fine &&
           verify_tell(verification, err, "SHA256SUMS", "%llu of %llu reports agree",
                       (unsigned long long)sums.agreeing, (unsigned long long)sums.listed);
}

/* --- overages.csv -------------------------------------------------------------------------------
 */

enum overages_column { COLUMN_CURRENCY, COLUMN_COST, COLUMN_BILLED, COLUMNS_COUNT };

static const struct csv_column overages_columns[COLUMNS_COUNT] = {
    [COLUMN_CURRENCY] = {"currency", true},
    [COLUMN_COST] = {"cost", true},
    [COLUMN_BILLED] = {"billed", true},
};

static const char cost_row[] = "sum of cost";
static const char billed_row[] = "sum of billed";
static const char rows_row[] = "rows";

/* left: what the file says; right: what the tables say. */
struct overages_sums {
    struct totals *totals;
    uint64_t rows_count;
};

static bool overages_row(void *context, const struct csv_row *row, struct err *err) {
    struct overages_sums *sums = context;
    struct decimal cost;
    struct decimal billed;
    struct text currency = row->fields[COLUMN_CURRENCY];
    if (decimal_parse(row->fields[COLUMN_COST], &cost) != DECIMAL_OK ||
        decimal_parse(row->fields[COLUMN_BILLED], &billed) != DECIMAL_OK ||
        currency_find(currency) == NULL) {
        return err_set(err, ERR_CONTROL, "overages.csv:%llu: cost, billed or currency is no such",
                       (unsigned long long)row->line);
    }
    sums->rows_count++;
    return totals_add_left(sums->totals, cost_row, currency, cost, err) &&
           totals_add_left(sums->totals, billed_row, currency, billed, err);
}

static bool overages_read(struct verification *verification, struct overages_sums *sums,
                          struct problems *problems, struct err *err) {
    char folder[FILE_PATH_MAX];
    struct csv_file csv;
    bool is_found;
    if (!path_format(folder, err, "%s/reports", run_path(verification->run)) ||
        !csv_open(verification->cli->sys, folder, "overages.csv", overages_columns, COLUMNS_COUNT,
                  false, &csv, &is_found, problems, err)) {
        return false;
    }
    bool is_fine = true;
    if (is_found) {
        struct csv_range range = {
            .from = csv.layout.rows_offset, .until = UINT64_MAX, .line = csv.layout.rows_line};
        is_fine = csv_read(&csv, range, overages_row, sums, problems, NULL, err);
        csv_close(&csv);
    }
    if (is_fine && !problems_check(problems, err)) {
        err->code = ERR_CONTROL;
        is_fine = false;
    }
    return is_fine;
}

/* The same sums from the tables: costs of all charges, bills of all records. In a database a record
 * may have been waived: there the records say what it costs. */
static bool overages_expect(struct verification *verification, struct overages_sums *sums,
                            const struct table_schema *schema, size_t column, const char *name,
                            uint64_t *rows_count, struct err *err) {
    struct shard_walk rows = {0};
    struct shard_walk orgs = {0};
    bool is_fine = shard_walk_start(&rows, verification->run, schema, err) &&
                   shard_walk_start(&orgs, verification->run, &checkpoint_orgs, err);
    enum { ORG_ID_COLUMN = 0 };
    *rows_count = 0;
    while (is_fine && rows.has_row) {
        bool is_found;
        struct text org_id = table_get_text(&rows.cursor, ORG_ID_COLUMN);
        is_fine = shard_walk_to(&orgs, org_id, &is_found, err) &&
                  (is_found || err_set(err, ERR_CONTROL, "org '%.*s' of '%s' is not in 'orgs'",
                                       (int)org_id.size_bytes, org_id.bytes, schema->name));
        is_fine = is_fine &&
                  totals_add_right(sums->totals, name, table_get_text(&orgs.cursor, ORGS_CURRENCY),
                                   table_get_decimal(&rows.cursor, column), err) &&
                  shard_walk_next(&rows, err);
        ++*rows_count;
    }
    shard_walk_close(&rows);
    shard_walk_close(&orgs);
    return is_fine;
}

static bool overages_compare(struct verification *verification, struct overages_sums *sums,
                             struct err *err) {
    size_t rows_count;
    uint64_t differing = 0;
    uint64_t currencies = 0;
    const struct totals_row *rows = totals_rows(sums->totals, &rows_count);
    for (size_t index = 0; index < rows_count; index++) {
        currencies += strcmp(rows[index].name, cost_row) == 0 ? 1 : 0;
        if (decimal_compare(rows[index].left, rows[index].right) == 0) {
            continue;
        }
        differing++;
        struct disagreement *found = disagreements_add(&verification->disagreements);
        if (found != NULL) {
            disagreement_name(found->org_id, text_from("overages.csv"));
            disagreement_name(found->metric, text_from(rows[index].unit));
            disagreement_name(found->what, text_from(rows[index].name));
            (void)decimal_format(rows[index].left, found->sealed);
            (void)decimal_format(rows[index].right, found->expected);
        }
    }
    char rows_text[PRINT_NUMBER_MAX];
    (void)print_count(sums->rows_count, rows_text);
    return verify_tell(verification, err, "overages.csv",
                       "%s row%s read again; the sums in %llu currenc%s %s the tables'", rows_text,
                       sums->rows_count == 1 ? "" : "s", (unsigned long long)currencies,
                       currencies == 1 ? "y" : "ies", differing == 0 ? "are" : "are NOT");
}

static bool verify_overages(struct verification *verification, struct err *err) {
    struct problems *problems = problems_create(err);
    struct overages_sums sums = {.totals = problems != NULL ? totals_create(err) : NULL};
    bool is_database = run_pinned(verification->run, PIN_VERSION, "database") != NULL;
    uint64_t records_count;
    struct decimal left;
    struct decimal right;
    bool is_fine = sums.totals != NULL && overages_read(verification, &sums, problems, err) &&
                   overages_expect(
                       verification, &sums, is_database ? &checkpoint_records : &checkpoint_charges,
                       is_database ? RECORDS_COST : CHARGES_COST, cost_row, &records_count, err) &&
                   overages_expect(verification, &sums, &checkpoint_records, RECORDS_BILLED,
                                   billed_row, &records_count, err);
    if (is_fine) {
        (void)decimal_from_int64((int64_t)sums.rows_count, &left);
        (void)decimal_from_int64((int64_t)records_count, &right);
        is_fine = totals_add_left(sums.totals, rows_row, text_from("rows"), left, err) &&
                  totals_add_right(sums.totals, rows_row, text_from("rows"), right, err) &&
                  overages_compare(verification, &sums, err);
    }
    totals_destroy(sums.totals);
    problems_destroy(problems);
    return is_fine;
}

bool verify_reports(struct verification *verification, struct err *err) {
    if (run_pinned(verification->run, PIN_OPTION, pin_dry_run) != NULL) {
        return verify_tell(verification, err, "reports", "not sealed: this is a dry run");
    }
    if (!run_stage_is_done(verification->run, &stage_report)) {
        return verify_tell(verification, err, "reports", "not written yet");
    }
    return verify_sums(verification, err) && verify_overages(verification, err);
}
