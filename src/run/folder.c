/* What lies in a run directory: telling what it is, removing what is left over, moving it aside. */
#include <assert.h>
#include <string.h>

#include "run_internal.h"

static bool ends_with(const char *name, const char *ending) {
    size_t name_bytes = strlen(name);
    size_t ending_bytes = strlen(ending);
    return name_bytes >= ending_bytes && strcmp(name + name_bytes - ending_bytes, ending) == 0;
}

/* What a start leaves when it dies before its first manifest, and what a mounted disk has. */
static bool is_fresh_name(const char *name) {
    static const char *const NAMES[] = {LOCK_FILE,      MANIFEST_FILE ".tmp", PROGRESS_FILE,
                                        RUN_DRY_FOLDER, PROGRESS_FILE ".tmp", "lost+found"};
    for (size_t index = 0; index < sizeof NAMES / sizeof NAMES[0]; index++) {
        if (strcmp(name, NAMES[index]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_stage_folder(struct stage_list list, const char *name) {
    for (size_t index = 0; index < list.stages_count; index++) {
        char folder[FILE_PATH_MAX];
        struct err err = {0};
        if (stage_folder_format(folder, list.stages[index], &err) && strcmp(folder, name) == 0) {
            return true;
        }
    }
    return false;
}

bool folder_look(const struct sys *sys, const char *path, struct stage_list list,
                 enum folder_kind *kind, struct err *err) {
    enum path_kind path_is;
    if (!path_kind(sys, path, &path_is, err)) {
        return false;
    }
    if (path_is == PATH_MISSING) {
        *kind = FOLDER_MISSING;
        return true;
    }
    if (path_is != PATH_DIRECTORY) {
        return err_set(err, ERR_FILE, "'%.700s' is a file, not a folder", path);
    }
    struct directory_listing listing;
    if (!directory_list(sys, path, &listing, err)) {
        return false;
    }
    bool has_manifest = false;
    bool has_stages = false;
    bool has_others = false;
    for (size_t index = 0; index < listing.names_count; index++) {
        const char *name = listing.names[index];
        has_manifest = has_manifest || strcmp(name, MANIFEST_FILE) == 0;
        has_stages = has_stages || is_stage_folder(list, name);
        has_others = has_others || !is_fresh_name(name);
    }
    directory_release(&listing);
    *kind = has_manifest ? FOLDER_RUN
            : has_stages ? FOLDER_TORN
            : has_others ? FOLDER_FOREIGN
                         : FOLDER_FRESH;
    return true;
}

/* --- left over ------------------------------------------------------------------------------ */

/*
 * May a file that the manifest does not list be removed? In a stage's folder everything may, but
 * for journals: what was sent but not yet sealed is known from them alone. In reports/, where
 * people keep notes (as CSV, too), nothing but what a death left half written: our own reports are
 * written over.
 */
static bool is_removable(const struct stage *stage, const char *name) {
    if (ends_with(name, ".tmp")) {
        return true;
    }
    if (stage == NULL) {
        return false;
    }
    bool may_have_journal = stage->effect == EFFECT_DATABASE || stage->effect == EFFECT_SENDS;
    return !may_have_journal || ends_with(name, ".arrow");
}

/* stage NULL: reports/. */
static bool clean_folder(struct run *run, const struct stage *stage, const char *folder,
                         struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    if (!run_path_format(run, path, folder, err) || !path_kind(run->sys, path, &kind, err)) {
        return false;
    }
    if (kind != PATH_DIRECTORY) {
        return true;
    }
    struct directory_listing listing;
    if (!directory_list(run->sys, path, &listing, err)) {
        return false;
    }
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < listing.names_count; index++) {
        const char *name = listing.names[index];
        char relative[FILE_PATH_MAX];
        is_fine = path_format(relative, err, "%s/%s", folder, name);
        if (is_fine && manifest_find_file(&run->manifest, relative) == NULL &&
            is_removable(stage, name)) {
            is_fine =
                run_path_format(run, path, relative, err) && path_remove_tree(run->sys, path, err);
        }
    }
    directory_release(&listing);
    return is_fine;
}

bool folder_clean(struct run *run, struct err *err) {
    static const char *const NAMES[] = {MANIFEST_FILE ".tmp", PROGRESS_FILE, PROGRESS_FILE ".tmp",
                                        SCRATCH_FOLDER};
    for (size_t index = 0; index < sizeof NAMES / sizeof NAMES[0]; index++) {
        char path[FILE_PATH_MAX];
        if (!run_path_format(run, path, NAMES[index], err) ||
            !path_remove_tree(run->sys, path, err)) {
            return false;
        }
    }
    for (size_t index = 0; index < run->manifest.list.stages_count; index++) {
        const struct stage *stage = run->manifest.list.stages[index];
        char folder[FILE_PATH_MAX];
        if (!stage_folder_format(folder, stage, err) || !clean_folder(run, stage, folder, err)) {
            return false;
        }
    }
    return clean_folder(run, NULL, REPORTS_FOLDER, err);
}

/* --- not ours ------------------------------------------------------------------------------- */

static bool tell_foreign(const struct run *run, const struct stage *stage, const char *folder,
                         bool (*tell)(void *context, const char *path, struct err *err),
                         void *context, struct err *err) {
    char path[FILE_PATH_MAX];
    struct directory_listing listing;
    enum path_kind kind;
    if (!run_path_format(run, path, folder, err) || !path_kind(run->sys, path, &kind, err)) {
        return false;
    }
    if (kind != PATH_DIRECTORY) {
        return true;
    }
    if (!directory_list(run->sys, path, &listing, err)) {
        return false;
    }
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < listing.names_count; index++) {
        char relative[FILE_PATH_MAX];
        is_fine = path_format(relative, err, "%s/%s", folder, listing.names[index]);
        if (is_fine && manifest_find_file(&run->manifest, relative) == NULL &&
            is_removable(stage, listing.names[index])) {
            is_fine = run_path_format(run, path, relative, err) && tell(context, path, err);
        }
    }
    directory_release(&listing);
    return is_fine;
}

bool run_each_foreign(const struct run *run,
                      bool (*tell)(void *context, const char *path, struct err *err), void *context,
                      struct err *err) {
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < run->manifest.stages_count; index++) {
        char folder[FILE_PATH_MAX];
        const struct stage *stage = run->manifest.stages[index].stage;
        is_fine = stage_folder_format(folder, stage, err) &&
                  tell_foreign(run, stage, folder, tell, context, err);
    }
    return is_fine;
}

/* --- moving aside --------------------------------------------------------------------------- */

/* Without slashes at its end. */
static bool trim_path(const char *path, char trimmed[FILE_PATH_MAX], struct err *err) {
    if (!path_format(trimmed, err, "%s", path)) {
        return false;
    }
    for (size_t end = strlen(trimmed); end > 1 && trimmed[end - 1] == '/'; end--) {
        trimmed[end - 1] = '\0';
    }
    return true;
}

bool run_find_aside(const struct sys *sys, const char *path, char aside[FILE_PATH_MAX],
                    struct err *err) {
    char trimmed[FILE_PATH_MAX];
    char manifest[FILE_PATH_MAX];
    enum path_kind kind = PATH_FILE;
    aside[0] = '\0';
    if (!trim_path(path, trimmed, err)) {
        return false;
    }
    for (int number = 1; kind == PATH_FILE; number++) {
        if (!path_format(manifest, err, "%s.%d/" MANIFEST_FILE, trimmed, number) ||
            !path_kind(sys, manifest, &kind, err)) {
            return false;
        }
        if (kind == PATH_FILE && !path_format(aside, err, "%s.%d", trimmed, number)) {
            return false;
        }
    }
    return true;
}

static bool find_free_name(const struct sys *sys, const char *path, char free_path[FILE_PATH_MAX],
                           struct err *err) {
    enum { ASIDE_MAX = 10000 };
    for (int number = 1; number <= ASIDE_MAX; number++) {
        enum path_kind kind;
        if (!path_format(free_path, err, "%s.%d", path, number) ||
            !path_kind(sys, free_path, &kind, err)) {
            return false;
        }
        if (kind == PATH_MISSING) {
            return true;
        }
    }
    return err_set(err, ERR_FILE, "'%.700s' has been moved aside %d times already", path,
                   (int)ASIDE_MAX);
}

bool run_move_aside(const struct sys *sys, const char *path, struct stage_list stages,
                    char moved_to[FILE_PATH_MAX], struct err *err) {
    char trimmed[FILE_PATH_MAX];
    char aside[FILE_PATH_MAX];
    enum folder_kind kind = FOLDER_MISSING;
    moved_to[0] = '\0';
    if (!trim_path(path, trimmed, err) || !folder_look(sys, trimmed, stages, &kind, err)) {
        return false;
    }
    if (kind == FOLDER_MISSING || kind == FOLDER_FRESH) {
        return true;
    }
    if (kind == FOLDER_FOREIGN) {
        (void)err_set(err, ERR_MISMATCH, "'%.700s' is not a run directory", trimmed);
        return err_hint(err, "take another --run-dir; what is in this one is left alone");
    }
    struct file lock;
    if (!lock_take(sys, trimmed, &lock, err)) {
        return false;
    }
    bool is_fine = lock_write(&lock, "moving the directory aside", err) &&
                   find_free_name(sys, trimmed, aside, err) &&
                   path_rename(sys, trimmed, aside, err) &&
                   directory_sync_parent(sys, trimmed, err);
    file_abandon(&lock);
    if (is_fine) {
        memcpy(moved_to, aside, sizeof aside);
    }
    return is_fine;
}
