/* detail.c - the second look: where it looks, and what it is told by the first. */
#include "fabrica/detail.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detail_internal.h"

#define MARGIN_MM 15.0 /* around the spine that the network is shown */
#define REACH_MM 7.5   /* beyond the first network's spine a voxel may change */
#define LEAST_AGREEMENT 0.6
#define MAX_STRENGTH 9.0f
#define MIN_STRENGTH 0.05f

static const char *const kind_name[DT_KINDS] = {
    "", "body", "pedicle", "lamina", "spinous_process", "transverse_process",
    "superior_articular_process", "inferior_articular_process", "disc", "canal", "sacrum", "ribs"};

bool fab_detail_is_for(const fab_json *card, const char *package)
{
    const fab_json *of = fab_json_find(fab_json_find(card, "detail"), "of");
    for (size_t i = 0; i < fab_json_count(of); i++) {
        const char *name = fab_json_text(fab_json_at(of, i));
        if (name && strcmp(name, package) == 0) return true;
    }
    return false;
}

void fab_detail_free(fab_detail *d)
{
    fab_volume_unref(d->parts);
    fab_label_set_free(&d->set);
    memset(d, 0, sizeof *d);
}

/* ---- what classes and values mean ------------------------------------------------------------ */

static fab_status read_kinds(const fab_model *m, uint8_t kind_of[FAB_UNET_MAX_CLASSES],
                             fab_error *err)
{
    const fab_json *o = NULL, *network = NULL;
    int64_t classes = 0;
    FAB_TRY(fab_json_get_object(fab_model_card(m), "architecture", &network, err));
    FAB_TRY(fab_json_get_int(network, "classes", 2, FAB_UNET_MAX_CLASSES, &classes, err));
    FAB_TRY(fab_json_get_object(fab_model_card(m), "detail", &o, err));
    for (int k = DT_BODY; k < DT_KINDS; k++) {
        int64_t value = 0;
        if (k > DT_INFERIOR && !fab_json_find(o, kind_name[k])) continue;
        if (fab_json_get_int(o, kind_name[k], 1, classes - 1, &value, err) < 0)
            return fab_error_prefix(err, "detail");
        if (kind_of[value])
            FAB_FAIL(err, FAB_ERR_FORMAT, "detail: class %d is both \"%s\" and \"%s\"",
                     (int)value, kind_name[kind_of[value]], kind_name[k]);
        kind_of[value] = (uint8_t)k;
    }
    return FAB_OK;
}

fab_status fab_detail_check(const fab_model *m, fab_error *err)
{
    uint8_t kind_of[FAB_UNET_MAX_CLASSES] = {0};
    return read_kinds(m, kind_of, err);
}

fab_status fab_dt_values(dt_work *w, fab_error *err)
{
    memset(w->level_of, DT_NO_LEVEL, sizeof w->level_of);
    for (size_t i = 0; i < w->r->set.count; i++) {
        const fab_label *l = &w->r->set.items[i];
        const int level = fab_spine_level_of(l->name);
        if (l->value >= DT_MAX_VALUES)
            FAB_FAIL(err, FAB_ERR_LIMIT, "label values up to %d, %d at most", l->value,
                     DT_MAX_VALUES - 1);
        w->level_of[l->value] = (int8_t)level;
        if (level >= 0) {
            w->group_of[l->value] = DT_VERTEBRA;
            w->value_of_level[level] = l->value;
        } else if (strncmp(l->name, "disc_", 5) == 0) {
            w->group_of[l->value] = DT_DISCS;
        } else if (strcmp(l->name, "spinal_canal") == 0) {
            w->group_of[l->value] = DT_CANALS;
            w->value_of_canal = l->value;
        } else if (strcmp(l->name, "spinal_cord") == 0) {
            w->group_of[l->value] = DT_CANALS;
        } else if (strcmp(l->name, "sacrum") == 0) {
            w->group_of[l->value] = DT_SACRA;
            w->value_of_sacrum = l->value;
        } else if (strncmp(l->name, "rib", 3) == 0) {
            w->group_of[l->value] = DT_RIBS;
        }
    }
    return FAB_OK;
}

/* ---- where to look --------------------------------------------------------------------------- */

static int value_at(const fab_volume *v, int64_t i)
{
    return fab_volume_dtype(v) == FAB_U8 ? ((const uint8_t *)fab_volume_data(v))[i]
                                         : ((const uint16_t *)fab_volume_data(v))[i];
}

static bool is_spine(const dt_work *w, int value)
{
    const dt_group g = w->group_of[value];
    return g == DT_VERTEBRA || g == DT_DISCS || g == DT_SACRA;
}

/* The first network's spine, on its own grid. */
static fab_status wanted(const dt_work *w, const fab_volume *v, fab_volume **out, fab_error *err)
{
    FAB_TRY(fab_volume_create(fab_volume_grid(v), FAB_U8, out, err));
    uint8_t *to = fab_volume_data_mut(*out);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(v)); i++)
        to[i] = is_spine(w, value_at(v, i)) || w->group_of[value_at(v, i)] == DT_CANALS;
    return FAB_OK;
}

/* Box of the first network's spine, voxels of `v`, inclusive; false: it has none. */
static bool spine_box(const dt_work *w, const fab_volume *v, int low[3], int high[3])
{
    const fab_grid *g = fab_volume_grid(v);
    int64_t i = 0, vertebral = 0;
    for (int a = 0; a < 3; a++) low[a] = g->size[a], high[a] = -1;
    for (int z = 0; z < g->size[2]; z++)
        for (int y = 0; y < g->size[1]; y++)
            for (int x = 0; x < g->size[0]; x++, i++) {
                const int value = value_at(v, i), at[3] = {x, y, z};
                if (!is_spine(w, value)) continue;
                vertebral += w->group_of[value] == DT_VERTEBRA;
                for (int a = 0; a < 3; a++) {
                    if (at[a] < low[a]) low[a] = at[a];
                    if (at[a] > high[a]) high[a] = at[a];
                }
            }
    return vertebral > 0;
}

/* The image around a box of `of`, with a margin. */
static fab_status cut_image(const fab_volume *image, const fab_grid *of, const int low[3],
                            const int high[3], fab_volume **out, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(image);
    fab_mat34 voxel_from_world;
    double spacing[3], from[3] = {1e9, 1e9, 1e9}, to[3] = {-1e9, -1e9, -1e9};
    int32_t first[3], size[3];
    FAB_TRY(fab_mat34_invert(&g->world_from_voxel, &voxel_from_world, err));
    for (int c = 0; c < 8; c++) {
        double p[3];
        for (int a = 0; a < 3; a++) p[a] = (c >> a) & 1 ? high[a] : low[a];
        fab_mat34_apply(&of->world_from_voxel, p, p);
        fab_mat34_apply(&voxel_from_world, p, p);
        for (int a = 0; a < 3; a++) from[a] = fmin(from[a], p[a]), to[a] = fmax(to[a], p[a]);
    }
    fab_grid_spacing(g, spacing);
    for (int a = 0; a < 3; a++) {
        const double more = MARGIN_MM / spacing[a];
        first[a] = (int32_t)fmax(floor(from[a] - more), 0);
        const int32_t last = (int32_t)fmin(ceil(to[a] + more), g->size[a] - 1);
        size[a] = last - first[a] + 1;
        if (size[a] < 1) FAB_FAIL(err, FAB_ERR_GEOMETRY, "the labels lie outside of the image");
    }
    return fab_volume_crop(image, first, size, out, err);
}

/* ---- the lattice ----------------------------------------------------------------------------- */

int fab_dt_neighbours(const dt_work *w, int64_t i, int64_t out[6])
{
    const int64_t row = w->size[0], plane = row * w->size[1];
    const int x = (int)(i % row), y = (int)(i / row % w->size[1]), z = (int)(i / plane);
    int n = 0;
    if (x > 0) out[n++] = i - 1;
    if (x + 1 < w->size[0]) out[n++] = i + 1;
    if (y > 0) out[n++] = i - row;
    if (y + 1 < w->size[1]) out[n++] = i + row;
    if (z > 0) out[n++] = i - plane;
    if (z + 1 < w->size[2]) out[n++] = i + plane;
    return n;
}

static fab_status make_lattice(const fab_segment_view *v, dt_work *w, fab_error *err)
{
    w->grid = *fab_volume_grid(v->classes);
    for (int a = 0; a < 3; a++) w->size[a] = w->grid.size[a];
    w->count = fab_grid_voxels(&w->grid);
    w->voxel_ml = fab_grid_voxel_volume_mm3(&w->grid) / 1000;
    w->class = fab_volume_data(v->classes);
    w->probability = fab_volume_data(v->probability);
    const size_t n = (size_t)w->count;
    w->coarse = fab_calloc(n, sizeof *w->coarse);
    w->name = fab_calloc(n, sizeof *w->name);
    w->level = fab_malloc(n);
    w->near = fab_calloc(n, 1);
    w->strength = fab_alloc_array(n, sizeof *w->strength);
    w->queue = fab_alloc_array(n, sizeof *w->queue);
    if (!w->coarse || !w->name || !w->level || !w->near || !w->strength || !w->queue)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's detail");
    memset(w->level, DT_NO_LEVEL, n);
    return FAB_OK;
}

static void free_lattice(dt_work *w)
{
    fab_free(w->coarse);
    fab_free(w->name);
    fab_free(w->level);
    fab_free(w->near);
    fab_free(w->strength);
    fab_free(w->queue);
}

static fab_status fill_coarse(dt_work *w, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_TRY(fab_volume_resample(w->r->fine_labels, &w->grid, FAB_NEAREST, 0, &v, err));
    for (int64_t i = 0; i < w->count; i++) {
        const float p = w->probability[i], odds = logf(p / fmaxf(1 - p, 1e-6f));
        w->coarse[i] = (uint16_t)value_at(v, i);
        w->near[i] = is_spine(w, w->coarse[i]) || w->group_of[w->coarse[i]] == DT_CANALS;
        w->strength[i] = fminf(fmaxf(odds, MIN_STRENGTH), MAX_STRENGTH);
    }
    return FAB_OK;
}

/* One axis of a box dilation: voxels within `reach` of one that is near. */
static void dilate_axis(dt_work *w, int axis, int reach)
{
    const int64_t step = axis == 0 ? 1 : axis == 1 ? w->size[0] : (int64_t)w->size[0] * w->size[1];
    const int n = w->size[axis];
    for (int64_t i = 0; i < w->count; i++) {
        if (i / step % n) continue; /* not a line's first voxel */
        int last = -1 - reach;
        for (int k = 0; k < n; k++) { /* marks forward: 1 is near, 2 was made near */
            uint8_t *at = &w->near[i + k * step];
            if (*at == 1) last = k;
            else if (k - last <= reach) *at = 2;
        }
        last = n + reach;
        for (int k = n - 1; k >= 0; k--) {
            uint8_t *at = &w->near[i + k * step];
            if (*at == 1) last = k;
            else if (last - k <= reach) *at = 2;
        }
    }
    for (int64_t i = 0; i < w->count; i++) w->near[i] = w->near[i] != 0;
}

static double agreement(const dt_work *w)
{
    int64_t first = 0, second = 0, both = 0;
    for (int64_t i = 0; i < w->count; i++) {
        if (!w->near[i]) continue;
        const bool a = w->group_of[w->coarse[i]] == DT_VERTEBRA, b = dt_is_part(dt_kind_at(w, i));
        first += a, second += b, both += a && b;
    }
    return first + second ? 2 * (double)both / (double)(first + second) : 0;
}

/* ---- confidence ------------------------------------------------------------------------------ */

/* What only the second look found has no confidence yet. */
static void add_confidence(const dt_work *w, fab_segment_result *r)
{
    double sum[DT_MAX_VALUES] = {0};
    int64_t n[DT_MAX_VALUES] = {0};
    for (int64_t i = 0; i < w->count; i++)
        sum[w->name[i]] += (double)w->probability[i], n[w->name[i]]++;
    for (size_t row = 0; r->confidence && row < r->set.count; row++) {
        const int value = r->set.items[row].value;
        if (r->confidence[row] > 0 || w->group_of[value] != DT_DISCS) continue;
        if (n[value]) r->confidence[row] = sum[value] / (double)n[value];
    }
}

static fab_status refine(dt_work *w, const fab_segment_view *v, fab_segment_result *r,
                         fab_detail *out, fab_error *err)
{
    double spacing[3];
    FAB_TRY(make_lattice(v, w, err));
    FAB_TRY(fill_coarse(w, err));
    fab_grid_spacing(&w->grid, spacing);
    for (int a = 0; a < 3; a++) dilate_axis(w, a, (int)lrint(REACH_MM / spacing[a]));
    out->agreement = agreement(w);
    if (out->agreement < LEAST_AGREEMENT) {
        snprintf(out->note, sizeof out->note, "The finer look at the spine agrees with the first "
                 "by %.2f only and was not used.", out->agreement);
        return FAB_OK;
    }
    FAB_TRY(fab_dt_name(w, &out->levels_kept, err));
    FAB_TRY(fab_dt_parts(w, out, err));
    add_confidence(w, r);
    FAB_TRY(fab_dt_apply(w, r->labels, NULL, err));
    return fab_dt_apply(w, r->fine_labels, r->fine_margin, err);
}

fab_status fab_dt_refine(dt_work *w, const fab_segment_view *v, fab_segment_result *r,
                         fab_detail *out, fab_error *err)
{
    const fab_status status = refine(w, v, r, out, err);
    free_lattice(w);
    return status;
}

static fab_status look(const fab_model *m, const fab_volume *part, const fab_progress *progress,
                       dt_work *w, fab_segment_result *r, fab_detail *out, fab_error *err)
{
    fab_segment_view v = {0};
    uint8_t group[FAB_UNET_MAX_CLASSES] = {0};
    for (int c = 0; c < FAB_UNET_MAX_CLASSES; c++)
        group[c] = dt_is_part(w->kind_of[c]) ? DT_BODY : w->kind_of[c];
    FAB_AUTO(fab_volume_unref) fab_volume *spine = NULL;
    FAB_TRY(wanted(w, r->fine_labels, &spine, err));
    const fab_segment_options how = {.progress = progress, .groups = group, .wanted = spine,
                                     .wanted_mm = REACH_MM + 3};
    FAB_TRY(fab_segment_classes(m, part, &how, &v, err));
    out->patches = v.patches;
    const fab_status status = fab_dt_refine(w, &v, r, out, err);
    fab_segment_view_free(&v);
    return status;
}

fab_status fab_detail_refine(const fab_model *m, const fab_volume *image,
                             const fab_progress *progress, fab_segment_result *r,
                             fab_detail *out, fab_error *err)
{
    int low[3], high[3];
    fab_detail d = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *part = NULL;
    FAB_AUTO_FREE dt_work *w = fab_calloc(1, sizeof *w);
    if (!w) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's detail");
    w->r = r;
    FAB_TRY(read_kinds(m, w->kind_of, err));
    FAB_TRY(fab_dt_values(w, err));
    if (r->fine_labels && spine_box(w, r->fine_labels, low, high)) {
        FAB_TRY(cut_image(image, fab_volume_grid(r->fine_labels), low, high, &part, err));
        const fab_status status = look(m, part, progress, w, r, &d, err);
        if (status < 0) {
            fab_detail_free(&d);
            return status;
        }
    }
    *out = d;
    return FAB_OK;
}
