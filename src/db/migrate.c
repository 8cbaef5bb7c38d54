#include "db/migrate.h"

#include <assert.h>
#include <string.h>

#include "core/digest.h"
#include "db/sql.h"
#include "db_internal.h"

static const char folder[] = "migrations/";

static const char *name_of(const struct sql_file *file) {
    return file->name + sizeof folder - 1;
}

/* Where the last line of a file begins that notes itself; NULL: it does not. */
static const char *find_note(const struct sql_file *file) {
    static const char note[] = "\ncall billing.note_migration(";
    const char *found = strstr(file->text, note);
    return found != NULL && strchr(found + 1, '\n') == file->text + file->size_bytes - 1 ? found + 1
                                                                                         : NULL;
}

/* What notes itself holds the digest of all above that line. */
static bool digest_text(const struct sql_file *file, char text[DIGEST_TEXT_MAX], struct err *err) {
    struct digest digest;
    const char *note = find_note(file);
    size_t size_bytes = note != NULL ? (size_t)(note - file->text) : file->size_bytes;
    if (!digest_of(file->text, size_bytes, &digest, err)) {
        return false;
    }
    digest_format(&digest, text);
    return true;
}

/* Applied ones are the first of ours, unchanged: *count of them. */
static bool compare(struct db *db, const struct db_result *applied, size_t *count,
                    struct err *err) {
    size_t files_count;
    const struct sql_file *files = sql_find_all(folder, &files_count);
    for (size_t row = 0; row < applied->rows_count; row++) {
        struct text name;
        struct text sha256;
        char own[DIGEST_TEXT_MAX];
        if (!db_result_text(applied, row, 0, &name, err) ||
            !db_result_text(applied, row, 1, &sha256, err)) {
            return false;
        }
        if (row >= files_count || !text_equals(name, text_from(name_of(&files[row])))) {
            (void)err_set(err, ERR_DATABASE,
                          "%s: migration %.*s was applied, but this program has %s in its place",
                          db_description(db), (int)name.size_bytes, name.bytes,
                          row < files_count ? name_of(&files[row]) : "none");
            return err_hint(err, "the database is ahead of this program: use the version of "
                                 "periodclose that migrated it, or a later one");
        }
        if (!digest_text(&files[row], own, err)) {
            return false;
        }
        if (!text_equals(sha256, text_from(own))) {
            (void)err_set(err, ERR_DATABASE,
                          "%s: migration %.*s was applied with other content: SHA-256 %.*s there, "
                          "%s here",
                          db_description(db), (int)name.size_bytes, name.bytes,
                          (int)sha256.size_bytes, sha256.bytes, own);
            return err_hint(err, "an applied migration never changes: use the periodclose that "
                                 "applied it; what is to change goes into a new migration");
        }
    }
    *count = applied->rows_count;
    return true;
}

static bool find_applied(struct db *db, size_t *count, struct err *err) {
    struct db_result result = {0};
    bool is_prepared = false;
    *count = 0;
    bool is_done = db_run(db, "migrate/is_prepared.sql", NULL, &result, err) &&
                   db_result_bool(&result, 0, 0, &is_prepared, err);
    db_result_release(&result);
    if (!is_done || !is_prepared) {
        return is_done;
    }
    is_done =
        db_run(db, "migrate/list.sql", NULL, &result, err) && compare(db, &result, count, err);
    db_result_release(&result);
    return is_done;
}

/* Before anything is made there: names and keys are compared by their bytes in UTF-8. */
static bool check_encoding(struct db *db, struct err *err) {
    const char *encoding = PQparameterStatus(db->connection, "server_encoding");
    if (encoding == NULL || strcmp(encoding, "UTF8") == 0) {
        return true;
    }
    (void)err_set(err, ERR_DATABASE, "%s is encoded in %.40s, not in UTF8", db_description(db),
                  encoding);
    return err_hint(err, "make another one: createdb --encoding UTF8 --template template0 NAME");
}

/* In a transaction of the caller's. */
static bool apply_within(struct db *db, const struct sql_file *file, struct err *err) {
    char sha256[DIGEST_TEXT_MAX];
    struct db_params params = {0};
    if (!digest_text(file, sha256, err)) {
        return false;
    }
    db_params_text(&params, text_from(name_of(file)));
    db_params_text(&params, text_from(sha256));
    return db_run_script(db, file->name, file->text, err) &&
           db_run(db, "migrate/add.sql", &params, NULL, err);
}

static bool apply(struct db *db, const struct sql_file *file, struct err *err) {
    bool is_done = db_begin(db, "", err) && apply_within(db, file, err) && db_commit(db, err);
    if (!is_done) {
        db_rollback(db);
    }
    return is_done;
}

/*
 * A schema that psql made, of the files from before they noted themselves: the first that does
 * notes them too, after a look at what they made. *count is what is applied then; a dry run takes
 * it back.
 */
static bool adopt(struct db *db, bool is_dry, size_t *count, struct err *err) {
    size_t files_count;
    const struct sql_file *files = sql_find_all(folder, &files_count);
    struct db_result result = {0};
    bool is_by_hand = false;
    bool is_done = db_run(db, "migrate/is_by_hand.sql", NULL, &result, err) &&
                   db_result_bool(&result, 0, 0, &is_by_hand, err);
    db_result_release(&result);
    if (!is_done || !is_by_hand) {
        return is_done;
    }
    size_t index = 0;
    while (find_note(&files[index]) == NULL) {
        index++;
        assert(index < files_count);
    }
    is_done = db_begin(db, "", err) && apply_within(db, &files[index], err) &&
              find_applied(db, count, err) && (is_dry || db_commit(db, err));
    if (!is_done || is_dry) {
        db_rollback(db);
    }
    return is_done;
}

bool migrate_run(struct db *db, const struct migrate_options *options, size_t *applied_count,
                 struct err *err) {
    size_t files_count;
    size_t before;
    const struct sql_file *files = sql_find_all(folder, &files_count);
    const struct sql_file *prepare = sql_find("migrate/prepare.sql");
    assert(prepare != NULL);
    *applied_count = 0;
    if (!check_encoding(db, err)) {
        return false;
    }
    if (!options->is_dry && (!db_run(db, "migrate/lock.sql", NULL, NULL, err) ||
                             !db_run_script(db, prepare->name, prepare->text, err))) {
        return false;
    }
    if (!find_applied(db, &before, err) ||
        (before == 0 && !adopt(db, options->is_dry, &before, err))) {
        return false;
    }
    for (size_t index = 0; index < files_count; index++) {
        bool is_new = index >= before;
        if (is_new && !options->is_dry && !apply(db, &files[index], err)) {
            return false;
        }
        *applied_count += is_new;
        options->tell(options->context, name_of(&files[index]), !is_new);
    }
    return true;
}

/* Values travel as text or by their type: a column of another one could pass for what it is not. */
static bool check_columns(struct db *db, struct err *err) {
    struct db_result result = {0};
    struct text name;
    struct text wanted;
    struct text found;
    bool is_done = db_run(db, "migrate/columns.sql", NULL, &result, err);
    if (is_done && result.rows_count > 0) {
        is_done = db_result_text(&result, 0, 0, &name, err) &&
                  db_result_text(&result, 0, 1, &wanted, err) &&
                  db_result_text(&result, 0, 2, &found, err);
        if (is_done) {
            (void)err_set(err, ERR_DATABASE, "%s: column %.*s is %.*s, it should be %.*s",
                          db_description(db), (int)name.size_bytes, name.bytes,
                          (int)found.size_bytes, found.bytes, (int)wanted.size_bytes, wanted.bytes);
            is_done = err_hint(err, "the schema was changed by hand: change it back to what the "
                                    "migrations made (sql/migrations)");
        }
    }
    db_result_release(&result);
    return is_done;
}

bool migrate_check(struct db *db, struct err *err) {
    size_t files_count;
    size_t count;
    (void)sql_find_all(folder, &files_count);
    if (!find_applied(db, &count, err)) {
        return false;
    }
    if (count == files_count) {
        return check_columns(db, err);
    }
    (void)err_set(err, ERR_DATABASE, "%s: %zu of %zu migrations are applied", db_description(db),
                  count, files_count);
    return err_hint(err, "periodclose migrate --database CONNINFO");
}
