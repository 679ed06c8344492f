/* resample.c - sampling a volume at the voxel centres of another grid. */
#include "volume_internal.h"

typedef struct resample_job {
    const fab_volume *from;
    fab_volume *to;
    fab_mat34 from_voxel_of_to; /* from's voxel coordinates of to's voxel */
    fab_interpolation how;
    double outside;
} resample_job;

static inline bool inside_box(const fab_grid *g, const double p[3])
{
    for (int a = 0; a < 3; a++)
        if (!(p[a] >= -0.5 && p[a] <= g->size[a] - 0.5)) return false;
    return true;
}

static inline double clamp_coordinate(double x, int32_t size)
{
    return x > 0 ? x < size - 1 ? x : size - 1 : 0;
}

static inline double sample_nearest(const fab_volume *v, fab_dtype t, const double p[3])
{
    const int32_t *n = v->grid.size;
    int64_t i = (int64_t)(clamp_coordinate(p[0], n[0]) + 0.5);
    int64_t j = (int64_t)(clamp_coordinate(p[1], n[1]) + 0.5);
    int64_t k = (int64_t)(clamp_coordinate(p[2], n[2]) + 0.5);
    return fab_volume_load_(t, v->data, i + n[0] * (j + n[1] * k));
}

static inline double sample_linear(const fab_volume *v, fab_dtype t, const double p[3])
{
    const int32_t *n = v->grid.size;
    int64_t base[3], next[3], stride[3] = {1, n[0], (int64_t)n[0] * n[1]};
    double f[3];
    for (int a = 0; a < 3; a++) {
        double x = clamp_coordinate(p[a], n[a]);
        int64_t low = (int64_t)x;
        f[a] = x - (double)low;
        base[a] = low * stride[a];
        next[a] = low + 1 < n[a] ? stride[a] : 0;
    }
    int64_t at = base[0] + base[1] + base[2];
    double line[4];
    for (int c = 0; c < 4; c++) {
        int64_t from = at + (c & 1 ? next[1] : 0) + (c & 2 ? next[2] : 0);
        double a = fab_volume_load_(t, v->data, from);
        double b = fab_volume_load_(t, v->data, from + next[0]);
        line[c] = a + f[0] * (b - a);
    }
    double low = line[0] + f[1] * (line[1] - line[0]), high = line[2] + f[1] * (line[3] - line[2]);
    return low + f[2] * (high - low);
}

/* Inlined once a type, so that no sample asks for it. */
static inline __attribute__((always_inline)) void resample_as(const resample_job *job, int64_t row,
                                                              fab_dtype t)
{
    const int32_t *size = job->to->grid.size;
    const double(*m)[4] = job->from_voxel_of_to.m;
    int64_t j = row % size[1], k = row / size[1], at = row * size[0];
    for (int32_t i = 0; i < size[0]; i++, at++) {
        double p[3];
        for (int a = 0; a < 3; a++)
            p[a] = m[a][0] * i + m[a][1] * (double)j + m[a][2] * (double)k + m[a][3];
        double value = job->outside;
        if (inside_box(&job->from->grid, p))
            value = job->how == FAB_NEAREST ? sample_nearest(job->from, t, p)
                                            : sample_linear(job->from, t, p);
        fab_volume_store_(t, job->to->data, at, value);
    }
}

static void resample_row(void *ctx, int64_t row, int worker)
{
    (void)worker;
    const resample_job *job = ctx;
    switch (job->from->dtype) { /* each its own loop */
    case FAB_U8: resample_as(job, row, FAB_U8); break;
    case FAB_I16: resample_as(job, row, FAB_I16); break;
    case FAB_U16: resample_as(job, row, FAB_U16); break;
    case FAB_I32: resample_as(job, row, FAB_I32); break;
    case FAB_F32: resample_as(job, row, FAB_F32); break;
    }
}

fab_status fab_volume_resample(const fab_volume *v, const fab_grid *to, fab_interpolation how,
                               double outside, fab_volume **out, fab_error *err)
{
    fab_mat34 voxel_from_world;
    FAB_TRY(fab_mat34_invert(&v->grid.world_from_voxel, &voxel_from_world, err));
    fab_volume *r = NULL;
    FAB_TRY(fab_volume_create(to, v->dtype, &r, err));
    resample_job job = {v, r, fab_mat34_multiply(&voxel_from_world, &to->world_from_voxel), how,
                        outside};
    fab_parallel_for((int64_t)to->size[1] * to->size[2], resample_row, &job);
    *out = r;
    return FAB_OK;
}
