/* validate_list.c - lists of names, and what lies in a folder. */
#include "validate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

fab_status fab_text_list_add(fab_text_list *l, const char *text, fab_error *err)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        char **items = fab_realloc(l->items, capacity * sizeof *items);
        if (!items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of names");
        l->items = items;
        l->capacity = capacity;
    }
    char *copy = fab_strdup(text);
    if (!copy) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of names");
    l->items[l->count++] = copy;
    return FAB_OK;
}

void fab_text_list_free(fab_text_list *l)
{
    for (size_t i = 0; i < l->count; i++) fab_free(l->items[i]);
    fab_free(l->items);
    *l = (fab_text_list){0};
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(fab_text_list *l)
{
    if (l->count) qsort(l->items, l->count, sizeof *l->items, by_text);
}

bool fab_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

fab_status fab_folder_list(const char *folder, fab_text_list *out, fab_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        FAB_FAIL(err, errno == ENOENT ? FAB_ERR_NOTFOUND : FAB_ERR_IO, "cannot read the folder "
                 "%s: %s", folder, strerror(errno));
    fab_status status = FAB_OK;
    for (struct dirent *e; status == FAB_OK && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        if (out->count >= FAB_MAX_FILES)
            status = fab_error_set(err, FAB_ERR_LIMIT, "%s: more than %d files", folder,
                                   FAB_MAX_FILES);
        else status = fab_text_list_add(out, e->d_name, err);
    }
    closedir(dir);
    sort(out);
    return status;
}

static fab_status walk(const char *folder, const char *below, int depth, fab_text_list *out,
                       fab_error *err)
{
    __attribute__((cleanup(fab_text_list_free))) fab_text_list here = {0};
    char path[FAB_MAX_PATH_BYTES];
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: folders more than %d deep", folder,
                 FAB_MAX_FOLDER_DEPTH);
    FAB_TRY(fab_path_join(path, sizeof path, folder, below, err));
    FAB_TRY(fab_folder_list(path, &here, err));
    for (size_t i = 0; i < here.count; i++) {
        char name[FAB_MAX_PATH_BYTES];
        struct stat st;
        int n = snprintf(name, sizeof name, "%s%s%s", below, below[0] ? "/" : "", here.items[i]);
        if (n < 0 || (size_t)n >= sizeof name)
            FAB_FAIL(err, FAB_ERR_LIMIT, "%s: a path is too long", folder);
        FAB_TRY(fab_path_join(path, sizeof path, folder, name, err));
        if (lstat(path, &st) != 0) continue;
        if (S_ISDIR(st.st_mode)) FAB_TRY(walk(folder, name, depth + 1, out, err));
        else if (out->count >= FAB_MAX_FILES)
            FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than %d files", folder, FAB_MAX_FILES);
        else FAB_TRY(fab_text_list_add(out, name, err));
    }
    return FAB_OK;
}

fab_status fab_folder_walk(const char *folder, fab_text_list *out, fab_error *err)
{
    FAB_TRY(walk(folder, "", 0, out, err));
    sort(out);
    return FAB_OK;
}

bool fab_text_ends(const char *text, const char *ending)
{
    size_t n = strlen(text), e = strlen(ending);
    return n >= e && strcmp(text + n - e, ending) == 0;
}

size_t fab_volume_stem(const char *name)
{
    static const char *const endings[] = {".nii.gz", ".nii", ".nrrd", ".nhdr"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (fab_text_ends(name, endings[i])) return strlen(name) - strlen(endings[i]);
    return 0;
}
