/* cases.c - what a network is trained on: scans with label maps, and label maps alone. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/nifti.h"
#include "train_internal.h"

typedef struct loader {
    const fab_recipe *recipe;
    const char *data;
    fab_cases *cases;
} loader;

static fab_status read_volume(const char *path, fab_volume **out, fab_error *err)
{
    const size_t n = strlen(path);
    if (n > 5 && (strcmp(path + n - 5, ".nrrd") == 0 || strcmp(path + n - 5, ".nhdr") == 0))
        return fab_nrrd_read(path, out, NULL, 0, err);
    return fab_nifti_read(path, out, NULL, 0, err);
}

/* Either a table as fabrica writes beside a label map, or {"1": "spleen", ...}. */
static fab_status read_names(const char *path, fab_label_set *set, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    const fab_json *value = NULL;
    const char *key = NULL;
    void *cursor = NULL;
    FAB_TRY(fab_json_load_file(path, &json, err));
    if (fab_json_find(json, "labels")) return fab_label_set_from_json(json, set, err);
    while (fab_json_next(json, &cursor, &key, &value)) {
        char *end = NULL;
        const long number = strtol(key, &end, 10);
        if (*end || number < 0 || number > FAB_MAX_LABELS || !fab_json_text(value))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: \"%.40s\" is no label value with a name", path, key);
        if (number > 0)
            FAB_TRY(fab_label_set_add(set, (int)number, fab_json_text(value), err));
    }
    return FAB_OK;
}

static fab_status add_case(fab_cases *c, double weight, fab_case **out, fab_error *err)
{
    if (c->count == FAB_TRAIN_MAX_SOURCES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d cases", FAB_TRAIN_MAX_SOURCES);
    if (c->count == c->room) {
        const size_t more = c->room ? 2 * c->room : 16;
        fab_case *grown = fab_realloc(c->items, more * sizeof *grown);
        if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for cases");
        c->items = grown;
        c->room = more;
    }
    *out = &c->items[c->count++];
    **out = (fab_case){.weight = weight};
    c->weight += weight;
    return FAB_OK;
}

/* Class of every value of the fine vocabulary. */
static void fine_classes(const fab_recipe *r, uint8_t class[256])
{
    class[0] = 0;
    for (int v = 1; v < 256; v++) {
        const char *name = fab_synth_name(v);
        class[v] = (uint8_t)(name ? fab_recipe_class(r, name) : FAB_CASE_IGNORE);
    }
}

/* ---- a scan with labels --------------------------------------------------------------------- */

/* Onto `to`; smoothed first where the scan is finer, as inference does. */
static fab_status shrink(const fab_volume *v, const fab_grid *to, double mm, fab_volume **out,
                         fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *smooth = NULL;
    double spacing[3], sigma[3];
    fab_grid_spacing(fab_volume_grid(v), spacing);
    for (int a = 0; a < 3; a++) {
        const double r = mm / spacing[a];
        sigma[a] = r > 1 ? 0.4 * sqrt(r * r - 1) : 0;
    }
    FAB_TRY(fab_volume_gaussian(v, sigma, &smooth, err));
    return fab_volume_resample(smooth, to, FAB_LINEAR, -1024, out, err);
}

static void fill_hu(const fab_volume *v, int16_t *to)
{
    const float *from = fab_volume_data(v);
    const int64_t n = fab_grid_voxels(fab_volume_grid(v));
    for (int64_t i = 0; i < n; i++) {
        const float hu = from[i] < -1024 ? -1024 : from[i] > 3071 ? 3071 : from[i];
        to[i] = (int16_t)lrintf(isfinite(hu) ? hu : -1024);
    }
}

/* Up to FAB_CASE_POINTS voxels of each class, any of them as likely (Vitter's algorithm R). */
static fab_status draw_points(fab_case *c, fab_error *err)
{
    const int64_t n = (int64_t)c->size[0] * c->size[1] * c->size[2];
    int64_t seen[FAB_CASE_IGNORE] = {0};
    fab_rng rng;
    fab_rng_seed(&rng, 17, (uint64_t)n);
    for (int64_t i = 0; i < n; i++) {
        const int k = c->classes[i];
        if (k == 0 || k == FAB_CASE_IGNORE) continue;
        if (!c->points[k]) {
            c->points[k] = fab_alloc_array(FAB_CASE_POINTS, sizeof *c->points[k]);
            if (!c->points[k]) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a case");
        }
        const int64_t slot = seen[k] < FAB_CASE_POINTS
                                 ? seen[k]
                                 : (int64_t)(fab_rng_uniform(&rng) * (double)(seen[k] + 1));
        if (slot < FAB_CASE_POINTS) c->points[k][slot] = (int32_t)i;
        seen[k]++;
    }
    for (int k = 0; k < FAB_CASE_IGNORE; k++)
        c->point_count[k] = seen[k] < FAB_CASE_POINTS ? (int)seen[k] : FAB_CASE_POINTS;
    return FAB_OK;
}

/* Classes of label values; value 0 is `background`. */
static fab_status classes_of(const fab_recipe *r, const fab_volume *labels,
                             const fab_label_set *set, int background, uint8_t *to, fab_error *err)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels));
    FAB_AUTO_FREE uint8_t *table = fab_malloc(65536);
    if (!table) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a table");
    memset(table, FAB_CASE_IGNORE, 65536);
    table[0] = (uint8_t)background;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].value < 65536)
            table[set->items[i].value] = (uint8_t)fab_recipe_class(r, set->items[i].name);
    for (int64_t i = 0; i < n; i++) to[i] = table[(int)fab_volume_at(labels, i)];
    return FAB_OK;
}

/* Classes of the fine vocabulary, on the network's grid. */
static fab_status refined(const fab_recipe *r, const fab_volume *labels, const fab_label_set *set,
                          int background, const fab_grid *to, uint8_t *classes, fab_error *err)
{
    uint8_t table[256];
    FAB_AUTO(fab_volume_unref) fab_volume *fine = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *small = NULL;
    FAB_TRY(fab_synth_refine(labels, set, fab_recipe_wants_parts(r), &fine, err));
    FAB_TRY(fab_volume_resample(fine, to, FAB_NEAREST, 0, &small, err));
    fine_classes(r, table);
    table[0] = (uint8_t)background;
    const uint8_t *from = fab_volume_data(small);
    const int64_t n = fab_grid_voxels(to);
    for (int64_t i = 0; i < n; i++) classes[i] = table[from[i]];
    return FAB_OK;
}

/* The recipe's classes of vertebrae are parts of what the map calls one. */
static bool needs_parts(const fab_recipe *r, const fab_label_set *set)
{
    if (fab_recipe_class(r, "vertebral_arch_L3") == fab_recipe_class(r, "vertebrae_L3"))
        return false;
    for (size_t i = 0; i < set->count; i++)
        if (strncmp(set->items[i].name, "vertebrae_", 10) == 0) return true;
    return false;
}

static fab_status prepare(const fab_recipe *r, const fab_volume *image, const fab_volume *labels,
                          const fab_label_set *set, int background, fab_case *c, fab_error *err)
{
    const double spacing[3] = {r->spacing_mm, r->spacing_mm, r->spacing_mm};
    fab_grid to;
    FAB_AUTO(fab_volume_unref) fab_volume *small = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *small_labels = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *wide = NULL;
    if (!fab_grid_equal(fab_volume_grid(image), fab_volume_grid(labels), 0.1))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "image and labels lie on different grids");
    FAB_TRY(fab_grid_axis_aligned(fab_volume_grid(image), spacing, &to, err));
    FAB_TRY(shrink(image, &to, r->spacing_mm, &small, err));
    FAB_TRY(fab_volume_convert(labels, FAB_U16, &wide, err));
    const size_t n = (size_t)fab_grid_voxels(&to);
    c->hu = fab_alloc_array(n, sizeof *c->hu);
    c->classes = fab_alloc_array(n, 1);
    if (!c->hu || !c->classes) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a case");
    for (int a = 0; a < 3; a++) c->size[a] = to.size[2 - a];
    fill_hu(small, c->hu);
    if (needs_parts(r, set)) {
        FAB_TRY(refined(r, wide, set, background, &to, c->classes, err));
    } else {
        FAB_TRY(fab_volume_resample(wide, &to, FAB_NEAREST, 0, &small_labels, err));
        FAB_TRY(classes_of(r, small_labels, set, background, c->classes, err));
    }
    return draw_points(c, err);
}

static fab_status read_pair(const loader *l, const char *image_path, const char *labels_path,
                            const char *names_path, int background, double weight, fab_error *err)
{
    __attribute__((cleanup(fab_label_set_free))) fab_label_set set = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
    fab_case *c = NULL;
    FAB_TRY(read_volume(image_path, &image, err));
    FAB_TRY(read_volume(labels_path, &labels, err));
    FAB_TRY(read_names(names_path, &set, err));
    FAB_TRY(add_case(l->cases, weight, &c, err));
    if (prepare(l->recipe, image, labels, &set, background, c, err) < 0)
        return fab_error_prefix(err, "%s", labels_path);
    return FAB_OK;
}

/* ---- a scan that another network labels ----------------------------------------------------- */

/* The class of `r` by name that class k of the package's network is; the head's order may differ.*/
static int class_of_package(const fab_recipe *r, const fab_model *m, int k)
{
    const fab_json *classes = fab_json_find(fab_model_card(m), "classes");
    const char *name = fab_json_text(fab_json_at(classes, (size_t)k));
    return name ? fab_recipe_class(r, name) : FAB_CASE_IGNORE;
}

/* Classes the network is sure of (probability at least `sure`); the others are not counted. */
static void take_view(const fab_recipe *r, const fab_model *m, const fab_segment_view *v,
                      double sure, fab_case *c)
{
    uint8_t table[FAB_UNET_MAX_CLASSES];
    const uint16_t *winner = fab_volume_data(v->classes);
    const float *probability = fab_volume_data(v->probability);
    const int64_t n = fab_grid_voxels(fab_volume_grid(v->classes));
    for (int k = 0; k < FAB_UNET_MAX_CLASSES; k++)
        table[k] = (uint8_t)class_of_package(r, m, k);
    for (int64_t i = 0; i < n; i++)
        c->classes[i] = probability[i] >= (float)sure ? table[winner[i]] : FAB_CASE_IGNORE;
    fill_hu(v->hu, c->hu);
}

static fab_status label_scan(const loader *l, const char *image_path, const char *package,
                             double sure, double weight, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    FAB_AUTO(fab_model_free) fab_model *m = NULL;
    __attribute__((cleanup(fab_segment_view_free))) fab_segment_view v = {0};
    fab_case *c = NULL;
    FAB_TRY(fab_model_load(package, FAB_PRECISION_AUTO, &m, err));
    if (!fab_json_find(fab_model_card(m), "classes"))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: its card does not name the network's classes",
                 package);
    FAB_TRY(read_volume(image_path, &image, err));
    FAB_TRY(fab_segment_classes(m, image, NULL, &v, err));
    FAB_TRY(add_case(l->cases, weight, &c, err));
    const fab_grid *g = fab_volume_grid(v.hu);
    const size_t n = (size_t)fab_grid_voxels(g);
    c->hu = fab_alloc_array(n, sizeof *c->hu);
    c->classes = fab_alloc_array(n, 1);
    if (!c->hu || !c->classes) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a case");
    for (int a = 0; a < 3; a++) c->size[a] = g->size[2 - a];
    take_view(l->recipe, m, &v, sure, c);
    return draw_points(c, err);
}

/* ---- sources of a recipe -------------------------------------------------------------------- */

/* The path at `key` below the data folder; FAB_ERR_FORMAT without the key. */
static fab_status path_at(const loader *l, const fab_json *source, const char *key, char *into,
                          fab_error *err)
{
    const char *text = NULL;
    FAB_TRY(fab_json_get_string(source, key, &text, err));
    if (text[0] == '/') {
        if ((size_t)snprintf(into, FAB_MAX_PATH_BYTES, "%s", text) >= FAB_MAX_PATH_BYTES)
            FAB_FAIL(err, FAB_ERR_ARG, "the path at \"%s\" is too long", key);
        return FAB_OK;
    }
    return fab_path_join(into, FAB_MAX_PATH_BYTES, l->data, text, err);
}

static fab_status add_synthetic(const loader *l, const fab_json *source, double weight,
                                fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES], names[FAB_MAX_PATH_BYTES];
    __attribute__((cleanup(fab_label_set_free))) fab_label_set set = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *bone = NULL;
    fab_case *c = NULL;
    FAB_TRY(path_at(l, source, "labels", path, err));
    FAB_TRY(path_at(l, source, "names", names, err));
    FAB_TRY(read_names(names, &set, err));
    FAB_TRY(read_volume(path, &labels, err));
    if (fab_json_find(source, "bone_hu")) {
        FAB_TRY(path_at(l, source, "bone_hu", path, err));
        FAB_TRY(read_volume(path, &bone, err));
    }
    FAB_TRY(add_case(l->cases, weight, &c, err));
    fine_classes(l->recipe, c->fine_class);
    const bool parts = fab_recipe_wants_parts(l->recipe);
    return fab_synth_source_make(labels, &set, bone, parts, &c->synth, err);
}

static fab_status add_self_labelled(const loader *l, const fab_json *source, double weight,
                                    fab_error *err)
{
    char image[FAB_MAX_PATH_BYTES], package[FAB_MAX_PATH_BYTES];
    double sure = 0;
    FAB_TRY(path_at(l, source, "image", image, err));
    FAB_TRY(path_at(l, source, "package", package, err));
    FAB_TRY(fab_json_get_real(source, "sure", 0, 1, &sure, err));
    return label_scan(l, image, package, sure, weight, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a folder that end in "_ct.nii.gz", without that; sorted. */
static fab_status list_scans(const char *folder, char ***out, size_t *count, fab_error *err)
{
    static const char ending[] = "_ct.nii.gz";
    const size_t tail = sizeof ending - 1;
    DIR *d = opendir(folder);
    struct dirent *e;
    char **names = NULL;
    size_t n = 0;
    fab_status status = FAB_OK;
    if (!d) FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no such folder", folder);
    while (status == FAB_OK && (e = readdir(d))) {
        const size_t length = strlen(e->d_name);
        if (length <= tail || strcmp(e->d_name + length - tail, ending) != 0) continue;
        char **grown = fab_realloc(names, (n + 1) * sizeof *grown);
        if (grown) names = grown;
        char *name = grown ? fab_strdup(e->d_name) : NULL;
        if (!name) status = fab_error_set(err, FAB_ERR_NOMEM, "no memory to list %s", folder);
        else names[n++] = name;
        if (name) name[length - tail] = 0;
    }
    closedir(d);
    if (n) qsort(names, n, sizeof *names, by_name);
    *out = names;
    *count = n;
    if (status == FAB_OK && n == 0)
        return fab_error_set(err, FAB_ERR_NOTFOUND, "%s: no scan called NAME_ct.nii.gz", folder);
    return status;
}

static fab_status add_folder(const loader *l, const fab_json *source, double weight,
                             int background, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    char **names = NULL;
    size_t count = 0;
    FAB_TRY(path_at(l, source, "folder", folder, err));
    fab_status status = list_scans(folder, &names, &count, err);
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        char paths[3][FAB_MAX_PATH_BYTES + 300];
        static const char *const endings[3] = {"_ct.nii.gz", "_seg.nii.gz", "_seg.json"};
        for (int k = 0; k < 3; k++)
            snprintf(paths[k], sizeof paths[k], "%s/%s%s", folder, names[i], endings[k]);
        status = read_pair(l, paths[0], paths[1], paths[2], background, weight / (double)count,
                           err);
    }
    for (size_t i = 0; i < count; i++) fab_free(names[i]);
    fab_free(names);
    return status;
}

static fab_status add_source(const loader *l, const fab_json *source, fab_error *err)
{
    double weight = 1;
    const char *background = NULL;
    int zero = 0;
    char paths[3][FAB_MAX_PATH_BYTES];
    if (fab_json_find(source, "weight"))
        FAB_TRY(fab_json_get_real(source, "weight", 0, 1e6, &weight, err));
    if (fab_json_find(source, "background")) {
        FAB_TRY(fab_json_get_string(source, "background", &background, err));
        if (strcmp(background, "unknown") == 0) zero = FAB_CASE_IGNORE;
        else if (strcmp(background, "outside") != 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"background\" is neither \"outside\" nor \"unknown\"");
    }
    if (fab_json_find(source, "folder")) return add_folder(l, source, weight, zero, err);
    if (fab_json_find(source, "package")) return add_self_labelled(l, source, weight, err);
    if (!fab_json_find(source, "image")) return add_synthetic(l, source, weight, err);
    FAB_TRY(path_at(l, source, "image", paths[0], err));
    FAB_TRY(path_at(l, source, "labels", paths[1], err));
    FAB_TRY(path_at(l, source, "names", paths[2], err));
    return read_pair(l, paths[0], paths[1], paths[2], zero, weight, err);
}

fab_status fab_cases_load(const fab_recipe *r, const char *data, const fab_progress *progress,
                          fab_cases *out, fab_error *err)
{
    const fab_json *sources = NULL;
    const loader l = {r, data, out};
    FAB_TRY(fab_json_get_array(r->json, "sources", &sources, err));
    const size_t count = fab_json_count(sources);
    for (size_t i = 0; i < count; i++) {
        FAB_TRY(fab_progress_step(progress, "load", (double)i / (double)count, err));
        if (add_source(&l, fab_json_at(sources, i), err) < 0)
            return fab_error_prefix(err, "sources[%zu]", i);
    }
    if (out->count == 0 || !(out->weight > 0))
        FAB_FAIL(err, FAB_ERR_FORMAT, "the recipe's sources hold no case of any weight");
    return FAB_OK;
}

void fab_cases_free(fab_cases *c)
{
    for (size_t i = 0; i < c->count; i++) {
        fab_case *one = &c->items[i];
        fab_synth_source_free(one->synth);
        fab_free(one->hu);
        fab_free(one->classes);
        for (int k = 0; k < FAB_CASE_IGNORE; k++) fab_free(one->points[k]);
    }
    fab_free(c->items);
    *c = (fab_cases){0};
}
