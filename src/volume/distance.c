/* distance.c - exact Euclidean distance transform, one lower envelope of parabolas a line
 * (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012). */
#include <float.h>
#include <math.h>
#include <string.h>

#include "volume_internal.h"

typedef struct edt_job {
    float *data; /* squared distance, FLT_MAX where none yet */
    int32_t size[3];
    int axis;
    double spacing;
    size_t longest;
    double *values;   /* per worker: longest */
    double *bounds;   /* per worker: longest + 1 */
    int32_t *centres; /* per worker: longest */
} edt_job;

/* In place on one strided line; all arithmetic in millimetres. */
static void edt_line(const edt_job *job, float *line, int64_t stride, int worker)
{
    int n = job->size[job->axis];
    double h = job->spacing;
    double *f = job->values + (size_t)worker * job->longest;
    double *z = job->bounds + (size_t)worker * (job->longest + 1);
    int32_t *v = job->centres + (size_t)worker * job->longest;
    int top = -1;
    for (int q = 0; q < n; q++) {
        f[q] = (double)line[q * stride];
        if (f[q] >= (double)FLT_MAX) continue;
        double s = -INFINITY;
        while (top >= 0) {
            double dq = q * h, dv = v[top] * h;
            s = (f[q] + dq * dq - f[v[top]] - dv * dv) / (2 * (dq - dv));
            if (s > z[top]) break;
            top--;
            s = -INFINITY;
        }
        v[++top] = q;
        z[top] = s;
    }
    if (top < 0) return;
    z[top + 1] = INFINITY;
    for (int q = 0, k = 0; q < n; q++) {
        while (z[k + 1] < q * h) k++;
        double d = (q - v[k]) * h;
        line[q * stride] = (float)(d * d + f[v[k]]);
    }
}

static void edt_block(void *ctx, int64_t block, int worker)
{
    const edt_job *job = ctx;
    const int32_t *n = job->size;
    int64_t plane = (int64_t)n[0] * n[1];
    if (job->axis == 0)
        for (int32_t j = 0; j < n[1]; j++)
            edt_line(job, job->data + block * plane + (int64_t)j * n[0], 1, worker);
    else if (job->axis == 1)
        for (int32_t i = 0; i < n[0]; i++)
            edt_line(job, job->data + block * plane + i, n[0], worker);
    else
        for (int32_t i = 0; i < n[0]; i++)
            edt_line(job, job->data + block * n[0] + i, plane, worker);
}

static fab_status transform(fab_volume *v, fab_error *err)
{
    edt_job job = {.data = v->data};
    memcpy(job.size, v->grid.size, sizeof job.size);
    for (int a = 0; a < 3; a++)
        if ((size_t)job.size[a] > job.longest) job.longest = (size_t)job.size[a];
    size_t workers = (size_t)fab_threads_get();
    FAB_AUTO_FREE double *values = fab_alloc_array(workers * job.longest, sizeof *values);
    FAB_AUTO_FREE double *bounds = fab_alloc_array(workers * (job.longest + 1), sizeof *bounds);
    FAB_AUTO_FREE int32_t *centres = fab_alloc_array(workers * job.longest, sizeof *centres);
    if (!values || !bounds || !centres)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a distance transform");
    job.values = values;
    job.bounds = bounds;
    job.centres = centres;
    double spacing[3];
    fab_grid_spacing(&v->grid, spacing);
    for (job.axis = 0; job.axis < 3; job.axis++) {
        job.spacing = spacing[job.axis];
        fab_parallel_for(job.axis == 2 ? job.size[1] : job.size[2], edt_block, &job);
    }
    return FAB_OK;
}

fab_status fab_labels_distance(const fab_volume *labels, int value, bool inside, fab_volume **out,
                               fab_error *err)
{
    FAB_TRY(fab_volume_need_labels_(labels, err));
    FAB_AUTO(fab_volume_unref) fab_volume *r = NULL;
    FAB_TRY(fab_volume_create(&labels->grid, FAB_F32, &r, err));
    float *data = r->data;
    int64_t count = fab_grid_voxels(&labels->grid);
    for (int64_t i = 0; i < count; i++) {
        bool target = (fab_volume_label_(labels, i) == value) != inside;
        data[i] = target ? 0 : FLT_MAX;
    }
    FAB_TRY(transform(r, err));
    for (int64_t i = 0; i < count; i++)
        if (data[i] < FLT_MAX) data[i] = sqrtf(data[i]);
    *out = r;
    r = NULL;
    return FAB_OK;
}
