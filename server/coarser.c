/* coarser.c - the grid of a coarser level, and the mean of the voxels that each of its voxels
 * covers. Sampling at points instead would let thin bone appear and vanish from voxel to voxel.
 *
 *     native   |  a  |  b  |  c  |  d  |        box of one coarse voxel: weights are the shares
 *     coarse   |      o      |      p  ...      of a, b, c that lie in it
 *
 * Along an axis that the coarse grid refines (thick slices) it is linear between centres. */
#include "server_internal.h"

#include <math.h>
#include <stdlib.h>

fab_grid fab_levels_grid(const fab_grid *native, int side)
{
    double spacing_mm[3], extent_mm[3], want_mm = 0, finest_mm = 1e30;
    fab_grid g = *native;
    fab_grid_spacing(native, spacing_mm);
    if (side <= 0) return g;
    for (int a = 0; a < 3; a++) {
        extent_mm[a] = spacing_mm[a] * native->size[a];
        if (extent_mm[a] / side > want_mm) want_mm = extent_mm[a] / side;
        if (spacing_mm[a] < finest_mm) finest_mm = spacing_mm[a];
    }
    if (want_mm < finest_mm) want_mm = finest_mm;
    for (int a = 0; a < 3; a++) {
        int n = (int)lround(extent_mm[a] / want_mm);
        g.size[a] = n < 1 ? 1 : n > side ? side : n;
        double ratio = (double)native->size[a] / g.size[a];
        for (int r = 0; r < 3; r++) { /* the same box: its corner stays */
            double column = native->world_from_voxel.m[r][a];
            g.world_from_voxel.m[r][a] = column * ratio;
            g.world_from_voxel.m[r][3] += 0.5 * (ratio - 1) * column;
        }
    }
    return g;
}

/* Weights of one axis: voxel o takes native voxels first[o] .. first[o] + count[o] - 1. */
typedef struct axis {
    int *first, *count;
    float *weight; /* most of them for each o */
    int most;
} axis;

static void axis_free(axis *a)
{
    a->first = fab_free(a->first);
    a->count = fab_free(a->count);
    a->weight = fab_free(a->weight);
}

static void cover(axis *a, int o, int from, double ratio)
{
    double low = o * ratio, high = low + ratio;
    int first = (int)floor(low), last = (int)ceil(high) - 1;
    if (last >= from) last = from - 1;
    if (first > last) first = last;
    a->first[o] = first;
    a->count[o] = last - first + 1;
    for (int i = first; i <= last; i++) {
        double share = fmin(high, i + 1) - fmax(low, i);
        a->weight[o * a->most + i - first] = (float)(fmax(share, 0) / ratio);
    }
}

static void between(axis *a, int o, int from, double ratio)
{
    double at = fmin(fmax((o + 0.5) * ratio - 0.5, 0), from - 1);
    int first = (int)at;
    if (first > from - 2) first = from > 1 ? from - 2 : 0;
    a->first[o] = first;
    a->count[o] = from > 1 ? 2 : 1;
    a->weight[o * a->most] = from > 1 ? (float)(1 - (at - first)) : 1;
    if (from > 1) a->weight[o * a->most + 1] = (float)(at - first);
}

static fab_status axis_make(axis *a, int from, int to, fab_error *err)
{
    double ratio = (double)from / to;
    a->most = (int)ceil(ratio) + 2;
    a->first = fab_alloc_array((size_t)to, sizeof *a->first);
    a->count = fab_alloc_array((size_t)to, sizeof *a->count);
    a->weight = fab_calloc((size_t)to * (size_t)a->most, sizeof *a->weight);
    if (!a->first || !a->count || !a->weight) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (int o = 0; o < to; o++) {
        if (ratio >= 1) cover(a, o, from, ratio);
        else between(a, o, from, ratio);
    }
    return FAB_OK;
}

typedef struct averaging {
    const int16_t *from;
    int16_t *to;
    const int32_t *from_size, *to_size;
    axis axes[3];
    float *plane; /* a worker: one native plane, then one row of it made coarse along j */
    size_t plane_floats;
} averaging;

/* The weighted sum of the native planes below one coarse plane. */
static void add_planes(const averaging *w, int k, float *plane)
{
    size_t count = (size_t)w->from_size[0] * (size_t)w->from_size[1];
    const axis *z = &w->axes[2];
    for (int p = 0; p < z->count[k]; p++) {
        const int16_t *from = w->from + (size_t)(z->first[k] + p) * count;
        float weight = z->weight[k * z->most + p];
        if (p == 0) for (size_t i = 0; i < count; i++) plane[i] = weight * from[i];
        else for (size_t i = 0; i < count; i++) plane[i] += weight * from[i];
    }
}

static void coarse_row(const averaging *w, const float *plane, int j, float *row, int16_t *to)
{
    const axis *x = &w->axes[0], *y = &w->axes[1];
    int width = w->from_size[0];
    for (int i = 0; i < width; i++) row[i] = 0;
    for (int p = 0; p < y->count[j]; p++) {
        const float *from = plane + (size_t)(y->first[j] + p) * (size_t)width;
        float weight = y->weight[j * y->most + p];
        for (int i = 0; i < width; i++) row[i] += weight * from[i];
    }
    for (int o = 0; o < w->to_size[0]; o++) {
        float sum = 0;
        for (int p = 0; p < x->count[o]; p++)
            sum += x->weight[o * x->most + p] * row[x->first[o] + p];
        to[o] = (int16_t)lrintf(fminf(fmaxf(sum, -32768.0F), 32767.0F));
    }
}

static void coarse_plane(void *ctx, int64_t k, int worker)
{
    const averaging *w = ctx;
    float *plane = w->plane + (size_t)worker * w->plane_floats;
    float *row = plane + (size_t)w->from_size[0] * (size_t)w->from_size[1];
    int16_t *to = w->to + (size_t)k * (size_t)w->to_size[0] * (size_t)w->to_size[1];
    add_planes(w, (int)k, plane);
    for (int j = 0; j < w->to_size[1]; j++)
        coarse_row(w, plane, j, row, to + (size_t)j * (size_t)w->to_size[0]);
}

static fab_status average(averaging *w, fab_error *err)
{
    for (int a = 0; a < 3; a++)
        FAB_TRY(axis_make(&w->axes[a], w->from_size[a], w->to_size[a], err));
    w->plane_floats = (size_t)w->from_size[0] * ((size_t)w->from_size[1] + 1);
    w->plane = fab_alloc_array(w->plane_floats * (size_t)fab_threads_get(), sizeof *w->plane);
    if (!w->plane) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory for a coarser volume");
    fab_parallel_for(w->to_size[2], coarse_plane, w);
    return FAB_OK;
}

fab_status fab_levels_average(const fab_volume *v, const fab_grid *to, fab_volume **out,
                              fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *made = NULL;
    if (fab_volume_dtype(v) != FAB_I16) FAB_FAIL(err, FAB_ERR_ARG, "only 16-bit voxels");
    FAB_TRY(fab_volume_create(to, FAB_I16, &made, err));
    averaging w = {.from = fab_volume_data(v), .to = fab_volume_data_mut(made),
                   .from_size = fab_volume_grid(v)->size, .to_size = to->size};
    fab_status status = average(&w, err);
    for (int a = 0; a < 3; a++) axis_free(&w.axes[a]);
    fab_free(w.plane);
    FAB_TRY(status);
    *out = made;
    made = NULL;
    return FAB_OK;
}
