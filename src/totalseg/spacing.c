/* spacing.c - images to the networks' spacing and labels back, without copies of either: planes
 * are read where they lie and labels written where they belong. */
#include <math.h>
#include <string.h>

#include "spacing.h"
#include "zoom.h"

/* nibabel's closest canonical axes: the LPS ones with x and y turned round. */
fab_totalseg_view fab_totalseg_view_of(const fab_grid *g)
{
    fab_totalseg_view v;
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

/* Sizes as scipy rounds them: Python's round, halves to even. */
fab_grid fab_totalseg_grid_at(const fab_totalseg_view *v, const double mm[3])
{
    fab_grid g = {.size = {0, 0, 0}};
    for (int a = 0; a < 3; a++) {
        const double to = mm[a] > 0 ? mm[a] : v->spacing_mm[a];
        const int size = (int)nearbyint(v->size[a] * (v->spacing_mm[a] / to));
        g.size[2 - a] = size < 1 ? 1 : size;
        for (int r = 0; r < 3; r++) g.world_from_voxel.m[r][2 - a] = v->direction[a][r] * to;
    }
    for (int r = 0; r < 3; r++) g.world_from_voxel.m[r][3] = v->origin[r];
    return g;
}

typedef struct reading {
    const fab_volume *image;
    const fab_totalseg_view *view;
    bool cut;
} reading;

/* fab_zoom_source of a reading. */
static void read_plane(const void *ctx, int z, float *into)
{
    const reading *r = ctx;
    const fab_totalseg_view *v = r->view;
    for (int y = 0; y < v->size[1]; y++) {
        const int64_t row = v->start + z * v->step[0] + y * v->step[1];
        for (int x = 0; x < v->size[2]; x++) {
            const double value = fab_volume_at(r->image, row + x * v->step[2]);
            *into++ = (float)(r->cut ? trunc(value) : value);
        }
    }
}

static bool is_own_grid(const fab_totalseg_view *v, const fab_grid *at)
{
    double mm[3];
    fab_grid_spacing(at, mm);
    for (int a = 0; a < 3; a++)
        if (at->size[2 - a] != v->size[a] ||
            fabs(mm[2 - a] - v->spacing_mm[a]) > 1e-6 * v->spacing_mm[a])
            return false;
    return true;
}

fab_status fab_totalseg_to_grid(const fab_volume *image, const fab_totalseg_view *v,
                                const fab_grid *at, bool cut, fab_volume **out, fab_error *err)
{
    const int size[3] = {at->size[2], at->size[1], at->size[0]};
    const reading r = {image, v, cut};
    const fab_zoom_source source = {read_plane, &r};
    FAB_AUTO(fab_volume_unref) fab_volume *to = NULL;
    FAB_TRY(fab_volume_create(at, FAB_F32, &to, err));
    if (is_own_grid(v, at)) {
        float *into = fab_volume_data_mut(to);
        for (int z = 0; z < size[0]; z++, into += (ptrdiff_t)size[1] * size[2])
            read_plane(&r, z, into);
    } else FAB_TRY(fab_zoom_image(&source, v->size, 3, true, size, fab_volume_data_mut(to), err));
    *out = to;
    to = NULL;
    return FAB_OK;
}

size_t fab_totalseg_to_grid_bytes(const fab_totalseg_view *v, const fab_grid *at)
{
    const int size[3] = {at->size[2], at->size[1], at->size[0]};
    return fab_zoom_bytes(v->size, size) + (size_t)fab_grid_voxels(at) * sizeof(float);
}

/* ---- back --------------------------------------------------------------------------------- */

typedef struct back_job {
    const fab_totalseg_view *view;
    const uint16_t *from;
    const int32_t *size;    /* of the labels, x first */
    int32_t *nearest[3];    /* by axis of the view */
    uint8_t *narrow;        /* one of the two */
    uint16_t *wide;
} back_job;

static void back_plane(void *ctx, int64_t z, int worker)
{
    const back_job *job = ctx;
    const fab_totalseg_view *v = job->view;
    const ptrdiff_t width = job->size[0], height = job->size[1];
    (void)worker;
    for (int y = 0; y < v->size[1]; y++) {
        const uint16_t *row =
            job->from + (job->nearest[0][z] * height + job->nearest[1][y]) * width;
        const int64_t start = v->start + z * v->step[0] + y * v->step[1], step = v->step[2];
        const int32_t *x = job->nearest[2];
        if (job->narrow)
            for (int i = 0; i < v->size[2]; i++) job->narrow[start + i * step] = (uint8_t)row[x[i]];
        else
            for (int i = 0; i < v->size[2]; i++) job->wide[start + i * step] = row[x[i]];
    }
}

fab_status fab_totalseg_labels_back(const fab_volume *labels, const fab_totalseg_view *v,
                                    const fab_grid *grid, bool wide, fab_volume **out,
                                    fab_error *err)
{
    const int32_t *size = fab_volume_grid(labels)->size;
    back_job job = {.view = v, .from = fab_volume_data(labels), .size = size};
    FAB_AUTO(fab_volume_unref) fab_volume *back = NULL;
    FAB_AUTO_FREE int32_t *nearest = fab_alloc_array(
        (size_t)v->size[0] + (size_t)v->size[1] + (size_t)v->size[2], sizeof *nearest);
    if (!nearest) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to take labels back");
    FAB_TRY(fab_volume_create(grid, wide ? FAB_U16 : FAB_U8, &back, err));
    int32_t *at = nearest;
    for (int a = 0; a < 3; a++) {
        job.nearest[a] = at;
        fab_zoom_nearest(size[2 - a], v->size[a], at);
        at += v->size[a];
    }
    if (wide) job.wide = fab_volume_data_mut(back);
    else job.narrow = fab_volume_data_mut(back);
    fab_parallel_for(v->size[0], back_plane, &job);
    *out = back;
    back = NULL;
    return FAB_OK;
}
