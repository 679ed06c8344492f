/* case_files.c - walking a case folder: sorted listing, fsync of a tree, hashes of its files. */
#include "twin_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

fab_status fab_tree_errno(fab_error *err, const char *verb, const char *path)
{
    int code = errno;
    bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    FAB_FAIL(err, full ? FAB_ERR_NOSPACE : FAB_ERR_IO, "cannot %s %s: %s", verb, path,
             strerror(code));
}

void fab_tree_free(fab_tree_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) fab_free(entries[i].name);
    fab_free(entries);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const fab_tree_entry *)a)->name, ((const fab_tree_entry *)b)->name);
}

static fab_status add_entry(const char *folder, const char *name, fab_tree_entry **list,
                            size_t *count, size_t *capacity, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    struct stat st;
    FAB_TRY(fab_path_join(path, sizeof path, folder, name, err));
    if (lstat(path, &st) != 0) return fab_tree_errno(err, "look at", path);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s is neither a file nor a folder", path);
    if (*count >= FAB_MAX_FILES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s holds more than %d files", folder, FAB_MAX_FILES);
    if (*count == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 32;
        fab_tree_entry *grown = fab_realloc(*list, more * sizeof **list);
        if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory listing %s", folder);
        *list = grown;
        *capacity = more;
    }
    char *copy = fab_strdup(name);
    if (!copy) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory listing %s", folder);
    (*list)[(*count)++] = (fab_tree_entry){copy, S_ISDIR(st.st_mode)};
    return FAB_OK;
}

fab_status fab_tree_list(const char *folder, fab_tree_entry **out, size_t *count, fab_error *err)
{
    fab_tree_entry *list = NULL;
    size_t used = 0, capacity = 0;
    DIR *dir = opendir(folder);
    if (!dir) return fab_tree_errno(err, "open folder", folder);
    fab_status status = FAB_OK;
    for (struct dirent *e; status == FAB_OK && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        status = add_entry(folder, e->d_name, &list, &used, &capacity, err);
    }
    closedir(dir);
    if (status < 0) {
        fab_tree_free(list, used);
        return status;
    }
    if (used > 1) qsort(list, used, sizeof *list, by_name);
    *out = list;
    *count = used;
    return FAB_OK;
}

static fab_status sync_path(const char *path, int flags, fab_error *err)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fab_tree_errno(err, "open", path);
    fab_status status = fsync(fd) == 0 ? FAB_OK : fab_tree_errno(err, "write", path);
    close(fd);
    return status;
}

fab_status fab_tree_sync_folder(const char *path, fab_error *err)
{
    return sync_path(path, O_DIRECTORY, err);
}

fab_status fab_tree_sync(const char *path, int depth, fab_error *err)
{
    fab_tree_entry *list = NULL;
    size_t count = 0;
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s is nested too deeply", path);
    FAB_TRY(fab_tree_list(path, &list, &count, err));
    fab_status status = FAB_OK;
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        char child[FAB_MAX_PATH_BYTES];
        status = fab_path_join(child, sizeof child, path, list[i].name, err);
        if (status == FAB_OK)
            status = list[i].is_folder ? fab_tree_sync(child, depth + 1, err)
                                       : sync_path(child, 0, err);
    }
    fab_tree_free(list, count);
    FAB_TRY(status);
    return fab_tree_sync_folder(path, err);
}

typedef struct listing {
    fab_json *array;
    const char *const *skip;
    const fab_progress *progress;
} listing;

static bool skipped(const listing *l, const char *relative)
{
    for (size_t i = 0; l->skip && l->skip[i]; i++)
        if (strcmp(l->skip[i], relative) == 0) return true;
    return false;
}

static fab_status list_file(listing *l, const char *path, const char *relative, fab_error *err)
{
    char hex[65];
    struct stat st;
    FAB_TRY(fab_progress_step(l->progress, "hash", 0.0, err));
    if (stat(path, &st) != 0) return fab_tree_errno(err, "look at", path);
    FAB_TRY(fab_sha256_file(path, hex, err));
    fab_json *row = fab_json_object();
    fab_status status = fab_json_set(row, "path", fab_json_string(relative), err);
    if (status == FAB_OK) status = fab_json_set(row, "bytes", fab_json_int(st.st_size), err);
    if (status == FAB_OK) status = fab_json_set(row, "sha256", fab_json_string(hex), err);
    if (status < 0) {
        fab_json_free(row);
        return status;
    }
    return fab_json_append(l->array, row, err);
}

static fab_status list_folder(listing *l, const char *folder, const char *prefix, int depth,
                              fab_error *err)
{
    fab_tree_entry *list = NULL;
    size_t count = 0;
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s is nested too deeply", folder);
    FAB_TRY(fab_tree_list(folder, &list, &count, err));
    fab_status status = FAB_OK;
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        char path[FAB_MAX_PATH_BYTES], relative[FAB_MAX_PATH_BYTES];
        status = fab_path_join(path, sizeof path, folder, list[i].name, err);
        if (status == FAB_OK && prefix[0])
            status = fab_path_join(relative, sizeof relative, prefix, list[i].name, err);
        else if (status == FAB_OK)
            snprintf(relative, sizeof relative, "%s", list[i].name);
        if (status < 0 || skipped(l, relative)) continue;
        status = list[i].is_folder ? list_folder(l, path, relative, depth + 1, err)
                                   : list_file(l, path, relative, err);
    }
    fab_tree_free(list, count);
    return status;
}

fab_status fab_case_list_files(const char *folder, const char *const *skip,
                               const fab_progress *progress, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *array = fab_json_array();
    if (!array) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory listing %s", folder);
    listing l = {array, skip, progress};
    FAB_TRY(list_folder(&l, folder, "", 0, err));
    *out = array;
    array = NULL;
    return FAB_OK;
}
