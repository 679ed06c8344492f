/* preprocess.c - the image as the network wants it: reordered, resampled, clipped, normalised. */
#include <math.h>
#include <string.h>

#include "segment_internal.h"

typedef struct resample_job {
    const fab_model *model;
    const void *data;
    fab_dtype dtype;
    const fab_view *view;
    fab_axis axis[3];
    const int *size, *padded, *low;
    float *slices; /* one image slice a worker, then one row a worker */
    float *rows;
    float *out;
} resample_job;

fab_status fab_network_size(const fab_model *m, const fab_view *view, int size[3], fab_error *err)
{
    for (int a = 0; a < 3; a++) {
        const double n = ceil(view->size[a] * view->spacing_mm[a] / m->spacing_mm[a] - 1e-6);
        if (n > FAB_MAX_DIM)
            FAB_FAIL(err, FAB_ERR_LIMIT,
                     "the image is %.0f mm long, %d network voxels of %g mm at most",
                     view->size[a] * view->spacing_mm[a], FAB_MAX_DIM, m->spacing_mm[a]);
        size[a] = n < 1 ? 1 : (int)n;
    }
    return FAB_OK;
}

#define ADD_ROW(type)                                                                             \
    do {                                                                                          \
        const type *p = (const type *)job->data + at;                                             \
        for (int x = 0; x < n; x++) to[x] += weight * (float)p[x * step];                         \
    } while (0)

/* to[x] += weight * image(z, y, x) */
static void add_row(const resample_job *job, int z, int y, float weight, float *to)
{
    const fab_view *v = job->view;
    const int64_t at = v->start + z * v->step[0] + y * v->step[1], step = v->step[2];
    const int n = v->size[2];
    switch (job->dtype) {
    case FAB_U8: ADD_ROW(uint8_t); break;
    case FAB_I16: ADD_ROW(int16_t); break;
    case FAB_U16: ADD_ROW(uint16_t); break;
    case FAB_I32: ADD_ROW(int32_t); break;
    case FAB_F32: {
        const float *p = (const float *)job->data + at;
        for (int x = 0; x < n; x++) {
            const float hu = p[x * step]; /* what is no number counts as outside */
            to[x] += weight * (isfinite(hu) ? hu : (float)job->model->padding_hu);
        }
        break;
    }
    }
}

static float normalised(const fab_model *m, float hu)
{
    const float low = (float)m->clip_hu[0], high = (float)m->clip_hu[1];
    const float clipped = hu < low ? low : hu > high ? high : hu;
    return (clipped - (float)m->mean) / (float)m->std;
}

static void resample_plane(void *ctx, int64_t index, int worker)
{
    const resample_job *job = ctx;
    const fab_view *v = job->view;
    const int z = (int)index, width = v->size[2];
    const size_t slice_floats = (size_t)v->size[1] * (size_t)width;
    float *slice = job->slices + (size_t)worker * slice_floats;
    float *row = job->rows + (size_t)worker * (size_t)width;
    memset(slice, 0, slice_floats * sizeof *slice);
    for (int k = 0; k < job->axis[0].taps; k++) {
        const float w = job->axis[0].weight[(ptrdiff_t)z * job->axis[0].taps + k];
        for (int y = 0; w != 0.0f && y < v->size[1]; y++)
            add_row(job, job->axis[0].first[z] + k, y, w, slice + (ptrdiff_t)y * width);
    }
    for (int y = 0; y < job->size[1]; y++) {
        memset(row, 0, (size_t)width * sizeof *row);
        for (int k = 0; k < job->axis[1].taps; k++) {
            const float w = job->axis[1].weight[(ptrdiff_t)y * job->axis[1].taps + k];
            const float *from = slice + (ptrdiff_t)(job->axis[1].first[y] + k) * width;
            for (int x = 0; w != 0.0f && x < width; x++) row[x] += w * from[x];
        }
        float *to = job->out + (((ptrdiff_t)z + job->low[0]) * job->padded[1] + y + job->low[1]) *
                                   job->padded[2] + job->low[2];
        for (int x = 0; x < job->size[2]; x++) {
            float sum = 0;
            const float *w = job->axis[2].weight + (ptrdiff_t)x * job->axis[2].taps;
            const float *from = row + job->axis[2].first[x];
            for (int k = 0; k < job->axis[2].taps; k++) sum += w[k] * from[k];
            to[x] = normalised(job->model, sum);
        }
    }
}

static fab_status run(resample_job *job, fab_error *err)
{
    const fab_view *v = job->view;
    const size_t workers = (size_t)fab_threads_get();
    const size_t total = (size_t)job->padded[0] * (size_t)job->padded[1] * (size_t)job->padded[2];
    for (int a = 0; a < 3; a++)
        FAB_TRY(fab_axis_make(v->size[a], v->spacing_mm[a], job->size[a],
                              job->model->spacing_mm[a], true, &job->axis[a], err));
    job->slices = fab_alloc_array(workers * (size_t)v->size[1] * (size_t)v->size[2],
                                  sizeof *job->slices);
    job->rows = fab_alloc_array(workers * (size_t)v->size[2], sizeof *job->rows);
    job->out = fab_alloc_array(total, sizeof *job->out);
    if (!job->slices || !job->rows || !job->out)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to resample the image (%zu MiB)",
                 total * sizeof(float) >> 20);
    const float outside = normalised(job->model, (float)job->model->padding_hu);
    for (size_t i = 0; i < total; i++) job->out[i] = outside;
    fab_parallel_for(job->size[0], resample_plane, job);
    return FAB_OK;
}

fab_status fab_preprocess(const fab_model *m, const fab_volume *image, const fab_view *view,
                          const int size[3], const int padded[3], const int low[3], float **out,
                          fab_error *err)
{
    resample_job job = {.model = m, .data = fab_volume_data(image),
                        .dtype = fab_volume_dtype(image), .view = view, .size = size,
                        .padded = padded, .low = low};
    fab_status status = run(&job, err);
    for (int a = 0; a < 3; a++) fab_axis_free(&job.axis[a]);
    fab_free(job.slices);
    fab_free(job.rows);
    if (status < 0) {
        fab_free(job.out);
        return status;
    }
    *out = job.out;
    return FAB_OK;
}
