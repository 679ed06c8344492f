/* resample.c - nnU-Net's resampling of images, at the speed of memory.
 *
 * What scikit-image's resize (mode "edge") makes through scipy's zoom: every axis is continued by
 * 12 repeated samples, turned into cubic B-spline coefficients and evaluated at
 * (k + 1/2) n/m - 1/2, in float64; the result is clipped to the range of the input. A
 * tensor-product spline is separable, so each slice across one axis is resampled inside as soon
 * as it is read, and what is left is one pass along that axis:
 *
 *     slice s of the source --> lines along q --> lines along p --> [s][new p][new q] float64
 *     [s] columns --> lines along s --> result
 *
 * FAB_SPLINE_LANES lines are filtered together. Where the spacing is very unequal, slices across
 * the coarse axis are clipped one by one and that axis takes the nearest slice.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "nnunet_internal.h"

#define LANES FAB_SPLINE_LANES
#define ANISOTROPY 3.0 /* nnU-Net's ANISO_THRESHOLD */

typedef struct axis_taps {
    int n, m, order, pad, taps; /* taps 0: n equals m, nothing to do */
    int32_t *first;             /* [m] into the padded line */
    double *weight;             /* [m][taps] */
} axis_taps;

typedef struct resample_job {
    const fab_nnunet_source *from;
    const fab_nnunet_kernels *kernels;
    int axis[3];          /* [0] is sliced across, [1] and [2] lie in the slice */
    axis_taps taps[3];    /* by place in `axis` */
    ptrdiff_t step[3];    /* of the result, by place in `axis` */
    bool separate;        /* slices have their own range */
    bool nearest;         /* and are copied along axis[0] */
    size_t worker_floats, worker_doubles;
    size_t done_at, half_at, whole_at; /* in a worker's scratch: see job_memory */
    float *planes;        /* worker: the slice as read */
    double *scratch;      /* worker: lines, results of lines, slice after q, slice after p */
    double *between;      /* [n0][m1][m2]; NULL if slices go straight to the result */
    float *range;         /* [n0][2] */
    float *into;
} resample_job;

double fab_nnunet_coordinate(int k, int n, int m)
{
    return ((double)n / m) * (k + 0.5) - 0.5;
}

int fab_nnunet_nearest(int k, int n, int m)
{
    const double x = fmin(fmax(fab_nnunet_coordinate(k, n, m), 0.0), n - 1.0);
    const int i = (int)floor(x + 0.5);
    return i < n ? i : n - 1;
}

static bool anisotropic(const double spacing_mm[3])
{
    const double high = fmax(fmax(spacing_mm[0], spacing_mm[1]), spacing_mm[2]);
    const double low = fmin(fmin(spacing_mm[0], spacing_mm[1]), spacing_mm[2]);
    return high / low > ANISOTROPY;
}

/* The one axis of the largest spacing; -1 if several share it. */
static int coarse_axis(const double spacing_mm[3])
{
    const double high = fmax(fmax(spacing_mm[0], spacing_mm[1]), spacing_mm[2]);
    int axis = -1;
    for (int a = 0; a < 3; a++) {
        if (spacing_mm[a] != high) continue;
        if (axis >= 0) return -1;
        axis = a;
    }
    return axis;
}

int fab_nnunet_separate_axis(const fab_nnunet_resampling *how, const double spacing_mm[3],
                             const double new_spacing_mm[3])
{
    if (how->separate_z == 0) return -1;
    if (how->separate_z == 1 || anisotropic(spacing_mm)) return coarse_axis(spacing_mm);
    return anisotropic(new_spacing_mm) ? coarse_axis(new_spacing_mm) : -1;
}

/* scipy's get_spline_interpolation_weights for order 3; x counts from the first of four knots. */
static void cubic_weights(double x, double w[4])
{
    const double y = x, z = 1.0 - x;
    w[1] = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0;
    w[2] = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0;
    w[0] = z * z * z / 6.0;
    w[3] = 1.0 - w[0] - w[1] - w[2];
}

static fab_status taps_make(int n, int m, int order, axis_taps *t, fab_error *err)
{
    *t = (axis_taps){.n = n, .m = m, .order = order};
    if (n == m) return FAB_OK;
    t->pad = order == 3 ? FAB_SPLINE_PAD : 1;
    t->taps = order == 3 ? 4 : 2;
    t->first = fab_alloc_array((size_t)m, sizeof *t->first);
    t->weight = fab_alloc_array((size_t)m * (size_t)t->taps, sizeof *t->weight);
    if (!t->first || !t->weight) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d spline weights", m);
    for (int k = 0; k < m; k++) {
        double x = fab_nnunet_coordinate(k, n, m), *w = t->weight + (ptrdiff_t)k * t->taps;
        if (order != 3) x = fmin(fmax(x, 0.0), n - 1.0);
        if (order == 3) x += t->pad; /* before the fraction is taken, as scipy does */
        const double knot = floor(order == 0 ? x + 0.5 : x);
        t->first[k] = (int32_t)knot + (order == 3 ? -1 : t->pad);
        if (order == 3) cubic_weights(x - knot, w);
        else {
            w[0] = order == 0 ? 1.0 : 1.0 - (x - knot);
            w[1] = 1.0 - w[0];
        }
    }
    return FAB_OK;
}

/* Repeats the ends of [n][LANES] lines that start at `lines` + pad samples. */
static void pad_lines(const axis_taps *t, double *lines)
{
    const size_t sample = LANES * sizeof *lines;
    double *last = lines + (ptrdiff_t)(t->pad + t->n - 1) * LANES;
    for (int i = 0; i < t->pad; i++) {
        memcpy(lines + (ptrdiff_t)i * LANES, lines + (ptrdiff_t)t->pad * LANES, sample);
        memcpy(last + (ptrdiff_t)(i + 1) * LANES, last, sample);
    }
}

/* Padded samples in `lines`; results in `done` [m][LANES]. */
static void resample_lines(const resample_job *job, const axis_taps *t, double *lines,
                           double *done)
{
    pad_lines(t, lines);
    if (t->order == 3) job->kernels->spline_filter(lines, t->n + 2 * t->pad);
    job->kernels->combine(lines, t->first, t->weight, t->taps, t->m, done);
}

static int lanes_at(int at, int count) /* a block's lines: the last block may have fewer */
{
    return count - at < LANES ? count - at : LANES;
}

/* Lines of the slice along its second axis: [n1][n2] float to [n1][m2] double. */
static void along_rows(const resample_job *job, const float *plane, double *lines, double *done,
                       double *to)
{
    const axis_taps *t = &job->taps[2];
    const int rows = job->taps[1].n;
    if (!t->taps) {
        for (ptrdiff_t i = 0; i < (ptrdiff_t)rows * t->n; i++) to[i] = plane[i];
        return;
    }
    double *samples = lines + (ptrdiff_t)t->pad * LANES;
    for (int r = 0; r < rows; r += LANES) {
        const int count = lanes_at(r, rows);
        for (int l = 0; l < LANES; l++) {
            const float *row = plane + (ptrdiff_t)(r + (l < count ? l : 0)) * t->n;
            for (int i = 0; i < t->n; i++) samples[(ptrdiff_t)i * LANES + l] = row[i];
        }
        resample_lines(job, t, lines, done);
        for (int l = 0; l < count; l++) {
            double *row = to + (ptrdiff_t)(r + l) * t->m;
            for (int k = 0; k < t->m; k++) row[k] = done[(ptrdiff_t)k * LANES + l];
        }
    }
}

/* Columns of a block: sample i of lane l is from[i * step + l]. */
static void gather_columns(const axis_taps *t, const double *from, ptrdiff_t step, int count,
                           double *samples)
{
    for (int i = 0; i < t->n; i++, samples += LANES)
        for (int l = 0; l < LANES; l++) samples[l] = from[i * step + (l < count ? l : 0)];
}

/* Lines of the slice along its first axis: [n1][m2] to [m1][m2]. */
static void along_columns(const resample_job *job, const double *from, double *lines, double *done,
                          double *to)
{
    const axis_taps *t = &job->taps[1];
    const int width = job->taps[2].m;
    if (!t->taps) {
        memcpy(to, from, (size_t)t->n * (size_t)width * sizeof *to);
        return;
    }
    for (int x = 0; x < width; x += LANES) {
        const int count = lanes_at(x, width);
        gather_columns(t, from + x, width, count, lines + (ptrdiff_t)t->pad * LANES);
        resample_lines(job, t, lines, done);
        for (int k = 0; k < t->m; k++)
            memcpy(to + (ptrdiff_t)k * width + x, done + (ptrdiff_t)k * LANES,
                   (size_t)count * sizeof *to);
    }
}

static void range_of(const float *v, size_t count, float range[2])
{
    float low = v[0], high = v[0];
    for (size_t i = 1; i < count; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    range[0] = low;
    range[1] = high;
}

/* A finished slice to place k of the result. */
static void store_slice(const resample_job *job, const double *slice, int k)
{
    const int rows = job->taps[1].m, width = job->taps[2].m;
    for (int r = 0; r < rows; r++) {
        float *to = job->into + k * job->step[0] + r * job->step[1];
        const double *from = slice + (ptrdiff_t)r * width;
        for (int x = 0; x < width; x++) to[x * job->step[2]] = (float)from[x];
    }
}

/* Samples [*from, *end) of m take sample s of n. */
static void taken_by(int s, int n, int m, int *from, int *end)
{
    int k = 0;
    while (k < m && fab_nnunet_nearest(k, n, m) < s) k++;
    *from = k;
    while (k < m && fab_nnunet_nearest(k, n, m) == s) k++;
    *end = k;
}

static void clip(double *v, size_t count, const float range[2])
{
    const double low = range[0], high = range[1];
    for (size_t i = 0; i < count; i++) v[i] = v[i] < low ? low : v[i] > high ? high : v[i];
}

static void resample_slice(void *ctx, int64_t index, int worker)
{
    const resample_job *job = ctx;
    const int s = (int)index, n = job->taps[0].n, m = job->taps[0].m;
    const size_t read = (size_t)job->taps[1].n * (size_t)job->taps[2].n;
    const size_t made = (size_t)job->taps[1].m * (size_t)job->taps[2].m;
    float *plane = job->planes + (size_t)worker * job->worker_floats;
    double *scratch = job->scratch + (size_t)worker * job->worker_doubles;
    double *half = scratch + job->half_at, *done = scratch + job->done_at;
    double *whole = job->between ? job->between + (size_t)s * made : scratch + job->whole_at;
    int k = s, end = s + 1; /* where in the result the slice goes, if it is not kept */
    if (job->nearest) taken_by(s, n, m, &k, &end);
    if (k == end) return;
    job->from->plane(job->from->ctx, job->axis[0], s, plane);
    range_of(plane, read, job->range + 2 * (ptrdiff_t)s);
    along_rows(job, plane, scratch, done, half);
    along_columns(job, half, scratch, done, whole);
    if (job->separate) clip(whole, made, job->range + 2 * (ptrdiff_t)s);
    for (; !job->between && k < end; k++) store_slice(job, whole, k);
}

/* The pass along axis[0], one row of the slices at a time. */
static void resample_across(void *ctx, int64_t index, int worker)
{
    const resample_job *job = ctx;
    const axis_taps *t = &job->taps[0];
    const int width = job->taps[2].m;
    const ptrdiff_t slice = (ptrdiff_t)job->taps[1].m * width;
    double *lines = job->scratch + (size_t)worker * job->worker_doubles;
    double *done = lines + job->done_at;
    for (int x = 0; x < width; x += LANES) {
        const int count = lanes_at(x, width);
        gather_columns(t, job->between + index * width + x, slice, count,
                       lines + (ptrdiff_t)t->pad * LANES);
        resample_lines(job, t, lines, done);
        for (int k = 0; k < t->m; k++)
            for (int l = 0; l < count; l++)
                job->into[k * job->step[0] + index * job->step[1] + (x + l) * job->step[2]] =
                    (float)done[(ptrdiff_t)k * LANES + l];
    }
}

/* Clips slice `index` of the result to the range of all. */
static void clip_slice(void *ctx, int64_t index, int worker)
{
    const resample_job *job = ctx;
    (void)worker;
    const float low = job->range[0], high = job->range[1];
    const size_t count = (size_t)job->taps[1].m * (size_t)job->taps[2].m;
    float *v = job->into + (size_t)index * count; /* any cut into equal parts will do */
    for (size_t i = 0; i < count; i++) v[i] = v[i] < low ? low : v[i] > high ? high : v[i];
}

static fab_status job_memory(resample_job *job, fab_error *err)
{
    const size_t workers = (size_t)fab_threads_get();
    const axis_taps *t = job->taps;
    size_t longest = 0;
    for (int a = 0; a < 3; a++) {
        const size_t n = (size_t)(t[a].n > t[a].m ? t[a].n : t[a].m);
        longest = longest > n ? longest : n;
    }
    const size_t made = (size_t)t[1].m * (size_t)t[2].m;
    job->worker_floats = (size_t)t[1].n * (size_t)t[2].n;
    job->done_at = (longest + 2 * FAB_SPLINE_PAD) * LANES;
    job->half_at = job->done_at + longest * LANES;
    job->whole_at = job->half_at + (size_t)t[1].n * (size_t)t[2].m;
    job->worker_doubles = job->whole_at + made;
    job->planes = fab_alloc_array(workers * job->worker_floats, sizeof *job->planes);
    job->scratch = fab_alloc_array(workers * job->worker_doubles, sizeof *job->scratch);
    job->range = fab_alloc_array(2 * (size_t)t[0].n, sizeof *job->range);
    const bool across = t[0].taps && !job->nearest;
    if (across) job->between = fab_alloc_array((size_t)t[0].n * made, sizeof *job->between);
    if (!job->planes || !job->scratch || !job->range || (across && !job->between))
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to resample an image of %d x %d x %d voxels",
                 t[0].n, t[1].n, t[2].n);
    return FAB_OK;
}

static fab_status job_run(resample_job *job, const fab_nnunet_resampling *how, const int size[3],
                          const int new_size[3], fab_error *err)
{
    for (int a = 0; a < 3; a++)
        FAB_TRY(taps_make(size[job->axis[a]], new_size[job->axis[a]],
                          a == 0 && job->separate ? how->order_z : how->order, &job->taps[a],
                          err));
    job->nearest = job->separate && how->order_z == 0 && job->taps[0].taps;
    FAB_TRY(job_memory(job, err));
    fab_parallel_for(job->taps[0].n, resample_slice, job);
    if (job->between) fab_parallel_for(job->taps[1].m, resample_across, job);
    if (job->separate) return FAB_OK;
    for (int s = 1; s < job->taps[0].n; s++) {
        job->range[0] = fminf(job->range[0], job->range[2 * s]);
        job->range[1] = fmaxf(job->range[1], job->range[2 * s + 1]);
    }
    fab_parallel_for(job->taps[0].m, clip_slice, job);
    return FAB_OK;
}

typedef struct copy_job {
    const fab_nnunet_source *from;
    size_t slice;
    float *into;
} copy_job;

static void copy_slice(void *ctx, int64_t index, int worker)
{
    const copy_job *job = ctx;
    (void)worker;
    job->from->plane(job->from->ctx, 0, (int)index, job->into + (size_t)index * job->slice);
}

fab_status fab_nnunet_resample(const fab_nnunet_source *from, const int size[3],
                               const double spacing_mm[3], const double new_spacing_mm[3],
                               const int new_size[3], const fab_nnunet_resampling *how,
                               float *into, fab_error *err)
{
    if (memcmp(size, new_size, 3 * sizeof *size) == 0) {
        copy_job copy = {from, (size_t)size[1] * (size_t)size[2], into};
        fab_parallel_for(size[0], copy_slice, &copy);
        return FAB_OK;
    }
    const int apart = fab_nnunet_separate_axis(how, spacing_mm, new_spacing_mm);
    const int across = apart < 0 ? 0 : apart;
    resample_job job = {.from = from, .kernels = fab_nnunet_kernels_best(), .into = into,
                        .separate = apart >= 0,
                        .axis = {across, across == 0 ? 1 : 0, across == 2 ? 1 : 2}};
    const ptrdiff_t step[3] = {(ptrdiff_t)new_size[1] * new_size[2], new_size[2], 1};
    for (int a = 0; a < 3; a++) job.step[a] = step[job.axis[a]];
    const fab_status status = job_run(&job, how, size, new_size, err);
    for (int a = 0; a < 3; a++) {
        fab_free(job.taps[a].first);
        fab_free(job.taps[a].weight);
    }
    fab_free(job.planes);
    fab_free(job.scratch);
    fab_free(job.between);
    fab_free(job.range);
    return status;
}
