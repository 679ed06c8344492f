/* finish.c - fp16 logits on the network's grid to a label map on the images' own grid.
 *
 * nnU-Net resamples every head to the cropped image, rounds to fp16 and takes the argmax: heads x
 * native voxels, which for 118 heads is tens of gigabytes. Here one row of the result exists at a
 * time, made as soon as the planes of logits around it are final, which may then go. Linear
 * interpolation stays between the eight logits around it, so in the row of cells
 *
 *          z1,y1 ---+----+----+      a head whose greatest corner lies below some other head's
 *         /  |  cell| i  |    |      least corner cannot win there: only heads that can win
 *     z0,y0 ---+----+----+           somewhere, and only from the first to the last such cell,
 *                                    are interpolated at all. The result is the same.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "nnunet_internal.h"

#define GROUP 8  /* rows of one cell row that are made together */
#define CHUNK 32 /* slices between two looks at the progress */

/* fp32 sigmoid(v) > 0.5 holds from this fp16 value on: exp(-2^-24) is 1 - 2^-24, and 1 + that
 * rounds to 2. */
#define REGION_FROM 0x1p-23f
#define REGION_FROM_BITS 2

typedef struct scratch {
    double *mixed, *near, *far; /* [size2], [image2] twice */
    float *best;                /* [GROUP][image2] */
    int32_t *label;             /* [GROUP][image2] */
    int16_t *low, *floor, *high; /* [size2], [size2], [heads][size2] */
} scratch;

struct fab_nnunet_finisher {
    const fab_nnunet_plan *plan;
    const fab_nnunet_case *c;
    const fab_nnunet_kernels *kernels;
    const fab_progress *progress;
    const uint16_t *logits; /* [depth][size1][head][size2] */
    int depth;
    fab_nnunet_axis axis[3];
    bool as_is;             /* the logits are on the image's grid: nothing to interpolate */
    scratch *workers;
    int worker_count;
    int first_slice;        /* made so far; of the chunk that is being made */
    int64_t start, step[3]; /* in the label map */
    fab_dtype dtype;
    fab_volume *map;
    void *labels;           /* its voxels */
};
typedef fab_nnunet_finisher finish_job;

void fab_nnunet_axis_free(fab_nnunet_axis *a)
{
    fab_free(a->first);
    fab_free(a->second);
    fab_free(a->t);
}

fab_status fab_nnunet_axis_make(int n, int m, int order, fab_nnunet_axis *a, fab_error *err)
{
    a->n = n;
    a->m = m;
    a->first = fab_alloc_array((size_t)m, sizeof *a->first);
    a->second = fab_alloc_array((size_t)m, sizeof *a->second);
    a->t = fab_alloc_array((size_t)m, sizeof *a->t);
    if (!a->first || !a->second || !a->t)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d weights", m);
    for (int k = 0; k < m; k++) {
        const double x = fmin(fmax(fab_nnunet_coordinate(k, n, m), 0.0), n - 1.0);
        const int i = order == 0 ? fab_nnunet_nearest(k, n, m) : (int)floor(x);
        a->first[k] = i;
        a->second[k] = order > 0 && i + 1 < n ? i + 1 : i;
        a->t[k] = order > 0 ? x - i : 0.0;
    }
    return FAB_OK;
}

/* ---- one row of cells ------------------------------------------------------------------- */

typedef struct cell_row {
    ptrdiff_t row[4]; /* of the first head's logits at (z0, y0), (z0, y1), (z1, y0), (z1, y1) */
    double z;
    int from, count;  /* rows of the result, at most GROUP */
} cell_row;

static const uint16_t *head_logits(const finish_job *job, int head)
{
    return job->logits + (ptrdiff_t)head * job->c->size[2];
}

/* What a head must reach to matter, per cell, and what each head reaches. */
static void find_floor(const finish_job *job, const cell_row *cells, scratch *s)
{
    const int width = job->c->size[2];
    for (int i = 0; i < width; i++) s->floor[i] = job->plan->regions ? REGION_FROM_BITS : INT16_MIN;
    for (int head = 0; head < job->plan->head_count; head++) {
        const uint16_t *logits = head_logits(job, head);
        const uint16_t *const row[4] = {logits + cells->row[0], logits + cells->row[1],
                                        logits + cells->row[2], logits + cells->row[3]};
        job->kernels->cell_range(row, s->low, s->high + (ptrdiff_t)head * width, width);
        if (!job->plan->regions) job->kernels->raise(s->low, s->floor, width);
    }
    for (int i = 0; i < width; i++)
        if (s->floor[i] > INT16_MIN) s->floor[i]--; /* -0 ties with 0 */
}

/* The result's samples whose cells are span[0]..span[1]: [*from, return). */
static int samples_of(const fab_nnunet_axis *a, const int span[2], int *from)
{
    int low = 0, high = a->m; /* first sample of a cell >= span[0] */
    while (low < high) {
        const int middle = (low + high) / 2;
        if (a->first[middle] < span[0]) low = middle + 1;
        else high = middle;
    }
    *from = low;
    for (high = a->m; low < high;) { /* first sample of a cell > span[1] */
        const int middle = (low + high) / 2;
        if (a->first[middle] <= span[1]) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void add_head(const finish_job *job, const cell_row *cells, int head, const int span[2],
                     scratch *s)
{
    const fab_nnunet_kernels *k = job->kernels;
    const fab_nnunet_axis *x = &job->axis[2];
    const uint16_t *logits = head_logits(job, head);
    int from;
    const int count = samples_of(x, span, &from) - from;
    if (count == 0) return;
    const int low = span[0], width = (span[1] + 2 < x->n ? span[1] + 2 : x->n) - low;
    k->mix_half(logits + cells->row[0] + low, logits + cells->row[2] + low, cells->z,
                s->mixed + low, width);
    k->spread(s->mixed, x->first + from, x->second + from, x->t + from, s->near, count);
    k->mix_half(logits + cells->row[1] + low, logits + cells->row[3] + low, cells->z,
                s->mixed + low, width);
    k->spread(s->mixed, x->first + from, x->second + from, x->t + from, s->far, count);
    const int32_t value = job->plan->head[head].value;
    for (int r = 0; r < cells->count; r++) {
        const double t = job->axis[1].t[cells->from + r];
        const ptrdiff_t at = (ptrdiff_t)r * x->m + from;
        if (job->plan->regions)
            k->keep_above(s->near, s->far, t, value, REGION_FROM, s->label + at, count);
        else
            k->keep_best(s->near, s->far, t, value, s->best + at, s->label + at, count);
    }
}

static void paste_row(const finish_job *job, int slice, int row, const int32_t *label)
{
    const int64_t at = job->start + slice * job->step[0] + row * job->step[1];
    const int64_t step = job->step[2];
    const int count = job->axis[2].m;
    if (job->dtype == FAB_U8) {
        uint8_t *to = (uint8_t *)job->labels + at;
        for (int x = 0; x < count; x++) to[x * step] = (uint8_t)label[x];
    } else {
        uint16_t *to = (uint16_t *)job->labels + at;
        for (int x = 0; x < count; x++) to[x * step] = (uint16_t)label[x];
    }
}

static void make_rows(const finish_job *job, int slice, const cell_row *cells, scratch *s)
{
    const size_t count = (size_t)cells->count * (size_t)job->axis[2].m;
    const int width = job->c->size[2];
    memset(s->label, 0, count * sizeof *s->label);
    for (size_t i = 0; i < count; i++) s->best[i] = -INFINITY;
    find_floor(job, cells, s);
    for (int head = 0; head < job->plan->head_count; head++) {
        int span[2];
        if (job->kernels->reaches(s->high + (ptrdiff_t)head * width, s->floor, width, span))
            add_head(job, cells, head, span, s);
    }
    for (int r = 0; r < cells->count; r++)
        paste_row(job, slice, cells->from + r, s->label + (ptrdiff_t)r * job->axis[2].m);
}

/* A slice without interpolation: the first of the greatest heads. */
static void finish_as_is(const finish_job *job, int slice, scratch *s)
{
    const int *size = job->c->size, width = size[2];
    for (int row = 0; row < size[1]; row++) {
        const ptrdiff_t at = fab_nnunet_row(job->plan, job->c, job->depth, 0, slice, row);
        for (int i = 0; i < width; i++) s->floor[i] = INT16_MIN;
        for (int head = 0; head < job->plan->head_count; head++)
            job->kernels->keep_best_half(head_logits(job, head) + at, (int16_t)head, s->floor,
                                         s->low, width);
        for (int i = 0; i < width; i++) s->label[i] = job->plan->head[s->low[i]].value;
        paste_row(job, slice, row, s->label);
    }
}

static void finish_slice(void *ctx, int64_t index, int worker)
{
    const finish_job *job = ctx;
    const int slice = job->first_slice + (int)index;
    const fab_nnunet_axis *z = &job->axis[0], *y = &job->axis[1];
    if (job->as_is) {
        finish_as_is(job, slice, &job->workers[worker]);
        return;
    }
    for (int row = 0; row < y->m;) {
        cell_row cells = {.z = z->t[slice], .from = row, .count = 1};
        while (cells.count < GROUP && row + cells.count < y->m &&
               y->first[row + cells.count] == y->first[row] &&
               y->second[row + cells.count] == y->second[row])
            cells.count++;
        for (int corner = 0; corner < 4; corner++) {
            const int at_z = (corner & 2 ? z->second : z->first)[slice];
            const int at_y = (corner & 1 ? y->second : y->first)[row];
            cells.row[corner] = fab_nnunet_row(job->plan, job->c, job->depth, 0, at_z, at_y);
        }
        make_rows(job, slice, &cells, &job->workers[worker]);
        row += cells.count;
    }
}

/* ---- all of it -------------------------------------------------------------------------- */

static void workers_free(scratch *w, int count)
{
    for (int i = 0; w && i < count; i++) {
        fab_free(w[i].mixed);
        fab_free(w[i].near);
        fab_free(w[i].far);
        fab_free(w[i].best);
        fab_free(w[i].label);
        fab_free(w[i].low);
        fab_free(w[i].floor);
        fab_free(w[i].high);
    }
    fab_free(w);
}

static fab_status workers_make(finish_job *job, fab_error *err)
{
    const size_t width = (size_t)job->axis[2].n, wide = (size_t)job->axis[2].m;
    job->worker_count = fab_threads_get();
    job->workers = fab_calloc((size_t)job->worker_count, sizeof *job->workers);
    for (int i = 0; job->workers && i < job->worker_count; i++) {
        scratch *s = &job->workers[i];
        s->mixed = fab_alloc_array(width, sizeof *s->mixed);
        s->near = fab_alloc_array(wide, sizeof *s->near);
        s->far = fab_alloc_array(wide, sizeof *s->far);
        s->best = fab_alloc_array(GROUP * wide, sizeof *s->best);
        s->label = fab_alloc_array(GROUP * wide, sizeof *s->label);
        s->low = fab_alloc_array(width, sizeof *s->low);
        s->floor = fab_alloc_array(width, sizeof *s->floor);
        s->high = fab_alloc_array((size_t)job->plan->head_count * width, sizeof *s->high);
        if (!s->mixed || !s->near || !s->far || !s->best || !s->label || !s->low || !s->floor ||
            !s->high)
            FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for rows of %zu voxels", wide);
    }
    return job->workers ? FAB_OK : fab_error_set(err, FAB_ERR_NOMEM, "no memory for rows");
}

fab_status fab_nnunet_export_orders(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                    int order[3], fab_error *err)
{
    const fab_nnunet_resampling *how = &plan->probabilities;
    double from_mm[3];
    fab_nnunet_target_spacing(plan, c, from_mm);
    const int apart = fab_nnunet_separate_axis(how, from_mm, c->spacing_mm);
    for (int a = 0; a < 3; a++) {
        order[a] = a == apart ? how->order_z : how->order;
        if (order[a] > 1)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "the plan resamples logits by splines of order %d; "
                     "0 and 1 are supported", order[a]);
    }
    return FAB_OK;
}

static fab_status make_axes(finish_job *job, fab_error *err)
{
    int order[3];
    job->as_is = !job->plan->regions;
    FAB_TRY(fab_nnunet_export_orders(job->plan, job->c, order, err));
    for (int a = 0; a < 3; a++) {
        FAB_TRY(fab_nnunet_axis_make(job->c->size[a], job->c->box[a][1] - job->c->box[a][0],
                                     order[a], &job->axis[a], err));
        job->as_is = job->as_is && job->axis[a].n == job->axis[a].m;
    }
    return FAB_OK;
}

fab_nnunet_finisher *fab_nnunet_finisher_free(fab_nnunet_finisher *f)
{
    if (!f) return NULL;
    workers_free(f->workers, f->worker_count);
    for (int a = 0; a < 3; a++) fab_nnunet_axis_free(&f->axis[a]);
    fab_volume_unref(f->map);
    return fab_free(f);
}

fab_status fab_nnunet_finisher_create(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                      const uint16_t *logits, int depth,
                                      const fab_progress *progress, fab_nnunet_finisher **out,
                                      fab_error *err)
{
    FAB_AUTO(fab_nnunet_finisher_free) fab_nnunet_finisher *f = fab_calloc(1, sizeof *f);
    if (!f) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for labels");
    f->plan = plan;
    f->c = c;
    f->kernels = fab_nnunet_kernels_best();
    f->progress = progress;
    f->logits = logits;
    f->depth = depth;
    f->dtype = FAB_U8;
    for (int h = 0; h < plan->head_count; h++)
        if (plan->head[h].value > 255) f->dtype = FAB_U16;
    FAB_TRY(fab_volume_create(&c->grid, f->dtype, &f->map, err));
    f->labels = fab_volume_data_mut(f->map);
    memset(f->labels, 0, fab_volume_bytes(f->map));
    fab_nnunet_case_steps(plan, c, &f->start, f->step);
    FAB_TRY(make_axes(f, err));
    FAB_TRY(workers_make(f, err));
    *out = f;
    f = NULL;
    return FAB_OK;
}

fab_status fab_nnunet_finisher_planes(fab_nnunet_finisher *f, int planes, fab_error *err)
{
    const fab_nnunet_axis *z = &f->axis[0];
    int end = f->first_slice;
    while (end < z->m && z->second[end] < planes) end++;
    while (f->first_slice < end) {
        const int count = end - f->first_slice < CHUNK ? end - f->first_slice : CHUNK;
        FAB_TRY(fab_progress_step(f->progress, "finish", (double)f->first_slice / z->m, err));
        fab_parallel_for(count, finish_slice, f);
        f->first_slice += count;
    }
    return fab_progress_step(f->progress, "finish", (double)end / z->m, err);
}

fab_volume *fab_nnunet_finisher_take(fab_nnunet_finisher *f)
{
    fab_volume *map = f->map;
    f->map = NULL;
    return map;
}

fab_status fab_nnunet_finish(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                             const uint16_t *logits, const fab_progress *progress,
                             fab_volume **labels, fab_error *err)
{
    FAB_AUTO(fab_nnunet_finisher_free) fab_nnunet_finisher *f = NULL;
    FAB_TRY(fab_nnunet_finisher_create(plan, c, logits, c->size[0], progress, &f, err));
    FAB_TRY(fab_nnunet_finisher_planes(f, c->size[0], err));
    *labels = fab_nnunet_finisher_take(f);
    return FAB_OK;
}
