/* run.c - image to the networks' spacing, part after part, labels back.
 *
 *   image (any axes) -> R, A, S axes -> zoom (order 3, whole numbers) -> nnU-Net, each part
 *     -> one label map -> nearest zoom -> the image's own axes
 *
 * One part's weights are in memory at a time. Where only some structures are asked for, a coarser
 * network looks for them first, and all of this is done in the box around them.
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

/* cut: whole numbers, as TotalSegmentator stores an image that it cropped. */
static fab_status gather(const fab_volume *image, const ras_view *v, bool cut, float **out,
                         fab_error *err)
{
    const size_t count = (size_t)v->size[0] * (size_t)v->size[1] * (size_t)v->size[2];
    float *to = *out = fab_alloc_array(count, sizeof *to);
    if (!to) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu voxels", count);
    for (int z = 0; z < v->size[0]; z++)
        for (int y = 0; y < v->size[1]; y++) {
            const int64_t row = v->start + z * v->step[0] + y * v->step[1];
            for (int x = 0; x < v->size[2]; x++) {
                const double value = fab_volume_at(image, row + x * v->step[2]);
                *to++ = (float)(cut ? trunc(value) : value);
            }
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
static fab_status to_spacing(const fab_volume *image, const ras_view *v, double mm, bool cut,
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
    FAB_TRY(gather(image, v, cut, &from, err));
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

/* The part's labels, as far as they are wanted, over what is there. */
static void merge(const fab_totalseg *t, const fab_totalseg_part *part, const fab_volume *labels,
                  const char *const *structures, uint16_t *into)
{
    uint16_t value_of[FAB_UNET_MAX_CLASSES] = {0};
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels));
    const bool wide = fab_volume_dtype(labels) == FAB_U16;
    const uint8_t *narrow = fab_volume_data(labels);
    const uint16_t *broad = fab_volume_data(labels);
    for (int h = 1; h < part->heads; h++)
        if (is_wanted(t, part->value_of[h], structures)) value_of[h] = part->value_of[h];
    for (int64_t i = 0; i < n; i++) {
        const uint16_t value = value_of[wide ? broad[i] : narrow[i]];
        if (value) into[i] = value;
    }
}

static bool part_is_wanted(const fab_totalseg *t, const fab_totalseg_part *part,
                           const char *const *structures)
{
    for (int h = 1; h < part->heads; h++)
        if (is_wanted(t, part->value_of[h], structures)) return true;
    return false;
}

static fab_status run_parts(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *o, uint16_t *into, int *parts,
                            int *patches, fab_error *err)
{
    const size_t joined = (size_t)fab_grid_voxels(fab_volume_grid(image)) * sizeof *into;
    const size_t cap = o->max_memory_bytes;
    static const fab_nnunet_load_options as_is = {.no_postprocessing = true};
    const double step = t->total && t->spacing_mm < 3 ? 0.8 : 0.5; /* as TotalSegmentator's */
    fab_nnunet_options no = {.step = o->step > 0 ? o->step : step, .exact = o->exact,
                             .no_mirroring = true,
                             .max_memory_bytes = cap > joined ? cap - joined : cap ? 1 : 0};
    for (int i = 0; i < t->part_count; i++) {
        fab_progress_span span;
        fab_progress_span_start(&span, o->progress, (double)i / t->part_count,
                                (i + 1.0) / t->part_count);
        FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
        FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
        fab_nnunet_report report = {0};
        if (!part_is_wanted(t, &t->part[i], o->structures)) continue;
        FAB_TRY(fab_progress_step(&span.progress, "load", 0, err));
        FAB_TRY(fab_nnunet_load(t->part[i].folder, &as_is, &m, err));
        no.progress = &span.progress;
        FAB_TRY(fab_nnunet_predict(m, &image, NULL, &no, &labels, &report, err));
        merge(t, &t->part[i], labels, o->structures, into);
        *patches += report.patches;
        (*parts)++;
    }
    return FAB_OK;
}

/* What TotalSegmentator removes by itself: of the body's trunk all but the largest piece, of its
 * extremities pieces up to 50 ml. Nothing of any structure of "total". */
static fab_status clean(const fab_totalseg *t, fab_volume *labels, fab_error *err)
{
    static const double least_mm3 = 50000;
    const double voxel_mm3 = t->spacing_mm * t->spacing_mm * t->spacing_mm;
    const struct {
        const char *name;
        fab_component_rule rule;
    } rows[] = {{"body_trunc", {.face_connected = true, .largest = true}},
                {"body_extremities",
                 {.face_connected = true, .above = (int64_t)(least_mm3 / voxel_mm3)}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool member[FAB_MAX_STRUCTURES + 1] = {false};
        const fab_label *l = fab_label_set_by_name(&t->set, rows[i].name);
        if (!l || l->value > FAB_MAX_STRUCTURES) continue;
        member[l->value] = true;
        FAB_TRY(fab_labels_keep_components(labels, member, FAB_MAX_STRUCTURES + 1, &rows[i].rule,
                                           0, NULL, err));
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

typedef struct counts {
    int parts, patches;
} counts;

/* Labels on the image's own grid. */
static fab_status run_image(const fab_totalseg *t, const fab_volume *image, bool cut,
                            const fab_totalseg_options *o, fab_volume **labels, counts *n,
                            fab_error *err)
{
    const ras_view v = view_of(fab_volume_grid(image));
    fab_totalseg_options inner = *o;
    fab_progress_span span;
    fab_progress_span_start(&span, o->progress, 0.02, 0.99);
    inner.progress = &span.progress;
    FAB_AUTO(fab_volume_unref) fab_volume *small = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *joined = NULL;
    FAB_TRY(fab_progress_step(o->progress, "resample", 0, err));
    FAB_TRY(to_spacing(image, &v, t->spacing_mm, cut, &small, err));
    const int32_t *s = fab_volume_grid(small)->size;
    const int size[3] = {s[2], s[1], s[0]};
    FAB_TRY(fab_volume_create(fab_volume_grid(small), FAB_U16, &joined, err));
    memset(fab_volume_data_mut(joined), 0, fab_volume_bytes(joined));
    FAB_TRY(run_parts(t, small, &inner, fab_volume_data_mut(joined), &n->parts, &n->patches, err));
    small = fab_volume_unref(small);
    FAB_TRY(fab_progress_step(o->progress, "labels back", 0.99, err));
    FAB_TRY(clean(t, joined, err));
    const bool wide = t->set.count && t->set.items[t->set.count - 1].value > 255;
    return from_spacing(fab_volume_data(joined), size, &v, fab_volume_grid(image), wide, labels,
                        err);
}

/* ---- only where some structures are ------------------------------------------------------- */

/* The box of what is not 0 with 20 mm around it, in whole voxels; false if there is nothing. */
static bool find_box(const fab_volume *labels, int32_t low[3], int32_t size[3])
{
    const fab_grid *g = fab_volume_grid(labels);
    int32_t high[3] = {-1, -1, -1};
    double mm[3];
    fab_grid_spacing(g, mm);
    memcpy(low, g->size, sizeof g->size);
    int64_t at = 0;
    for (int32_t k = 0; k < g->size[2]; k++)
        for (int32_t j = 0; j < g->size[1]; j++)
            for (int32_t i = 0; i < g->size[0]; i++, at++) {
                if (fab_volume_at(labels, at) == 0) continue;
                const int32_t place[3] = {i, j, k};
                for (int a = 0; a < 3; a++) {
                    low[a] = place[a] < low[a] ? place[a] : low[a];
                    high[a] = place[a] > high[a] ? place[a] : high[a];
                }
            }
    for (int a = 0; a < 3; a++) {
        const int32_t margin = (int32_t)(20.0 / mm[a]);
        low[a] = low[a] > margin ? low[a] - margin : 0;
        const int32_t end = high[a] + 1 + margin < g->size[a] ? high[a] + 1 + margin : g->size[a];
        size[a] = end - low[a];
    }
    return high[0] >= 0;
}

static fab_status paste(const fab_volume *part, const int32_t low[3], const fab_grid *grid,
                        fab_volume **out, fab_error *err)
{
    const int32_t *n = fab_volume_grid(part)->size;
    const size_t bytes = fab_dtype_bytes(fab_volume_dtype(part));
    FAB_AUTO(fab_volume_unref) fab_volume *whole = NULL;
    FAB_TRY(fab_volume_create(grid, fab_volume_dtype(part), &whole, err));
    uint8_t *to = fab_volume_data_mut(whole);
    const uint8_t *from = fab_volume_data(part);
    memset(to, 0, fab_volume_bytes(whole));
    for (ptrdiff_t k = 0; k < n[2]; k++)
        for (ptrdiff_t j = 0; j < n[1]; j++) {
            const ptrdiff_t row =
                low[0] + grid->size[0] * (low[1] + j + (ptrdiff_t)grid->size[1] * (low[2] + k));
            memcpy(to + row * (ptrdiff_t)bytes, from, (size_t)n[0] * bytes);
            from += (size_t)n[0] * bytes;
        }
    *out = whole;
    whole = NULL;
    return FAB_OK;
}

static bool knows_all(const fab_totalseg *t, const char *const *structures)
{
    for (size_t i = 0; structures[i]; i++)
        if (!fab_label_set_by_name(&t->set, structures[i])) return false;
    return true;
}

/* Where the rough network finds nothing the whole image is searched: a structure that is small or
 * odd must not be missed because it was looked for coarsely. */
static fab_status run_cropped(const fab_totalseg *t, const fab_volume *image,
                              const fab_totalseg_options *o, fab_volume **labels, counts *n,
                              fab_error *err)
{
    int32_t low[3], size[3];
    FAB_AUTO(fab_volume_unref) fab_volume *found = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *part = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *inside = NULL;
    fab_totalseg_options before = *o, after = *o;
    fab_progress_span first, rest;
    fab_progress_span_start(&first, o->progress, 0, 0.2);
    fab_progress_span_start(&rest, o->progress, 0.2, 1);
    before.progress = &first.progress;
    after.progress = &rest.progress;
    FAB_TRY(run_image(t->rough, image, false, &before, &found, n, err));
    if (!find_box(found, low, size)) return run_image(t, image, false, &after, labels, n, err);
    FAB_TRY(fab_volume_crop(image, low, size, &part, err));
    FAB_TRY(run_image(t, part, true, &after, &inside, n, err));
    return paste(inside, low, fab_volume_grid(image), labels, err);
}

fab_status fab_totalseg_run(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *options, fab_volume **labels,
                            int *parts_run, int *patches, fab_error *err)
{
    fab_totalseg_options o = {0};
    counts n = {0, 0};
    if (options) o = *options;
    FAB_TRY(check_structures(t, o.structures, err));
    const bool rough = o.structures && t->rough && knows_all(t->rough, o.structures);
    FAB_TRY((rough ? run_cropped(t, image, &o, labels, &n, err)
                   : run_image(t, image, false, &o, labels, &n, err)));
    FAB_TRY(fab_progress_step(o.progress, "labels back", 1, err));
    if (parts_run) *parts_run = n.parts;
    if (patches) *patches = n.patches;
    return FAB_OK;
}
