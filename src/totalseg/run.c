/* run.c - image to the networks' spacing, part after part, labels back.
 *
 *   image (any axes) -> R, A, S axes -> zoom (order 3, whole numbers) -> nnU-Net, each part
 *     -> one label map -> nearest zoom -> the image's own axes
 *
 * One part's weights are in memory at a time.
 */
#include <math.h>
#include <string.h>

#include "totalseg_internal.h"
#include "zoom.h"

/* The image's voxels in R, A, S order: element (z, y, x) is at start + z step[0] + ... */
typedef struct ras_view {
    int size[3];
    int64_t start, step[3];
    double spacing_mm[3];
    double direction[3][3]; /* [axis][LPS component], unit length */
    double origin[3];       /* LPS mm of element 0, 0, 0 */
} ras_view;

/* nibabel's closest canonical axes: the LPS ones with x and y turned round. */
static ras_view view_of(const fab_grid *g)
{
    ras_view v;
    int axis_of[3];
    bool flip[3];
    double spacing[3], corner[3];
    const int64_t stride[3] = {1, g->size[0], (int64_t)g->size[0] * g->size[1]};
    fab_grid_canonical(g, axis_of, flip);
    fab_grid_spacing(g, spacing);
    v.start = 0;
    for (int world = 0; world < 3; world++) {
        const int a = axis_of[world], at = 2 - world;
        const bool turned = flip[world] != (world < 2);
        v.size[at] = g->size[a];
        v.step[at] = turned ? -stride[a] : stride[a];
        v.start += turned ? stride[a] * (g->size[a] - 1) : 0;
        v.spacing_mm[at] = spacing[a];
        corner[a] = turned ? g->size[a] - 1 : 0;
        for (int r = 0; r < 3; r++)
            v.direction[at][r] = (turned ? -1 : 1) * g->world_from_voxel.m[r][a] / spacing[a];
    }
    fab_mat34_apply(&g->world_from_voxel, corner, v.origin);
    return v;
}

static fab_status gather(const fab_volume *image, const ras_view *v, float **out, fab_error *err)
{
    const size_t count = (size_t)v->size[0] * (size_t)v->size[1] * (size_t)v->size[2];
    float *to = *out = fab_alloc_array(count, sizeof *to);
    if (!to) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu voxels", count);
    for (int z = 0; z < v->size[0]; z++)
        for (int y = 0; y < v->size[1]; y++) {
            const int64_t row = v->start + z * v->step[0] + y * v->step[1];
            for (int x = 0; x < v->size[2]; x++)
                *to++ = (float)fab_volume_at(image, row + x * v->step[2]);
        }
    return FAB_OK;
}

/* Sizes as scipy rounds them: Python's round, halves to even. */
static void new_sizes(const ras_view *v, double mm, int size[3])
{
    for (int a = 0; a < 3; a++) {
        size[a] = (int)nearbyint(v->size[a] * (v->spacing_mm[a] / mm));
        if (size[a] < 1) size[a] = 1;
    }
}

/* A volume at the networks' spacing with axes R, A, S. */
static fab_status to_spacing(const fab_volume *image, const ras_view *v, double mm,
                             fab_volume **out, fab_error *err)
{
    int size[3];
    FAB_AUTO_FREE float *from = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *to = NULL;
    new_sizes(v, mm, size);
    fab_grid g = {.size = {size[2], size[1], size[0]}};
    for (int a = 0; a < 3; a++)
        for (int r = 0; r < 3; r++) g.world_from_voxel.m[r][2 - a] = v->direction[a][r] * mm;
    for (int r = 0; r < 3; r++) g.world_from_voxel.m[r][3] = v->origin[r];
    FAB_TRY(gather(image, v, &from, err));
    FAB_TRY(fab_volume_create(&g, FAB_F32, &to, err));
    FAB_TRY(fab_zoom_image(from, v->size, 3, true, size, fab_volume_data_mut(to), err));
    *out = to;
    to = NULL;
    return FAB_OK;
}

/* ---- parts -------------------------------------------------------------------------------- */

static bool is_wanted(const fab_totalseg *t, int value, const char *const *structures)
{
    if (!structures) return value > 0;
    const fab_label *l = fab_label_set_find(&t->set, value);
    for (size_t i = 0; l && structures[i]; i++)
        if (strcmp(structures[i], l->name) == 0) return true;
    return false;
}

static fab_status check_structures(const fab_totalseg *t, const char *const *structures,
                                   fab_error *err)
{
    for (size_t i = 0; structures && structures[i]; i++)
        if (!fab_label_set_by_name(&t->set, structures[i]))
            FAB_FAIL(err, FAB_ERR_NOTFOUND, "no structure \"%.80s\" in this task", structures[i]);
    return FAB_OK;
}

/* What the parts have said so far: labels and their probability at the networks' spacing; for
 * surfaces, labels and their leads on the finer grid. */
typedef struct joined {
    fab_nnunet_soft all;
    uint16_t *label, *fine;
    uint8_t *sure, *lead;
} joined;

static size_t joined_bytes(const fab_totalseg *t, const fab_volume *image, bool soft,
                           bool surfaces)
{
    const size_t voxels = (size_t)fab_grid_voxels(fab_volume_grid(image));
    const size_t fine = voxels * (t->spacing_mm >= FAB_NNUNET_HALVE_FROM_MM ? 8 : 1);
    return voxels * (sizeof(uint16_t) + (soft ? 2 : 0)) + (surfaces ? 5 * fine : 0);
}

/* A volume of `value` in every byte. */
static fab_status make_filled(const fab_grid *g, fab_dtype type, int value, fab_volume **v,
                              void *data, fab_error *err)
{
    FAB_TRY(fab_volume_create(g, type, v, err));
    void *bytes = fab_volume_data_mut(*v);
    memset(bytes, value, fab_volume_bytes(*v));
    memcpy(data, &bytes, sizeof bytes);
    return FAB_OK;
}

static fab_status joined_create(const fab_totalseg *t, const fab_grid *grid,
                                const fab_totalseg_options *o, joined *j, fab_error *err)
{
    FAB_TRY(make_filled(grid, FAB_U16, 0, &j->all.labels, &j->label, err));
    if (!o->soft) return FAB_OK;
    FAB_TRY(make_filled(grid, FAB_U8, 255, &j->all.share, &j->sure, err));
    if (!o->surfaces) return FAB_OK;
    const int n = t->spacing_mm >= FAB_NNUNET_HALVE_FROM_MM ? 2 : 1;
    const fab_grid fine = fab_nnunet_fine_grid(grid, (const int[3]){n, n, n});
    FAB_TRY(make_filled(&fine, FAB_U16, 0, &j->all.fine_labels, &j->fine, err));
    return make_filled(&fine, FAB_U8, 255, &j->all.fine_margin, &j->lead, err);
}

/* A part's box onto the whole grid. */
static fab_status spread(fab_volume **v, const fab_volume *to, double outside, fab_error *err)
{
    fab_volume *whole = NULL;
    FAB_TRY(fab_volume_resample(*v, fab_volume_grid(to), FAB_NEAREST, outside, &whole, err));
    fab_volume_unref(*v);
    *v = whole;
    return FAB_OK;
}

static int label_at(const fab_volume *v, int64_t i)
{
    return fab_volume_dtype(v) == FAB_U16 ? ((const uint16_t *)fab_volume_data(v))[i]
                                          : ((const uint8_t *)fab_volume_data(v))[i];
}

/* The part's labels, as far as they are wanted, over what is there. */
static fab_status merge(const uint16_t *value_of, const fab_volume *labels, fab_nnunet_soft *soft,
                        joined *into, fab_error *err)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels));
    const uint8_t *sure = NULL;
    if (into->sure) {
        FAB_TRY(spread(&soft->share, into->all.share, 255, err));
        sure = fab_volume_data(soft->share);
    }
    for (int64_t i = 0; i < n; i++) {
        const uint16_t value = value_of[label_at(labels, i)];
        if (!value) continue;
        into->label[i] = value;
        if (sure) into->sure[i] = sure[i];
    }
    return FAB_OK;
}

/* Where no part has found anything the least of their leads tells how near a structure is. */
static fab_status merge_fine(const uint16_t *value_of, fab_nnunet_soft *soft, joined *into,
                             fab_error *err)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(into->all.fine_labels));
    FAB_TRY(spread(&soft->fine_labels, into->all.fine_labels, 0, err));
    FAB_TRY(spread(&soft->fine_margin, into->all.fine_margin, 255, err));
    const uint8_t *lead = fab_volume_data(soft->fine_margin);
    for (int64_t i = 0; i < n; i++) {
        const uint16_t value = value_of[label_at(soft->fine_labels, i)];
        if (value) into->fine[i] = value;
        if (value || (!into->fine[i] && lead[i] < into->lead[i])) into->lead[i] = lead[i];
    }
    return FAB_OK;
}

static void wanted_values(const fab_totalseg *t, const fab_totalseg_part *part,
                          const char *const *structures, uint16_t value_of[FAB_UNET_MAX_CLASSES])
{
    memset(value_of, 0, FAB_UNET_MAX_CLASSES * sizeof *value_of);
    for (int h = 1; h < part->heads; h++)
        if (is_wanted(t, part->value_of[h], structures)) value_of[h] = part->value_of[h];
}

static bool part_is_wanted(const fab_totalseg *t, const fab_totalseg_part *part,
                           const char *const *structures)
{
    for (int h = 1; h < part->heads; h++)
        if (is_wanted(t, part->value_of[h], structures)) return true;
    return false;
}

static fab_status run_part(const fab_totalseg *t, const fab_totalseg_part *part,
                           const fab_volume *image, const fab_totalseg_options *o, joined *into,
                           int *patches, fab_error *err)
{
    static const fab_nnunet_load_options as_is = {.no_postprocessing = true};
    const size_t cap = o->max_memory_bytes;
    const size_t taken = joined_bytes(t, image, o->soft, o->surfaces);
    uint16_t value_of[FAB_UNET_MAX_CLASSES];
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
    fab_nnunet_soft soft = {0};
    fab_nnunet_report report = {0};
    const fab_nnunet_options no = {.step = o->step > 0 ? o->step : 0.8, .exact = o->exact,
                                   .max_memory_bytes = cap > taken ? cap - taken : cap ? 1 : 0,
                                   .soft = o->soft ? &soft : NULL, .surfaces = o->surfaces,
                                   .progress = o->progress};
    FAB_TRY(fab_nnunet_load(part->folder, &as_is, &m, err));
    FAB_TRY(fab_nnunet_predict(m, &image, NULL, &no, &labels, &report, err));
    wanted_values(t, part, o->structures, value_of);
    fab_status status = merge(value_of, labels, &soft, into, err);
    if (status == FAB_OK && into->fine) status = merge_fine(value_of, &soft, into, err);
    fab_nnunet_soft_free(&soft);
    *patches += report.patches;
    return status;
}

static fab_status run_parts(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *o, joined *into, int *parts,
                            int *patches, fab_error *err)
{
    for (int i = 0; i < t->part_count; i++) {
        if (!part_is_wanted(t, &t->part[i], o->structures)) continue;
        FAB_TRY(run_part(t, &t->part[i], image, o, into, patches, err));
        (*parts)++;
    }
    return FAB_OK;
}

/* ---- back --------------------------------------------------------------------------------- */

static fab_status from_spacing(const uint16_t *from, const int size[3], const ras_view *v,
                               const fab_grid *grid, bool wide, fab_volume **out, fab_error *err)
{
    const size_t count = (size_t)v->size[0] * (size_t)v->size[1] * (size_t)v->size[2];
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
    FAB_AUTO_FREE uint16_t *back = fab_alloc_array(count, sizeof *back);
    if (!back) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu labels", count);
    FAB_TRY(fab_zoom_labels(from, size, v->size, back, err));
    FAB_TRY(fab_volume_create(grid, wide ? FAB_U16 : FAB_U8, &labels, err));
    void *data = fab_volume_data_mut(labels);
    const uint16_t *at = back;
    for (int z = 0; z < v->size[0]; z++)
        for (int y = 0; y < v->size[1]; y++)
            for (int x = 0; x < v->size[2]; x++, at++) {
                const int64_t i = v->start + z * v->step[0] + y * v->step[1] + x * v->step[2];
                if (wide) ((uint16_t *)data)[i] = *at;
                else ((uint8_t *)data)[i] = (uint8_t)*at;
            }
    *out = labels;
    labels = NULL;
    return FAB_OK;
}

fab_status fab_totalseg_run(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *options, fab_volume **labels,
                            int *parts_run, int *patches, fab_error *err)
{
    fab_totalseg_options o = {0};
    int parts = 0, evaluations = 0;
    if (options) o = *options;
    FAB_TRY(check_structures(t, o.structures, err));
    const ras_view v = view_of(fab_volume_grid(image));
    FAB_AUTO(fab_volume_unref) fab_volume *small = NULL;
    FAB_TRY(to_spacing(image, &v, t->spacing_mm, &small, err));
    const int32_t *n = fab_volume_grid(small)->size;
    const int size[3] = {n[2], n[1], n[0]};
    const bool wide = t->set.count && t->set.items[t->set.count - 1].value > 255;
    joined j = {0};
    fab_status status = joined_create(t, fab_volume_grid(small), &o, &j, err);
    if (status == FAB_OK) status = run_parts(t, small, &o, &j, &parts, &evaluations, err);
    small = fab_volume_unref(small);
    if (status == FAB_OK)
        status = from_spacing(j.label, size, &v, fab_volume_grid(image), wide, labels, err);
    if (status == FAB_OK && o.soft) {
        *o.soft = j.all;
        j = (joined){0};
    }
    fab_nnunet_soft_free(&j.all);
    FAB_TRY(status);
    if (parts_run) *parts_run = parts;
    if (patches) *patches = evaluations;
    return FAB_OK;
}
