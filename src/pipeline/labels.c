/* labels.c - a label map from a file, with the table that names its values: ours, or the plain
 * {"liver": 5} and {"5": "liver"} objects that other tools write. */
#include "pipeline_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/nifti.h"

static fab_status read_volume(const char *path, fab_volume **out, fab_error *err)
{
    fab_input_kind kind;
    FAB_TRY(fab_input_detect(path, &kind, err));
    if (kind == FAB_INPUT_NRRD) return fab_nrrd_read(path, out, NULL, 0, err);
    if (kind == FAB_INPUT_NIFTI) return fab_nifti_read(path, out, NULL, 0, err);
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: a label map is read from NIfTI or NRRD, not %s", path,
             fab_input_kind_name(kind));
}

/* Whole numbers 0..65535 only; anything else is not a label map. */
static fab_status as_labels(fab_volume **v, const char *path, fab_error *err)
{
    fab_dtype type = fab_volume_dtype(*v);
    if (type == FAB_U8 || type == FAB_U16) return FAB_OK;
    double low = 0, high = 0;
    fab_volume_minmax(*v, &low, &high);
    if (!(low >= 0 && high <= FAB_MAX_LABELS))
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "%s: values from %g to %g: not a label map (whole numbers 0 to %d)", path, low,
                 high, FAB_MAX_LABELS);
    if (type == FAB_F32) {
        const float *data = fab_volume_data(*v);
        int64_t n = fab_grid_voxels(fab_volume_grid(*v));
        for (int64_t i = 0; i < n; i++)
            if (data[i] != floorf(data[i]))
                FAB_FAIL(err, FAB_ERR_FORMAT, "%s: value %g is not whole: not a label map", path,
                         (double)data[i]);
    }
    fab_volume *converted = NULL;
    FAB_TRY(fab_volume_convert(*v, high < 256 ? FAB_U8 : FAB_U16, &converted, err));
    fab_volume_unref(*v);
    *v = converted;
    return FAB_OK;
}

static bool whole_number(const char *text, int *value)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 0 || n > FAB_MAX_LABELS) return false;
    *value = (int)n;
    return true;
}

static fab_status add_plain(fab_label_set *set, const char *key, const fab_json *value,
                            const char *path, fab_error *err)
{
    int number = 0;
    const char *name = fab_json_text(value);
    if (name && whole_number(key, &number))
        return number ? fab_label_set_add(set, number, name, err) : FAB_OK;
    double n = fab_json_number(value);
    if (fab_json_is_number(value) && n >= 0 && n <= FAB_MAX_LABELS && n == floor(n))
        return n > 0 ? fab_label_set_add(set, (int)n, key, err) : FAB_OK;
    FAB_FAIL(err, FAB_ERR_FORMAT, "%s: \"%.60s\" is neither a label value nor a name with one",
             path, key);
}

static fab_status table_from_json(const fab_json *json, const char *path, fab_label_set *set,
                                  fab_error *err)
{
    if (fab_json_find(json, "format")) return fab_label_set_from_json(json, set, err);
    const fab_json *plain = fab_json_find(json, "labels");
    if (!fab_json_is_object(plain)) plain = json;
    if (!fab_json_is_object(plain))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not a table of labels", path);
    void *cursor = NULL;
    const char *key = NULL;
    const fab_json *value = NULL;
    while (fab_json_next(plain, &cursor, &key, &value))
        FAB_TRY(add_plain(set, key, value, path, err));
    return FAB_OK;
}

/* "X.nii.gz" has "X.json" beside it, or else the folder's "labels.json". */
static bool find_table(const char *path, char *into, size_t capacity)
{
    static const char *const endings[] = {".nii.gz", ".nii", ".nrrd", ".nhdr"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t e = strlen(endings[i]);
        if (length <= e || strcmp(path + length - e, endings[i]) != 0) continue;
        snprintf(into, capacity, "%.*s.json", (int)(length - e), path);
        if (access(into, R_OK) == 0) return true;
    }
    const char *slash = strrchr(path, '/');
    snprintf(into, capacity, "%.*slabels.json", slash ? (int)(slash - path + 1) : 0, path);
    return access(into, R_OK) == 0;
}

/* A value that occurs and has no name in the table, or has no table, gets one of its own: nothing
 * that was drawn is dropped because it was not named. */
static fab_status free_names(const fab_volume *labels, fab_label_set *set, fab_error *err)
{
    double low = 0, high = 0;
    fab_volume_minmax(labels, &low, &high);
    size_t count = (size_t)high + 1;
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc(count, sizeof *stats);
    if (!stats) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_labels_stats(labels, count, stats, err));
    for (size_t v = 1; v < count; v++) {
        char name[32];
        snprintf(name, sizeof name, "label_%zu", v);
        if (!stats[v].voxels || fab_label_set_find(set, (int)v)) continue;
        if (set->count >= FAB_MAX_STRUCTURES)
            FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d different labels", FAB_MAX_STRUCTURES);
        FAB_TRY(fab_label_set_add(set, (int)v, name, err));
    }
    return FAB_OK;
}

static fab_status load_table(const char *path, const char *table, const fab_volume *labels,
                             fab_label_set *set, bool *has_table, fab_error *err)
{
    char found[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    if (!table && find_table(path, found, sizeof found)) table = found;
    *has_table = table != NULL;
    if (!table) return free_names(labels, set, err);
    FAB_TRY(fab_json_load_file(table, &json, err));
    FAB_TRY(table_from_json(json, table, set, err));
    return free_names(labels, set, err);
}

fab_status fab_labels_load(const char *path, const char *table, fab_volume **labels,
                           fab_label_set *set, bool *has_table, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    fab_label_set found = {0};
    FAB_TRY(read_volume(path, &v, err));
    FAB_TRY(as_labels(&v, path, err));
    fab_status status = load_table(path, table, v, &found, has_table, err);
    if (status < 0) {
        fab_label_set_free(&found);
        return status;
    }
    *labels = v;
    v = NULL;
    *set = found;
    return FAB_OK;
}
