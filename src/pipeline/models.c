/* models.c - finding model packages in a list of folders. */
#include "network.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/brainchop.h"

enum { MAX_MODELS = 256 };

static fab_status put_structures(fab_json *row, const fab_json *card, fab_error *err)
{
    fab_json *list = NULL;
    const fab_json *labels = fab_json_find(card, "labels");
    FAB_TRY(fab_put_array(row, "structures", &list, err));
    for (size_t i = 0; i < fab_json_count(labels); i++) {
        const fab_json *label = fab_json_at(labels, i);
        const char *left = fab_json_text(fab_json_find(label, "left_name"));
        const char *right = fab_json_text(fab_json_find(label, "right_name"));
        const char *name = fab_json_text(fab_json_find(label, "name"));
        if (left && right) {
            FAB_TRY(fab_add_text(list, left, err));
            FAB_TRY(fab_add_text(list, right, err));
        } else if (name) {
            FAB_TRY(fab_add_text(list, name, err));
        }
    }
    return FAB_OK;
}

static fab_status add_problem(fab_json *row, const char *folder, const char *problem,
                              fab_error *err)
{
    FAB_TRY(fab_put_text(row, "name", fab_path_name(folder), err));
    FAB_TRY(fab_put_text(row, "folder", folder, err));
    return fab_put_text(row, "problem", problem, err);
}

/* A folder whose model.json cannot be read still shows up, with the reason. */
static fab_status add_model(fab_json *list, const char *folder, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    fab_json *row = NULL;
    fab_error why = {0};
    FAB_TRY(fab_path_join(path, sizeof path, folder, "model.json", err));
    if (access(path, F_OK) != 0 || fab_json_count(list) >= MAX_MODELS) return FAB_OK;
    FAB_TRY(fab_add_object(list, &row, err));
    if (fab_json_load_file(path, &card, &why) < 0)
        return add_problem(row, folder, why.message, err);
    if (fab_brainchop_is_folder(folder))
        return add_problem(row, folder, "brainchop's, not added yet: fabrica model add", err);
    FAB_TRY(fab_put_text(row, "name", fab_text_of(card, "name"), err));
    FAB_TRY(fab_put_text(row, "version", fab_text_of(card, "version"), err));
    FAB_TRY(fab_put_text(row, "modality", fab_text_of(card, "modality"), err));
    FAB_TRY(fab_put_text(row, "license", fab_text_of(card, "license"), err));
    FAB_TRY(fab_put_text(row, "folder", folder, err));
    FAB_TRY(fab_put_text(row, "weights_sha256",
                         fab_text_of(fab_json_find(card, "weights"), "sha256"),
                         err));
    FAB_TRY(put_structures(row, card, err));
    return fab_json_set(row, "card", fab_json_retain(card), err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fab_status add_folder(fab_json *list, const char *folder, fab_error *err)
{
    char *names[MAX_MODELS];
    size_t count = 0;
    DIR *dir = opendir(folder);
    if (!dir) return FAB_OK;
    for (struct dirent *e; (e = readdir(dir)) && count < MAX_MODELS;) {
        if (e->d_name[0] == '.') continue;
        names[count] = fab_strdup(e->d_name);
        if (names[count]) count++;
    }
    closedir(dir);
    if (count > 1) qsort(names, count, sizeof *names, by_text);
    fab_status status = FAB_OK;
    for (size_t i = 0; i < count; i++) {
        char path[FAB_MAX_PATH_BYTES];
        if (status == FAB_OK) status = fab_path_join(path, sizeof path, folder, names[i], err);
        if (status == FAB_OK) status = add_model(list, path, err);
        fab_free(names[i]);
    }
    return status;
}

fab_status fab_models_list(const char *const *folders, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *list = fab_json_array();
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (size_t i = 0; folders && folders[i]; i++) {
        FAB_TRY(add_model(list, folders[i], err)); /* the folder may itself be a package */
        FAB_TRY(add_folder(list, folders[i], err));
    }
    *out = list;
    list = NULL;
    return FAB_OK;
}

/* "1.10.0" is newer than "1.9.2": numbers compare as numbers. */
static int compare_versions(const char *a, const char *b)
{
    while (*a || *b) {
        char *end_a = NULL, *end_b = NULL;
        long x = strtol(a, &end_a, 10), y = strtol(b, &end_b, 10);
        if (x != y) return x < y ? -1 : 1;
        if (end_a == a || end_b == b) return strcmp(a, b);
        a = *end_a ? end_a + 1 : end_a;
        b = *end_b ? end_b + 1 : end_b;
    }
    return 0;
}

bool fab_models_find_detail(const char *const *folders, const char *package, char *folder,
                            size_t capacity)
{
    FAB_AUTO(fab_json_free) fab_json *list = NULL;
    const fab_json *best = NULL;
    if (fab_models_list(folders, &list, NULL) < 0) return false;
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const fab_json *row = fab_json_at(list, i);
        if (fab_json_find(row, "problem") ||
            !fab_detail_is_for(fab_json_find(row, "card"), package))
            continue;
        if (!best ||
            compare_versions(fab_text_of(best, "version"), fab_text_of(row, "version")) < 0)
            best = row;
    }
    if (best) snprintf(folder, capacity, "%s", fab_text_of(best, "folder"));
    return best != NULL;
}

static bool fits(const fab_json *row, const char *name, const char *modality)
{
    if (fab_json_find(row, "problem")) return false;
    if (name) return strcmp(fab_text_of(row, "name"), name) == 0;
    const char *format = fab_text_of(fab_json_find(row, "card"), "format");
    if (strcmp(format, FAB_NETWORK_NNUNET) == 0 || strcmp(format, FAB_NETWORK_BRAINCHOP) == 0)
        return false; /* runs only when asked for */
    if (fab_json_find(fab_json_find(row, "card"), "detail")) return false; /* never by itself */
    return !modality[0] || strcmp(fab_text_of(row, "modality"), modality) == 0;
}

static fab_status none_fits(const fab_json *list, const char *const *folders, const char *name,
                            const char *modality, fab_error *err)
{
    char known[300] = "", places[240] = "";
    for (size_t i = 0; i < fab_json_count(list); i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s (%s)", used ? ", " : "",
                 fab_text_of(fab_json_at(list, i), "name"),
                 fab_text_of(fab_json_at(list, i), "modality"));
    }
    for (size_t i = 0; folders && folders[i]; i++) {
        size_t used = strlen(places);
        snprintf(places + used, sizeof places - used, "%s%s", used ? ", " : "", folders[i]);
    }
    FAB_FAIL(err, FAB_ERR_NOTFOUND, "no model %s%s; known: %s; looked in: %s",
             name ? "called " : "for ", name ? name : modality[0] ? modality : "any modality",
             known[0] ? known : "none", places[0] ? places : "nowhere");
}

fab_status fab_models_find(const char *const *folders, const char *name, const char *modality,
                           char *folder, size_t capacity, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *list = NULL;
    char path[FAB_MAX_PATH_BYTES];
    const bool not_added = name && fab_brainchop_is_folder(name);
    if (name && !not_added &&
        fab_path_join(path, sizeof path, name, "model.json", NULL) == FAB_OK &&
        access(path, R_OK) == 0) {
        snprintf(folder, capacity, "%s", name); /* a package given by its folder */
        return FAB_OK;
    }
    FAB_TRY(fab_models_list(folders, &list, err));
    const fab_json *best = NULL;
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const fab_json *row = fab_json_at(list, i);
        if (!fits(row, name, modality)) continue;
        if (!best ||
            compare_versions(fab_text_of(best, "version"), fab_text_of(row, "version")) < 0)
            best = row;
    }
    if (!best && not_added)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is a network as brainchop publishes it: add it "
                 "first (fabrica model add %s)", name, name);
    if (!best) return none_fits(list, folders, name, modality, err);
    snprintf(folder, capacity, "%s", fab_text_of(best, "folder"));
    return FAB_OK;
}
