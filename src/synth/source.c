/* source.c - a label map prepared once: its own grid, names, spine, depths, distance fields. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

enum { PAD_MM = 60, POINT_STEP = 3, MIN_SIDE = 8 };

/* The map's grid: the labels' box at 1.5 mm (or their own spacing if near that), with room at the
 * sides for the fat that the map does not name. */
static fab_status own_grid(const fab_volume *labels, bool complete, fab_grid *out, fab_error *err)
{
    double spacing[3], step = 1.5;
    const fab_grid *from = fab_volume_grid(labels);
    fab_grid_spacing(from, spacing);
    const bool even = fabs(spacing[0] - spacing[1]) < 1e-3 && fabs(spacing[0] - spacing[2]) < 1e-3;
    if (even && spacing[0] >= 1.2 && spacing[0] <= 2) step = spacing[0];
    fab_grid g;
    FAB_TRY(fab_grid_axis_aligned(from, (double[3]){step, step, step}, &g, err));
    const int pad = complete ? 0 : (int)(PAD_MM / step);
    for (int a = 0; a < 2; a++) {
        g.size[a] += 2 * pad;
        g.world_from_voxel.m[a][3] -= pad * step;
    }
    FAB_TRY(fab_grid_check(&g, err));
    if (fab_grid_voxels(&g) > (int64_t)1 << 30)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a map of %d x %d x %d voxels of %.3g mm is too large",
                 g.size[0], g.size[1], g.size[2], step);
    *out = g;
    return FAB_OK;
}

static fab_status names_of(const fab_label_set *set, uint8_t value[65536], fab_error *err)
{
    memset(value, SY_UNKNOWN, 65536);
    value[0] = SY_OUTSIDE;
    for (size_t i = 0; i < set->count; i++) {
        const fab_label *l = &set->items[i];
        if (l->value < 1 || l->value > 65535)
            FAB_FAIL(err, FAB_ERR_ARG, "label %s has value %d", l->name, l->value);
        const int v = fab_synth_value(l->name);
        if (v >= 0) value[l->value] = (uint8_t)(v == SY_S1 ? SY_SACRUM : v);
    }
    return FAB_OK;
}

/* Whether the map itself says where skin or the fat under it is. */
static bool has_skin(const fab_volume *labels, const uint8_t value[65536])
{
    const int64_t count = fab_grid_voxels(fab_volume_grid(labels));
    const uint8_t *narrow = fab_volume_data(labels);
    const uint16_t *wide = fab_volume_data(labels);
    for (int64_t i = 0; i < count; i++) {
        const int v = value[fab_volume_dtype(labels) == FAB_U8 ? narrow[i] : wide[i]];
        if (v == SY_SKIN || v == SY_SKIN_FAT) return true;
    }
    return false;
}

static fab_status read_labels(const fab_volume *labels, const uint8_t value[65536],
                              const fab_grid *grid, fab_sy_grid *out, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_TRY(fab_volume_resample(labels, grid, FAB_NEAREST, 0, &v, err));
    const int64_t count = fab_grid_voxels(grid);
    uint8_t *label = fab_malloc((size_t)count);
    if (!label) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a map");
    const uint8_t *narrow = fab_volume_data(v);
    const uint16_t *wide = fab_volume_data(v);
    bool any = false;
    for (int64_t i = 0; i < count; i++) {
        label[i] = value[fab_volume_dtype(v) == FAB_U8 ? narrow[i] : wide[i]];
        any = any || (label[i] != SY_OUTSIDE && label[i] != SY_UNKNOWN);
    }
    out->label = label; /* the caller frees it */
    for (int a = 0; a < 3; a++) out->size[a] = grid->size[a];
    out->step = (float)grid->world_from_voxel.m[0][0];
    if (!any) FAB_FAIL(err, FAB_ERR_ARG, "the label map holds nothing that has a name here");
    return FAB_OK;
}

static fab_status read_bone(const fab_volume *hu, const fab_grid *grid, int16_t **out,
                            fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *same = NULL, *v = NULL;
    double low = 0, high = 0;
    fab_volume_minmax(hu, &low, &high); /* the fill value is the lowest */
    FAB_TRY(fab_volume_convert(hu, FAB_I16, &same, err));
    FAB_TRY(fab_volume_resample(same, grid, FAB_NEAREST, low, &v, err));
    const int64_t count = fab_grid_voxels(grid);
    int16_t *bone = fab_alloc_array((size_t)count, sizeof *bone);
    if (!bone) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for bone");
    const int16_t *from = fab_volume_data(v);
    for (int64_t i = 0; i < count; i++) bone[i] = from[i] > low ? from[i] : INT16_MIN;
    *out = bone;
    return FAB_OK;
}

static void widen(fab_synth_source *s, int x, int y, int z)
{
    const float mm[3] = {(float)x * s->step, (float)y * s->step, (float)z * s->step};
    for (int a = 0; a < 3; a++) {
        s->low[a] = fminf(s->low[a], mm[a]);
        s->high[a] = fmaxf(s->high[a], mm[a]);
    }
}

/* Every third voxel of each axis, by value. */
static fab_status sort_points(fab_synth_source *s, fab_error *err)
{
    uint32_t at[256] = {0};
    for (int a = 0; a < 3; a++) s->low[a] = 1e6f, s->high[a] = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int z = 0; z < s->size[2]; z += POINT_STEP)
            for (int y = 0; y < s->size[1]; y += POINT_STEP)
                for (int x = 0; x < s->size[0]; x += POINT_STEP) {
                    const int64_t i = ((int64_t)z * s->size[1] + y) * s->size[0] + x;
                    const int v = s->label[i];
                    if (v == SY_OUTSIDE) continue;
                    if (pass == 0) widen(s, x, y, z);
                    if (pass == 0) at[v]++;
                    else s->point[at[v]++] = (uint32_t)i;
                }
        if (pass == 1) break;
        for (int v = 0; v < 256; v++) {
            s->first[v + 1] = s->first[v] + at[v];
            at[v] = s->first[v];
        }
        s->point = fab_alloc_array((size_t)s->first[256] + 1, sizeof *s->point);
        if (!s->point) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for points");
    }
    return FAB_OK;
}

static fab_status prepare(const fab_volume *labels, const fab_label_set *set,
                          const fab_volume *bone_hu, bool parts, fab_synth_source *s,
                          fab_error *err)
{
    fab_grid grid;
    fab_sy_grid g = {0};
    fab_sy_vertebra level[SY_LEVELS + 1];
    FAB_AUTO_FREE uint8_t *value = fab_malloc(65536);
    if (!value) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for names");
    if (fab_volume_dtype(labels) != FAB_U8 && fab_volume_dtype(labels) != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "labels must be U8 or U16");
    FAB_TRY(names_of(set, value, err));
    s->complete = has_skin(labels, value);
    FAB_TRY(own_grid(labels, s->complete, &grid, err));
    const fab_status status = read_labels(labels, value, &grid, &g, err);
    s->label = g.label;
    FAB_TRY(status);
    s->step = g.step;
    if (g.size[0] < MIN_SIDE || g.size[1] < MIN_SIDE || g.size[2] < MIN_SIDE)
        FAB_FAIL(err, FAB_ERR_ARG, "the label map is less than %d voxels wide", MIN_SIDE);
    for (int a = 0; a < 3; a++) s->size[a] = g.size[a];
    FAB_TRY(fab_sy_derive(&g, level, err));
    s->joints = fab_sy_rod(level, s->joint);
    FAB_TRY(fab_sy_depth(&g, &s->depth, err));
    FAB_TRY(fab_sy_fields(&g, s->field_size, &s->field, err));
    if (parts) fab_sy_parts(&g, level); /* of arches: after depths, which ask for vertebrae */
    if (bone_hu) FAB_TRY(read_bone(bone_hu, &grid, &s->bone, err));
    return sort_points(s, err);
}

fab_status fab_synth_source_make(const fab_volume *labels, const fab_label_set *set,
                                 const fab_volume *bone_hu, bool parts, fab_synth_source **out,
                                 fab_error *err)
{
    FAB_AUTO(fab_synth_source_free) fab_synth_source *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a map");
    FAB_TRY(prepare(labels, set, bone_hu, parts, s, err));
    *out = s;
    s = NULL;
    return FAB_OK;
}

static fab_status refine(const fab_volume *labels, const fab_label_set *set, bool parts,
                         fab_grid *grid, fab_sy_grid *g, fab_error *err)
{
    fab_sy_vertebra level[SY_LEVELS + 1];
    FAB_AUTO_FREE uint8_t *value = fab_malloc(65536);
    if (!value) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for names");
    if (fab_volume_dtype(labels) != FAB_U8 && fab_volume_dtype(labels) != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "labels must be U8 or U16");
    FAB_TRY(names_of(set, value, err));
    FAB_TRY(own_grid(labels, true, grid, err));
    FAB_TRY(read_labels(labels, value, grid, g, err));
    FAB_TRY(fab_sy_derive(g, level, err));
    if (parts) fab_sy_parts(g, level);
    return FAB_OK;
}

fab_status fab_synth_refine(const fab_volume *labels, const fab_label_set *set, bool parts,
                            fab_volume **out, fab_error *err)
{
    fab_grid grid;
    fab_sy_grid g = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    fab_status status = refine(labels, set, parts, &grid, &g, err);
    if (status == FAB_OK) status = fab_volume_create(&grid, FAB_U8, &v, err);
    if (status == FAB_OK) memcpy(fab_volume_data_mut(v), g.label, fab_volume_bytes(v));
    fab_free(g.label);
    FAB_TRY(status);
    *out = v;
    v = NULL;
    return FAB_OK;
}

fab_synth_source *fab_synth_source_free(fab_synth_source *s)
{
    if (!s) return NULL;
    fab_free(s->label);
    fab_free(s->depth);
    fab_free(s->bone);
    fab_free(s->field);
    fab_free(s->point);
    return fab_free(s);
}
