/* case_reader.c - opening a finished case: manifest, labels, meshes, and the check of its hashes.
 * A case may come from anywhere, so nothing in its manifest is trusted: paths stay inside the
 * folder, counts are bounded, and every field that later parts read is checked here once. */
#include "twin_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fab_case_close(fab_case *c)
{
    if (!c) return;
    fab_json_free(c->manifest);
    fab_label_set_free(&c->set);
    *c = (fab_case){0};
}

static fab_status check_format(const fab_json *m, fab_error *err)
{
    const char *format = NULL;
    int64_t version = 0;
    FAB_TRY(fab_json_get_string(m, "format", &format, err));
    if (strcmp(format, FAB_CASE_FORMAT) != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"format\" is \"%.40s\", not \"%s\"", format,
                 FAB_CASE_FORMAT);
    FAB_TRY(fab_json_get_int(m, "format_version", 1, INT32_MAX, &version, err));
    if (version > FAB_CASE_FORMAT_VERSION)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "format_version %lld is newer than %d, the newest this program reads",
                 (long long)version, FAB_CASE_FORMAT_VERSION);
    return FAB_OK;
}

static fab_status check_structure(const fab_json *row, fab_error *err)
{
    const char *name = NULL;
    int64_t value = 0;
    double ml = 0;
    FAB_TRY(fab_json_get_int(row, "value", 1, FAB_MAX_LABELS, &value, err));
    FAB_TRY(fab_json_get_string(row, "name", &name, err));
    return fab_json_get_real(row, "volume_ml", 0, 1e9, &ml, err);
}

static fab_status check_manifest(const fab_json *m, fab_error *err)
{
    const fab_json *rows = NULL, *part = NULL;
    FAB_TRY(check_format(m, err));
    FAB_TRY(fab_json_get_object(m, "input", &part, err));
    FAB_TRY(fab_json_get_object(m, "geometry", &part, err));
    FAB_TRY(fab_json_get_array(m, "files", &part, err));
    FAB_TRY(fab_json_get_array(m, "structures", &rows, err));
    if (fab_json_count(rows) > FAB_MAX_STRUCTURES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d structures", FAB_MAX_STRUCTURES);
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        fab_status status = check_structure(fab_json_at(rows, i), err);
        if (status < 0) (void)fab_error_prefix(err, "structures[%zu]", i);
        FAB_TRY(status);
    }
    return FAB_OK;
}

fab_status fab_case_open(const char *path, fab_case *out, fab_error *err)
{
    char name[FAB_MAX_PATH_BYTES];
    fab_case c = {0};
    snprintf(c.path, sizeof c.path, "%s", path);
    FAB_TRY(fab_path_join(name, sizeof name, path, "manifest.json", err));
    if (access(name, F_OK) != 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s is not a case: there is no manifest.json in it", path);
    FAB_TRY(fab_json_load_file(name, &c.manifest, err));
    fab_status status = check_manifest(c.manifest, err);
    if (status < 0) fab_error_prefix(err, "%s", name);
    if (status == FAB_OK) status = fab_path_join(name, sizeof name, path, "labels.json", err);
    FAB_AUTO(fab_json_free) fab_json *labels = NULL;
    if (status == FAB_OK) status = fab_json_load_file(name, &labels, err);
    if (status == FAB_OK) {
        status = fab_label_set_from_json(labels, &c.set, err);
        if (status < 0) fab_error_prefix(err, "%s", name);
    }
    if (status < 0) {
        fab_case_close(&c);
        return status;
    }
    *out = c;
    return FAB_OK;
}

/* A path of the manifest: relative, and without any "..". */
static fab_status inside(const fab_case *c, const char *relative, char *into, size_t capacity,
                         fab_error *err)
{
    if (!relative || !relative[0] || relative[0] == '/' || strstr(relative, ".."))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: the manifest names a file outside the case: \"%.100s\"",
                 c->path, relative ? relative : "");
    return fab_path_join(into, capacity, c->path, relative, err);
}

fab_status fab_case_verify(const fab_case *c, const fab_progress *progress, fab_error *err)
{
    const fab_json *rows = NULL;
    FAB_TRY(fab_json_get_array(c->manifest, "files", &rows, err));
    size_t count = fab_json_count(rows);
    for (size_t i = 0; i < count; i++) {
        const char *relative = NULL, *want = NULL;
        char path[FAB_MAX_PATH_BYTES], got[65];
        FAB_TRY(fab_progress_step(progress, "verify", (double)i / (double)count, err));
        FAB_TRY(fab_json_get_string(fab_json_at(rows, i), "path", &relative, err));
        FAB_TRY(fab_json_get_string(fab_json_at(rows, i), "sha256", &want, err));
        FAB_TRY(inside(c, relative, path, sizeof path, err));
        FAB_TRY(fab_sha256_file(path, got, err));
        if (strcmp(want, got) != 0)
            FAB_FAIL(err, FAB_ERR_INTEGRITY,
                     "%s was changed after the case was written (sha256 %.12s..., not %.12s...)",
                     path, got, want);
    }
    return FAB_OK;
}

static const fab_json *mesh_files(const fab_json *structure)
{
    return fab_json_find(fab_json_find(structure, "mesh"), "files");
}

int fab_case_mesh_levels(const fab_case *c)
{
    size_t levels = 0;
    const fab_json *rows = fab_json_find(c->manifest, "structures");
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        size_t n = fab_json_count(mesh_files(fab_json_at(rows, i)));
        if (n > levels) levels = n;
    }
    return (int)(levels < 16 ? levels : 16);
}

static int by_label(const void *a, const void *b)
{
    return ((const fab_mesh *)a)->label - ((const fab_mesh *)b)->label;
}

static fab_status load_level(const fab_case *c, const fab_json *rows, int level, fab_mesh_set *set,
                             fab_error *err)
{
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i);
        const char *relative = fab_json_text(fab_json_at(mesh_files(row), (size_t)level));
        char path[FAB_MAX_PATH_BYTES];
        int64_t value = 0;
        if (!relative) continue; /* a structure may have fewer levels, or no mesh */
        FAB_TRY(fab_json_get_int(row, "value", 1, FAB_MAX_LABELS, &value, err));
        FAB_TRY(inside(c, relative, path, sizeof path, err));
        FAB_TRY(fab_case_mesh_load(path, &set->items[set->count], err));
        int label = set->items[set->count++].label;
        if (label != (int)value)
            FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s holds label %d, the manifest says %lld", path,
                     label, (long long)value);
    }
    return FAB_OK;
}

fab_status fab_case_load_meshes(const fab_case *c, int level, fab_mesh_set *out, fab_error *err)
{
    const fab_json *rows = NULL;
    FAB_TRY(fab_json_get_array(c->manifest, "structures", &rows, err));
    fab_mesh_set set = {0, fab_calloc(fab_json_count(rows) + 1, sizeof(fab_mesh))};
    if (!set.items) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    fab_status status = load_level(c, rows, level, &set, err);
    if (status < 0) {
        fab_mesh_set_free(&set);
        return status;
    }
    if (set.count > 1) qsort(set.items, set.count, sizeof *set.items, by_label);
    *out = set;
    return FAB_OK;
}
