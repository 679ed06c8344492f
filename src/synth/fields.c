/* fields.c - distances that lay out what a label map leaves unnamed: to the trunk's hull, to the
 * hull of the body cavity, and to the bones that muscle lies on; and depth below a surface. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "synth_internal.h"

static const char *const not_trunk[] = {"humerus_*", "skull", "brain", NULL};
static const char *const cavity[] = {"lung_*",      "heart",       "liver",           "spleen",
                                     "stomach",     "small_bowel", "duodenum",        "colon",
                                     "kidney_*",    "pancreas",    "urinary_bladder", "aorta",
                                     "vertebrae_*", "iliopsoas_*", "gallbladder",     "sacrum",
                                     NULL};
static const char *const pelvis[] = {"hip_*", "sacrum", NULL};
static const char *const femur[] = {"femur_*", "humerus_*", NULL};
static const char *const shoulder[] = {"scapula_*", "clavicula_*", NULL};
static const char *const ribs[] = {"rib_*", "sternum", "costal_cartilages", NULL};

static const struct {
    const char *const *members;
    bool inverse, hull;
    float smooth_mm;
} field_rows[SY_FIELDS] = {
    [SY_HULL] = {not_trunk, true, true, 10},     [SY_CAVITY] = {cavity, false, true, 6},
    [SY_PELVIS] = {pelvis, false, false, 0},     [SY_FEMUR] = {femur, false, false, 0},
    [SY_SHOULDER] = {shoulder, false, false, 0}, [SY_RIBS] = {ribs, false, false, 0},
};

/* The convex hull of a slice: between the convex minorant of each row's first voxel and the
 * concave majorant of its last. */
static void envelope(const int *at, const int *value, int count, int sign, float *out)
{
    for (int i = 0; i + 1 < count;) {
        int best = i + 1;
        for (int j = i + 2; j < count; j++) { /* the chord that leaves i outermost */
            const int64_t a = (int64_t)(value[j] - value[i]) * (at[best] - at[i]);
            const int64_t b = (int64_t)(value[best] - value[i]) * (at[j] - at[i]);
            if ((a - b) * sign >= 0) best = j;
        }
        const float slope = (float)(value[best] - value[i]) / (float)(at[best] - at[i]);
        for (int y = at[i]; y <= at[best]; y++)
            out[y] = (float)value[i] + slope * (float)(y - at[i]);
        i = best;
    }
}

static void fill_hull(uint8_t *slice, int nx, int ny, int *scratch, float *edge)
{
    int *at = scratch, *low = scratch + ny, *high = scratch + 2 * ny, count = 0;
    for (int y = 0; y < ny; y++) {
        const uint8_t *row = slice + (int64_t)y * nx;
        const uint8_t *first = memchr(row, 1, (size_t)nx);
        if (!first) continue;
        at[count] = y, low[count] = (int)(first - row);
        int last = nx - 1;
        while (!row[last]) last--;
        high[count++] = last;
    }
    if (count < 3) return;
    envelope(at, low, count, -1, edge);
    envelope(at, high, count, 1, edge + ny);
    for (int y = at[0]; y <= at[count - 1]; y++)
        for (int x = 0; x < nx; x++)
            if ((float)x >= edge[y] - 0.5f && (float)x <= edge[ny + y] + 0.5f)
                slice[(int64_t)y * nx + x] = 1;
}

static fab_status mask_of(const fab_sy_grid *g, const int size[3], int f, fab_volume *into,
                          fab_error *err)
{
    bool member[256] = {0};
    for (int v = 1; v < SY_UNKNOWN; v++)
        member[v] =
            fab_synth_name(v) &&
            fab_sy_matches_any(fab_synth_name(v), field_rows[f].members) != field_rows[f].inverse;
    uint8_t *m = fab_volume_data_mut(into);
    for (int z = 0; z < size[2]; z++)
        for (int y = 0; y < size[1]; y++) {
            const int64_t from =
                ((int64_t)z * SY_FIELD_STEP * g->size[1] + (int64_t)y * SY_FIELD_STEP) * g->size[0];
            for (int x = 0; x < size[0]; x++) *m++ = member[g->label[from + x * SY_FIELD_STEP]];
        }
    if (!field_rows[f].hull) return FAB_OK;
    FAB_AUTO_FREE int *scratch = fab_alloc_array((size_t)size[1] * 3, sizeof *scratch);
    FAB_AUTO_FREE float *edge = fab_alloc_array((size_t)size[1] * 2, sizeof *edge);
    if (!scratch || !edge) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a hull");
    m = fab_volume_data_mut(into);
    for (int z = 0; z < size[2]; z++)
        fill_hull(m + (int64_t)z * size[0] * size[1], size[0], size[1], scratch, edge);
    return FAB_OK;
}

/* Signed distance to the mask, smoothed; without a hull the distance outside only. */
static fab_status one_field(const fab_sy_grid *g, const int size[3], int f, int8_t *out,
                            fab_error *err)
{
    const float step = g->step * SY_FIELD_STEP, smooth = field_rows[f].smooth_mm;
    const fab_grid grid = {{size[0], size[1], size[2]},
                           {{{step, 0, 0, 0}, {0, step, 0, 0}, {0, 0, step, 0}}}};
    FAB_AUTO(fab_volume_unref) fab_volume *mask = NULL, *far = NULL, *near = NULL, *soft = NULL;
    FAB_TRY(fab_volume_create(&grid, FAB_U8, &mask, err));
    FAB_TRY(mask_of(g, size, f, mask, err));
    FAB_TRY(fab_labels_distance(mask, 1, false, &far, err));
    const int64_t count = fab_sy_count(size);
    if (smooth > 0) {
        FAB_TRY(fab_labels_distance(mask, 1, true, &near, err));
        float *d = fab_volume_data_mut(far);
        const float *in = fab_volume_data(near);
        for (int64_t i = 0; i < count; i++)
            d[i] = fab_sy_clamp(d[i], 0, 400) - fab_sy_clamp(in[i], 0, 400);
        const double s = (double)(smooth / step), sigma[3] = {s, s, s};
        FAB_TRY(fab_volume_gaussian(far, sigma, &soft, err));
    }
    const float *d = fab_volume_data(soft ? soft : far);
    for (int64_t i = 0; i < count; i++)
        out[i * SY_FIELD_BYTES + f] = (int8_t)lrintf(fab_sy_clamp(d[i], -126, 126));
    return FAB_OK;
}

fab_status fab_sy_fields(const fab_sy_grid *g, int size[3], int8_t **out, fab_error *err)
{
    for (int a = 0; a < 3; a++) size[a] = (g->size[a] + SY_FIELD_STEP - 1) / SY_FIELD_STEP;
    FAB_AUTO_FREE int8_t *field = fab_calloc((size_t)fab_sy_count(size), SY_FIELD_BYTES);
    if (!field) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for distance fields");
    for (int f = 0; f < SY_FIELDS; f++) FAB_TRY(one_field(g, size, f, field, err));
    *out = field;
    field = NULL;
    return FAB_OK;
}

/* ---- depth ---- */

/* Values that share a surface: the parts of a vertebra, the lobes of the lungs. 0: no depth. */
static void groups(uint8_t group[256])
{
    static const char *const lungs[] = {"lung_*", NULL};
    for (int v = 0; v < 256; v++) {
        const int level = fab_sy_level_of(v);
        const char *name = fab_synth_name(v);
        group[v] = (uint8_t)v;
        if (level >= 0) group[v] = (uint8_t)fab_sy_body_of(level);
        else if (fab_sy_matches_any(name, lungs)) group[v] = 10;
    }
    group[SY_TORSO_FAT] = group[SY_SKIN_FAT] = group[SY_SKIN] = group[SY_MUSCLE] = 0;
    group[SY_SOFT] = group[SY_UNKNOWN] = 0;
}

/* Whether a voxel has a face neighbour of another group; the map's ends above and below do not
 * count. */
static bool at_surface(const fab_sy_grid *g, const uint8_t group[256], int64_t i, int z)
{
    const int64_t sy = g->size[0], sz = sy * g->size[1];
    const uint8_t *at = g->label + i, own = group[*at];
    const bool below = z > 0 && group[at[-sz]] != own;
    const bool above = z < g->size[2] - 1 && group[at[sz]] != own;
    return below || above || group[at[-1]] != own || group[at[1]] != own || group[at[-sy]] != own ||
           group[at[sy]] != own;
}

static void seed_depth(const fab_sy_grid *g, const uint8_t group[256], uint8_t *depth)
{
    const int nx = g->size[0], ny = g->size[1];
    int64_t i = 0;
    for (int z = 0; z < g->size[2]; z++)
        for (int y = 0; y < ny; y++)
            for (int x = 0; x < nx; x++, i++) {
                if (!group[g->label[i]]) continue;
                const bool side = x == 0 || y == 0 || x == nx - 1 || y == ny - 1;
                depth[i] = !side && at_surface(g, group, i, z) ? 2 : 255;
            }
}

enum { BEFORE = 13 }; /* neighbours that a sweep has passed */

static void neighbours(const fab_sy_grid *g, int64_t offset[BEFORE], int weight[BEFORE])
{
    for (int k = 0; k < BEFORE; k++) { /* -1 -1 -1 ... -1 0 0 of z y x, in order */
        const int dz = k / 9 - 1, dy = k / 3 % 3 - 1, dx = k % 3 - 1;
        offset[k] = ((int64_t)dz * g->size[1] + dy) * g->size[0] + dx;
        weight[k] = 2 + abs(dx) + abs(dy) + abs(dz);
    }
}

/* Chamfer distance (Borgefors 1986: 3, 4, 5) in one direction of the sweep. Neighbours of another
 * group need no care: between them and this voxel lies an edge voxel of this group. */
static void sweep(const fab_sy_grid *g, uint8_t *depth, int direction)
{
    int64_t offset[BEFORE];
    int weight[BEFORE];
    neighbours(g, offset, weight);
    const int64_t row = g->size[0], slice = row * g->size[1], all = slice * g->size[2];
    const int64_t margin = slice + row + 1;
    for (int64_t n = margin; n < all - margin; n++) {
        const int64_t i = direction > 0 ? n : all - 1 - n;
        int best = depth[i];
        if (best <= 2) continue;
        for (int k = 0; k < BEFORE; k++) {
            const int d = depth[i + direction * offset[k]];
            if (d && d + weight[k] < best) best = d + weight[k];
        }
        depth[i] = (uint8_t)best;
    }
}

fab_status fab_sy_depth(const fab_sy_grid *g, uint8_t **out, fab_error *err)
{
    uint8_t group[256];
    uint8_t *depth = fab_calloc((size_t)fab_sy_count(g->size), 1);
    if (!depth) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for depths");
    groups(group);
    seed_depth(g, group, depth);
    sweep(g, depth, 1);
    sweep(g, depth, -1);
    *out = depth;
    return FAB_OK;
}
