/* validate_truth.c - the truth of a case: one label map, or one mask a structure, on exactly the
 * image's grid. */
#include "validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void fab_truth_free(fab_truth *t)
{
    fab_volume_unref(t->labels);
    fab_label_set_free(&t->set);
    fab_json_free(t->files);
    *t = (fab_truth){0};
}

/* ---- grids -------------------------------------------------------------------------------- */

static void describe(const fab_grid *g, char into[120])
{
    double mm[3];
    char code[4];
    fab_grid_spacing(g, mm);
    fab_grid_orientation(g, code);
    snprintf(into, 120, "%d x %d x %d of %.3g x %.3g x %.3g mm, %s", g->size[0], g->size[1],
             g->size[2], mm[0], mm[1], mm[2], code);
}

/* Files round their positions: a tenth of a voxel apart is the same place. */
fab_status fab_labels_onto(fab_volume **labels, const fab_grid *grid, const char *what,
                           fab_error *err)
{
    const fab_grid *own = fab_volume_grid(*labels);
    int axis_of[3];
    bool flip[3];
    double mm[3];
    char here[120], there[120];
    if (fab_grid_equal(own, grid, 0)) return FAB_OK;
    fab_grid_spacing(grid, mm);
    const fab_grid a = fab_grid_canonical(own, axis_of, flip);
    const fab_grid b = fab_grid_canonical(grid, axis_of, flip);
    if (!fab_grid_equal(&a, &b, 0.1 * fmin(mm[0], fmin(mm[1], mm[2])))) {
        describe(own, here);
        describe(grid, there);
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "%s is on another grid than its image (%s; the image %s%s) "
                 "and is not resampled: that would change what is measured", what, here, there,
                 strcmp(here, there) ? "" : ", elsewhere in the patient");
    }
    fab_volume *moved = NULL;
    FAB_TRY(fab_volume_resample(*labels, grid, FAB_NEAREST, 0, &moved, err));
    fab_volume_unref(*labels);
    *labels = moved;
    return FAB_OK;
}

/* ---- files -------------------------------------------------------------------------------- */

static fab_status add_file(const fab_dataset *d, const char *path, fab_json *list, fab_error *err)
{
    char hex[65];
    fab_json *row = NULL;
    size_t n = strlen(d->folder);
    bool below = strncmp(path, d->folder, n) == 0 && path[n] == '/';
    FAB_TRY(fab_sha256_file(path, hex, err));
    FAB_TRY(fab_add_object(list, &row, err));
    FAB_TRY(fab_put_text(row, "path", below ? path + n + 1 : path, err));
    return fab_put_text(row, "sha256", hex, err);
}

/* ---- one label map ------------------------------------------------------------------------ */

static fab_status load_map(const fab_dataset *d, const fab_val_case *c, const fab_grid *image,
                           fab_truth *t, fab_error *err)
{
    bool has_table = false;
    FAB_TRY(fab_labels_load(c->labels, c->table, &t->labels, &t->set, &has_table, err));
    if (!has_table && !d->names.count)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no table says what its values are called (\"labels\" "
                 "of the data set, \"table\" of the case, or a JSON beside it)", c->labels);
    for (size_t i = 0; i < d->names.count && !has_table; i++)
        FAB_TRY(fab_label_set_add(&t->set, d->names.items[i].value, d->names.items[i].name, err));
    FAB_TRY(fab_labels_onto(&t->labels, image, c->labels, err));
    return add_file(d, c->labels, t->files, err);
}

/* ---- one mask a structure ----------------------------------------------------------------- */

static int64_t put_mask(const fab_volume *mask, int value, void *into, fab_dtype type)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(mask));
    const bool bytes = fab_volume_dtype(mask) == FAB_U8;
    const uint8_t *m8 = fab_volume_data(mask);
    const uint16_t *m16 = fab_volume_data(mask);
    uint8_t *to8 = into;
    uint16_t *to16 = into;
    int64_t overlaps = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(bytes ? m8[i] : m16[i])) continue;
        if (type == FAB_U8 ? to8[i] : to16[i]) overlaps++;
        else if (type == FAB_U8) to8[i] = (uint8_t)value;
        else to16[i] = (uint16_t)value;
    }
    return overlaps;
}

static fab_status load_mask(const fab_dataset *d, const char *path, int value,
                            const fab_grid *image, fab_truth *t, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *mask = NULL;
    fab_label_set unused = {0};
    bool has_table = false;
    FAB_TRY(fab_labels_load(path, NULL, &mask, &unused, &has_table, err));
    fab_label_set_free(&unused);
    FAB_TRY(fab_labels_onto(&mask, image, path, err));
    t->overlaps += put_mask(mask, value, fab_volume_data_mut(t->labels),
                            fab_volume_dtype(t->labels));
    return add_file(d, path, t->files, err);
}

static fab_status load_masks(const fab_dataset *d, const fab_val_case *c, const fab_grid *image,
                             fab_truth *t, fab_error *err)
{
    __attribute__((cleanup(fab_text_list_free))) fab_text_list files = {0};
    int value = 0;
    FAB_TRY(fab_folder_list(c->labels, &files, err));
    FAB_TRY(fab_volume_create(image, files.count > 255 ? FAB_U16 : FAB_U8, &t->labels, err));
    memset(fab_volume_data_mut(t->labels), 0, fab_volume_bytes(t->labels));
    for (size_t i = 0; i < files.count; i++) {
        char path[FAB_MAX_PATH_BYTES], name[FAB_MAX_NAME_BYTES];
        size_t stem = fab_volume_stem(files.items[i]);
        if (!stem) continue;
        if (value >= FAB_MAX_STRUCTURES)
            FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than %d masks", c->labels, FAB_MAX_STRUCTURES);
        snprintf(name, sizeof name, "%.*s", (int)stem, files.items[i]);
        FAB_TRY(fab_path_join(path, sizeof path, c->labels, files.items[i], err));
        FAB_TRY(fab_label_set_add(&t->set, ++value, name, err));
        FAB_TRY(load_mask(d, path, value, image, t, err));
    }
    if (!value) FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds no mask", c->labels);
    return FAB_OK;
}

fab_status fab_truth_load(const fab_dataset *d, const fab_val_case *c, const fab_grid *image,
                          fab_truth *out, fab_error *err)
{
    fab_truth t = {.files = fab_json_array()};
    if (!t.files) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    fab_status status = fab_is_folder(c->labels) ? load_masks(d, c, image, &t, err)
                                                 : load_map(d, c, image, &t, err);
    if (status < 0) {
        fab_truth_free(&t);
        return status;
    }
    *out = t;
    return FAB_OK;
}
