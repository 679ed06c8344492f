/* gaussian.c - separable Gaussian smoothing, edges clamped, float32. */
#include <math.h>
#include <string.h>

#include "volume_internal.h"

enum { MAX_RADIUS = 192 };

typedef struct blur_job {
    float *data;
    int32_t size[3];
    int axis, radius;
    float weight[MAX_RADIUS + 1];
    float *scratch; /* per worker: size[axis] + 2 * radius, times a block of lines */
    size_t scratch_floats;
} blur_job;

/* One line along job->axis, strided in place through the worker's scratch. */
static void blur_line(const blur_job *job, float *line, int64_t stride, float *padded)
{
    int n = job->size[job->axis], r = job->radius;
    for (int i = 0; i < n; i++) padded[r + i] = line[i * stride];
    for (int i = 0; i < r; i++) {
        padded[i] = padded[r];
        padded[r + n + i] = padded[r + n - 1];
    }
    for (int i = 0; i < n; i++) {
        const float *c = padded + r + i;
        float sum = job->weight[0] * c[0];
        for (int t = 1; t <= r; t++) sum += job->weight[t] * (c[-t] + c[t]);
        line[i * stride] = sum;
    }
}

static void blur_block(void *ctx, int64_t block, int worker)
{
    blur_job *job = ctx;
    float *padded = job->scratch + (size_t)worker * job->scratch_floats;
    const int32_t *n = job->size;
    int64_t plane = (int64_t)n[0] * n[1];
    if (job->axis == 0)
        for (int32_t j = 0; j < n[1]; j++)
            blur_line(job, job->data + block * plane + (int64_t)j * n[0], 1, padded);
    else if (job->axis == 1)
        for (int32_t i = 0; i < n[0]; i++)
            blur_line(job, job->data + block * plane + i, n[0], padded);
    else
        for (int32_t i = 0; i < n[0]; i++)
            blur_line(job, job->data + block * n[0] + i, plane, padded);
}

static fab_status blur_axis(fab_volume *v, int axis, double sigma, fab_error *err)
{
    blur_job job = {.data = v->data, .axis = axis, .radius = (int)ceil(3 * sigma)};
    memcpy(job.size, v->grid.size, sizeof job.size);
    if (job.radius > MAX_RADIUS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "Gaussian of sigma %g voxels, at most %g", sigma,
                 MAX_RADIUS / 3.0);
    double total = 0;
    for (int t = 0; t <= job.radius; t++)
        total += (t ? 2 : 1) * exp(-0.5 * t * t / (sigma * sigma));
    for (int t = 0; t <= job.radius; t++)
        job.weight[t] = (float)(exp(-0.5 * t * t / (sigma * sigma)) / total);
    job.scratch_floats = (size_t)job.size[axis] + 2 * (size_t)job.radius;
    FAB_AUTO_FREE float *scratch =
        fab_alloc_array((size_t)fab_threads_get() * job.scratch_floats, sizeof *scratch);
    if (!scratch) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for Gaussian smoothing");
    job.scratch = scratch;
    fab_parallel_for(axis == 2 ? job.size[1] : job.size[2], blur_block, &job);
    return FAB_OK;
}

fab_status fab_volume_gaussian(const fab_volume *v, const double sigma_voxels[3], fab_volume **out,
                               fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *r = NULL;
    FAB_TRY(fab_volume_convert(v, FAB_F32, &r, err));
    for (int axis = 0; axis < 3; axis++)
        if (sigma_voxels[axis] > 0) FAB_TRY(blur_axis(r, axis, sigma_voxels[axis], err));
    *out = r;
    r = NULL;
    return FAB_OK;
}
