/* density.c - mean HU of the trabecular bone in the front of the body: an ellipsoid well inside
 * the cortex, in front of the basivertebral veins, as opportunistic screening places its ROI
 * (Pickhardt et al. 2013). The image may have any grid. */
#include "measure_internal.h"

/* Shares of width, depth and height of the body: half axes, and how far in front of its middle. */
static const double HALF[3] = {0.30, 0.22, 0.26}, FORWARD = 0.13;

typedef struct roi { me_frame f; double half[3]; } roi;

static bool inside(const roi *r, me_vec w)
{
    me_vec p = me_local(&r->f, w);
    double x = p.x / r->half[0], y = p.y / r->half[1], z = p.z / r->half[2];
    return x * x + y * y + z * z <= 1;
}

static void voxel_box(const roi *r, const fab_grid *g, const fab_mat34 *voxel_from_world,
                      int32_t low[3], int32_t high[3])
{
    double least[3] = {1e9, 1e9, 1e9}, most[3] = {-1e9, -1e9, -1e9};
    for (int c = 0; c < 8; c++) {
        double w[3], q[3];
        me_to(me_world(&r->f, c & 1 ? r->half[0] : -r->half[0], c & 2 ? r->half[1] : -r->half[1],
                       c & 4 ? r->half[2] : -r->half[2]), w);
        fab_mat34_apply(voxel_from_world, w, q);
        for (int a = 0; a < 3; a++) least[a] = fmin(least[a], q[a]), most[a] = fmax(most[a], q[a]);
    }
    for (int a = 0; a < 3; a++) {
        low[a] = (int32_t)fmax(0, floor(least[a]));
        high[a] = (int32_t)fmin(g->size[a] - 1, ceil(most[a]));
    }
}

void fab_me_density(const me_mask *m, const fab_volume *image, fab_vertebra *v)
{
    const fab_grid *g = fab_volume_grid(image);
    fab_mat34 back;
    int32_t low[3], high[3];
    if (fab_mat34_invert(&g->world_from_voxel, &back, NULL) < 0) return;
    me_frame f = fab_me_frame(me_from(v->centre), me_from(v->up), me_from(v->back));
    double height = fmin(v->height_middle_mm, fmin(v->height_front_mm, v->height_back_mm));
    roi r = {f, {HALF[0] * v->width_mm, HALF[1] * v->depth_mm, HALF[2] * height}};
    r.f.o = me_world(&f, 0, -FORWARD * v->depth_mm, 0);
    voxel_box(&r, g, &back, low, high);
    double sum = 0, square = 0;
    int64_t n = 0;
    for (int32_t k = low[2]; k <= high[2]; k++)
        for (int32_t j = low[1]; j <= high[1]; j++)
            for (int32_t i = low[0]; i <= high[0]; i++) {
                double at[3] = {i, j, k}, w[3];
                fab_mat34_apply(&g->world_from_voxel, at, w);
                if (!inside(&r, me_from(w)) || fab_me_at(m, me_from(w)) < 0.5) continue;
                double hu = fab_volume_get(image, i, j, k);
                sum += hu, square += hu * hu, n++;
            }
    v->hu_voxels = n;
    if (n < 8) return;
    v->hu_mean = sum / (double)n;
    v->hu_sd = sqrt(fmax(0, square / (double)n - v->hu_mean * v->hu_mean));
}
