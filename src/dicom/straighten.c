/* straighten.c - slices that lean or follow unevenly, sampled on an orthogonal grid.
 *
 * The target's planes are parallel to the slices. A target voxel x lies between two slices a and b
 * (or on one); in each it is at a fractional place, found by the slice's own position:
 *
 *     i = (x - p_a) . u / du,   j = (x - p_a) . v / dv      bilinear inside the slice
 *     value = (1 - t) f_a + t f_b                           t: where x is between a and b along n
 *
 * For gantry tilt every target plane is a slice's plane (t = 0): nothing is mixed across slices.
 */
#include <math.h>
#include <string.h>

#include "dicom_internal.h"

typedef struct straighten_job {
    const fab_volume *from;
    fab_volume *to;
    void *out;
    double (*position)[3];
    double u[3], v[3], n[3], du, dv, dn;
    double outside;
} straighten_job;

static double dot3(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static double unit_column(const fab_mat34 *m, int column, double unit[3])
{
    for (int i = 0; i < 3; i++) unit[i] = m->m[i][column];
    double length = sqrt(dot3(unit, unit));
    for (int i = 0; i < 3; i++) unit[i] /= length;
    return length;
}

static double voxel(const straighten_job *job, int32_t i, int32_t j, size_t k)
{
    const int32_t *size = fab_volume_grid(job->from)->size;
    size_t at = ((size_t)k * (size_t)size[1] + (size_t)j) * (size_t)size[0] + (size_t)i;
    const void *data = fab_volume_data(job->from);
    return fab_volume_dtype(job->from) == FAB_I16 ? (double)((const int16_t *)data)[at]
                                                  : (double)((const float *)data)[at];
}

/* Bilinear in slice k at a fractional place; false if more than half a voxel outside. */
static bool sample(const straighten_job *job, double x, double y, size_t k, double *value)
{
    const int32_t *size = fab_volume_grid(job->from)->size;
    if (!(x > -0.5 && y > -0.5 && x < size[0] - 0.5 && y < size[1] - 0.5)) return false;
    x = fmin(fmax(x, 0), size[0] - 1);
    y = fmin(fmax(y, 0), size[1] - 1);
    int32_t i = (int32_t)x, j = (int32_t)y;
    int32_t i1 = i + 1 < size[0] ? i + 1 : i, j1 = j + 1 < size[1] ? j + 1 : j;
    double a = x - i, b = y - j;
    *value = (1 - b) * ((1 - a) * voxel(job, i, j, k) + a * voxel(job, i1, j, k)) +
             b * ((1 - a) * voxel(job, i, j1, k) + a * voxel(job, i1, j1, k));
    return true;
}

/* The slices around a plane at `along` (from the first slice), and the weight of the upper one. */
static void bracket(const straighten_job *job, double along, size_t *low, double *weight)
{
    size_t count = (size_t)fab_volume_grid(job->from)->size[2], k = 0;
    double here = 0, next = 0;
    for (k = 0; k + 2 < count; k++) {
        double d[3];
        for (int i = 0; i < 3; i++) d[i] = job->position[k + 1][i] - job->position[0][i];
        next = dot3(d, job->n);
        if (next > along) break;
        here = next;
    }
    double d[3];
    for (int i = 0; i < 3; i++) d[i] = job->position[k + 1][i] - job->position[0][i];
    next = dot3(d, job->n);
    *low = k;
    *weight = fmin(fmax((along - here) / (next - here), 0), 1);
    /* the plane of a slice is that slice's alone: 1e-4 of a step is rounding */
    if (*weight < 1e-4) *weight = 0;
    if (*weight > 1 - 1e-4) *weight = 1;
}

static void store(straighten_job *job, size_t at, double value)
{
    if (fab_volume_dtype(job->to) == FAB_I16) ((int16_t *)job->out)[at] = (int16_t)lround(value);
    else ((float *)job->out)[at] = (float)value;
}

static void straighten_plane(void *ctx, int64_t plane, int worker)
{
    straighten_job *job = ctx;
    const fab_grid *g = fab_volume_grid(job->to);
    size_t low = 0, row = (size_t)g->size[0], slice = row * (size_t)g->size[1];
    double weight = 0, corner[3] = {0, 0, (double)plane}, x[2], y[2];
    (void)worker;
    fab_mat34_apply(&g->world_from_voxel, corner, corner);
    double d[3];
    for (int i = 0; i < 3; i++) d[i] = corner[i] - job->position[0][i];
    bracket(job, dot3(d, job->n), &low, &weight);
    for (size_t s = 0; s < 2; s++) {
        for (int i = 0; i < 3; i++) d[i] = corner[i] - job->position[low + s][i];
        x[s] = dot3(d, job->u) / job->du;
        y[s] = dot3(d, job->v) / job->dv;
    }
    for (int32_t j = 0; j < g->size[1]; j++)
        for (int32_t i = 0; i < g->size[0]; i++) {
            double a = 0, b = 0;
            bool fine = weight >= 1 || sample(job, x[0] + i, y[0] + j, low, &a);
            fine = fine && (weight <= 0 || sample(job, x[1] + i, y[1] + j, low + 1, &b));
            double value = fine ? (1 - weight) * a + weight * b : job->outside;
            store(job, slice * (size_t)plane + row * (size_t)j + (size_t)i, value);
        }
}

fab_status fab_dicom_straighten(const fab_volume *slices, double (*position)[3],
                                const fab_grid *target, double outside, fab_volume **out,
                                fab_error *err)
{
    fab_volume *to = NULL;
    FAB_TRY(fab_volume_create(target, fab_volume_dtype(slices), &to, err));
    straighten_job job = {.from = slices, .to = to, .out = fab_volume_data_mut(to),
                          .position = position, .outside = outside};
    job.du = unit_column(&target->world_from_voxel, 0, job.u);
    job.dv = unit_column(&target->world_from_voxel, 1, job.v);
    job.dn = unit_column(&target->world_from_voxel, 2, job.n);
    fab_parallel_for(target->size[2], straighten_plane, &job);
    *out = to;
    return FAB_OK;
}
