/* slide.c - nnU-Net's sliding window, rounded where nnU-Net rounds.
 *
 * Windows start at round(i * step), halves to even. What the network says of a voxel is multiplied
 * in fp32 by the Gaussian (an fp16 number) and added to an fp16 sum, rounded at each window; so is
 * the sum of weights; their quotient is fp16 again, and so are the sum and the mean of the folds.
 * That the order of windows matters is the point: it is kept (z, then y, then x).
 *
 * The sums of a first fold stand in `logits` itself, which may be a ring of planes. Further folds,
 * and fp32 sums, need a place of their own: a ring of one patch depth of planes, which leave it as
 * soon as no window can touch them. Padding is never stored: a patch reads 0 outside the image and
 * what it says there is lost.
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "kernels.h"
#include "nnunet_internal.h"

#define RUN 64 /* voxels of a row that are divided at once */
#define GAUSS_SIGMA 0.125 /* of the patch */
#define GAUSS_CUT 4.0     /* sigmas */
#define GAUSS_PEAK 10.0

typedef struct slide {
    const fab_nnunet_plan *plan;
    const fab_nnunet_case *c;
    const fab_nnunet_slide_options *o;
    const fab_nnunet_kernels *kernels;
    fab_nnunet_patch_fn run;
    void *run_ctx;
    uint16_t *logits;
    int count[3], *starts[3], low[3]; /* windows; padding before the image */
    float *gauss, *ones;              /* [patch]; [patch[2]] */
    int depth, kept;                  /* planes that sums and logits are kept of */
    uint16_t *sum16, *weight16;       /* [depth][size1][head][size2]; [depth][size1][size2] */
    float *sum32, *weight32;          /* the same when not exact */
    uint16_t *own16;                  /* sum16 if it is not `logits` */
    float *patch;                     /* [channel][patch] */
    float *mirrored;                  /* [patch][pitch]: sum over mirrored views; NULL if none */
    int pitch;                        /* floats from one voxel's logits to the next */
    int at[3], flips;                 /* the window now; bit per axis of the view now */
    float share;                      /* of one view in the mean over mirrored ones */
    atomic_bool overflow;
} slide;

/* ---- windows and their weights ---------------------------------------------------------- */

int fab_nnunet_window_starts(int size, int patch, double step, int *starts)
{
    const int count = (int)ceil((size - patch) / (patch * step)) + 1;
    const double actual = count > 1 ? (double)(size - patch) / (count - 1) : 0.0;
    for (int i = 0; starts && i < count; i++) starts[i] = (int)nearbyint(actual * i);
    return count;
}

/* scipy's gaussian_filter of an impulse at n / 2. */
static void gauss_line(int n, double *out)
{
    const double sigma = n * GAUSS_SIGMA, factor = -0.5 / (sigma * sigma);
    const int radius = (int)(GAUSS_CUT * sigma + 0.5);
    double sum = 0;
    for (int d = -radius; d <= radius; d++) sum += exp(factor * ((double)d * d));
    for (int i = 0; i < n; i++) {
        const double d = i - n / 2;
        out[i] = fabs(d) <= radius ? exp(factor * (d * d)) / sum : 0.0;
    }
}

fab_status fab_nnunet_gaussian(const int patch[3], uint16_t *importance, fab_error *err)
{
    FAB_AUTO_FREE double *line = fab_alloc_array(
        (size_t)patch[0] + (size_t)patch[1] + (size_t)patch[2], sizeof *line);
    if (!line) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the Gaussian");
    double *z = line, *y = line + patch[0], *x = y + patch[1];
    gauss_line(patch[0], z);
    gauss_line(patch[1], y);
    gauss_line(patch[2], x);
    const double peak = z[patch[0] / 2] * y[patch[1] / 2] * x[patch[2] / 2];
    const fab_nnunet_kernels *k = fab_nnunet_kernels_best();
    const int64_t total = (int64_t)patch[0] * patch[1] * patch[2];
    uint16_t least = 0xffff;
    for (int64_t i = 0; i < total; i++) {
        const double g = z[i / patch[2] / patch[1]] * y[i / patch[2] % patch[1]] * x[i % patch[2]];
        const float value = (float)(g / (peak / GAUSS_PEAK)); /* PyTorch goes by fp32 to fp16 */
        k->float_to_half(&value, &importance[i], 1);
        if (importance[i] && importance[i] < least) least = importance[i];
    }
    for (int64_t i = 0; i < total; i++)
        if (!importance[i]) importance[i] = least; /* weights are divided by */
    return FAB_OK;
}

/* ---- sums ------------------------------------------------------------------------------- */

static ptrdiff_t sum_row(const slide *s, int z, int y)
{
    return fab_nnunet_row(s->plan, s->c, s->depth, 0, z, y);
}

static ptrdiff_t weight_row(const slide *s, int z, int y)
{
    return ((ptrdiff_t)(z % s->depth) * s->c->size[1] + y) * s->c->size[2];
}

static void add_singles(const slide *s, const float *logits, int pitch, const float *weight,
                        float *sum, int count)
{
    for (int head = 0; head < s->plan->head_count; head++, sum += s->c->size[2])
        for (int i = 0; i < count; i++)
            sum[i] += logits[(ptrdiff_t)i * pitch + head] * s->share * weight[i];
}

/* Voxels x0..x0 + count - 1 of the patch's row (z, y), not mirrored; logits [voxel][pitch]. */
static void add_row(const slide *s, int z, int y, int x0, int count, const float *logits,
                    int pitch)
{
    const int *patch = s->plan->patch, *size = s->c->size;
    const int gz = s->at[0] + z - s->low[0], gy = s->at[1] + y - s->low[1];
    const int shift = s->at[2] - s->low[2]; /* patch x to image x */
    if (gz < 0 || gz >= size[0] || gy < 0 || gy >= size[1]) return;
    const int from = x0 + shift < 0 ? -shift : x0;
    const int to = x0 + count + shift > size[2] ? size[2] - shift : x0 + count;
    const float *weight = s->gauss + ((ptrdiff_t)z * patch[1] + y) * patch[2];
    if (from >= to) return;
    const float *first = logits + (ptrdiff_t)(from - x0) * pitch;
    const ptrdiff_t at = sum_row(s, gz, gy) + from + shift;
    if (s->sum16)
        s->kernels->add_logits(first, pitch, s->share, weight + from, s->sum16 + at, size[2],
                               s->plan->head_count, to - from);
    else add_singles(s, first, pitch, weight + from, s->sum32 + at, to - from);
}

static void add_weights(const slide *s)
{
    const int *patch = s->plan->patch, *size = s->c->size;
    const int shift = s->at[2] - s->low[2];
    const int from = shift < 0 ? -shift : 0;
    const int to = patch[2] + shift > size[2] ? size[2] - shift : patch[2];
    for (int z = 0; z < patch[0]; z++)
        for (int y = 0; y < patch[1]; y++) {
            const int gz = s->at[0] + z - s->low[0], gy = s->at[1] + y - s->low[1];
            if (gz < 0 || gz >= size[0] || gy < 0 || gy >= size[1]) continue;
            const float *weight = s->gauss + ((ptrdiff_t)z * patch[1] + y) * patch[2] + from;
            const ptrdiff_t at = weight_row(s, gz, gy) + from + shift;
            if (s->weight16)
                s->kernels->add_weighted(weight, s->ones, s->weight16 + at, to - from);
            else
                for (int i = 0; i < to - from; i++) s->weight32[at + i] += weight[i];
        }
}

static void sink_direct(void *ctx, int z, int y, int x0, int count, const float *logits, int pitch)
{
    add_row(ctx, z, y, x0, count, logits, pitch);
}

static void sink_mirrored(void *ctx, int z, int y, int x0, int count, const float *logits,
                          int pitch)
{
    const slide *s = ctx;
    const int *patch = s->plan->patch, heads = s->plan->head_count;
    if (s->flips & 1) z = patch[0] - 1 - z;
    if (s->flips & 2) y = patch[1] - 1 - y;
    float *row = s->mirrored + ((ptrdiff_t)z * patch[1] + y) * patch[2] * s->pitch;
    for (int i = 0; i < count; i++) {
        const int x = s->flips & 4 ? patch[2] - 1 - x0 - i : x0 + i;
        float *to = row + (ptrdiff_t)x * s->pitch;
        const float *from = logits + (ptrdiff_t)i * pitch;
        if (s->flips == 0) memcpy(to, from, (size_t)heads * sizeof *to);
        else
            for (int h = 0; h < heads; h++) to[h] += from[h];
    }
}

static void add_mirrored_row(void *ctx, int64_t index, int worker)
{
    const slide *s = ctx;
    const int *patch = s->plan->patch;
    (void)worker;
    add_row(s, (int)(index / patch[1]), (int)(index % patch[1]), 0, patch[2],
            s->mirrored + index * patch[2] * s->pitch, s->pitch);
}

/* ---- windows ---------------------------------------------------------------------------- */

/* Row (gz, gy) of a channel of the case into the patch, as the view has it. */
static void copy_row(const slide *s, int channel, int gz, int gy, float *to)
{
    const int *patch = s->plan->patch, *size = s->c->size;
    const int first = s->at[2] - s->low[2] + (s->flips & 4 ? patch[2] - 1 : 0);
    const int step = s->flips & 4 ? -1 : 1, label = channel + 1 - s->c->channels;
    const ptrdiff_t row = ((ptrdiff_t)gz * size[1] + gy) * size[2];
    const ptrdiff_t image = (ptrdiff_t)size[0] * size[1] * size[2] * channel;
    for (int x = 0; x < patch[2]; x++) {
        const int gx = first + step * x;
        if (gx < 0 || gx >= size[2]) to[x] = 0.0f;
        else if (label > 0) to[x] = s->c->stage[row + gx] == label;
        else to[x] = s->c->data[image + row + gx];
    }
}

/* One plane of one channel of the patch. */
static void copy_plane(void *ctx, int64_t index, int worker)
{
    const slide *s = ctx;
    const int *patch = s->plan->patch, *size = s->c->size;
    const int channel = (int)(index / patch[0]), z = (int)(index % patch[0]);
    const int gz = s->at[0] - s->low[0] + (s->flips & 1 ? patch[0] - 1 - z : z);
    float *to = s->patch + index * patch[1] * patch[2];
    (void)worker;
    for (int y = 0; y < patch[1]; y++, to += patch[2]) {
        const int gy = s->at[1] - s->low[1] + (s->flips & 2 ? patch[1] - 1 - y : y);
        if (gz < 0 || gz >= size[0] || gy < 0 || gy >= size[1])
            memset(to, 0, (size_t)patch[2] * sizeof *to);
        else copy_row(s, channel, gz, gy, to);
    }
}

static void copy_patch(slide *s)
{
    fab_parallel_for((int64_t)fab_nnunet_case_channels(s->c) * s->plan->patch[0], copy_plane, s);
}

/* Every mirrored view of one window, in nnU-Net's order: by the number of axes. */
static fab_status run_window(slide *s, fab_error *err)
{
    static const int order[8] = {0, 1, 2, 4, 3, 5, 6, 7};
    const bool *mirror = s->o->mirror;
    const int allowed = mirror[0] | mirror[1] << 1 | mirror[2] << 2;
    for (int i = 0; i < 8; i++) {
        if (order[i] & ~allowed) continue;
        if (fab_progress_cancelled(s->o->progress)) FAB_FAIL(err, FAB_ERR_CANCELLED, "cancelled");
        s->flips = order[i];
        copy_patch(s);
        FAB_TRY(s->run(s->run_ctx, s->patch, s->mirrored ? sink_mirrored : sink_direct, s, err));
    }
    if (s->mirrored)
        fab_parallel_for((int64_t)s->plan->patch[0] * s->plan->patch[1], add_mirrored_row, s);
    add_weights(s);
    return FAB_OK;
}

typedef struct planes_job {
    slide *s;
    int from; /* first plane */
} planes_job;

static void clear_plane(void *ctx, int64_t index, int worker)
{
    const planes_job *job = ctx;
    const slide *s = job->s;
    const int z = job->from + (int)index;
    const size_t plane = (size_t)s->c->size[1] * (size_t)s->c->size[2];
    const size_t sums = plane * (size_t)s->plan->head_count;
    (void)worker;
    if (s->sum16) {
        memset(s->sum16 + sum_row(s, z, 0), 0, sums * sizeof *s->sum16);
        memset(s->weight16 + weight_row(s, z, 0), 0, plane * sizeof *s->weight16);
    } else {
        memset(s->sum32 + sum_row(s, z, 0), 0, sums * sizeof *s->sum32);
        memset(s->weight32 + weight_row(s, z, 0), 0, plane * sizeof *s->weight32);
    }
}

static void clear_planes(slide *s, int from, int to)
{
    planes_job job = {s, from};
    fab_parallel_for((to < s->c->size[0] ? to : s->c->size[0]) - from, clear_plane, &job);
}

/* ---- planes that no window will touch any more ------------------------------------------ */

/* A run of one head's sums; weights as floats. */
static void divide_run(slide *s, ptrdiff_t sum, const float *weight, uint16_t *to, int count)
{
    const fab_nnunet_kernels *k = s->kernels;
    float a[RUN], b[RUN];
    if (s->sum16) k->half_to_float(s->sum16 + sum, a, count);
    else memcpy(a, s->sum32 + sum, (size_t)count * sizeof *a);
    for (int i = 0; i < count; i++) a[i] = a[i] / weight[i];
    if (s->o->add) {
        uint16_t fold[RUN];
        k->float_to_half(a, fold, count);
        k->half_to_float(fold, a, count);
        k->half_to_float(to, b, count);
        for (int i = 0; i < count; i++) a[i] = b[i] + a[i];
    }
    k->float_to_half(a, to, count);
    int bad = 0;
    for (int i = 0; i < count; i++) bad |= (to[i] & 0x7c00) == 0x7c00;
    if (bad) atomic_store(&s->overflow, true);
}

static void divide_row(void *ctx, int64_t index, int worker)
{
    const planes_job *job = ctx;
    slide *s = job->s;
    const int *size = s->c->size;
    const int z = job->from + (int)(index / size[1]), y = (int)(index % size[1]);
    (void)worker;
    for (int x = 0; x < size[2]; x += RUN) {
        const int count = size[2] - x < RUN ? size[2] - x : RUN;
        ptrdiff_t sum = sum_row(s, z, y) + x, weight_at = weight_row(s, z, y) + x;
        uint16_t *to = s->logits + fab_nnunet_row(s->plan, s->c, s->kept, 0, z, y) + x;
        float weight[RUN];
        if (s->weight16) s->kernels->half_to_float(s->weight16 + weight_at, weight, count);
        else memcpy(weight, s->weight32 + weight_at, (size_t)count * sizeof *weight);
        for (int head = 0; head < s->plan->head_count; head++, sum += size[2], to += size[2])
            divide_run(s, sum, weight, to, count);
    }
}

static fab_status run_windows(slide *s, fab_error *err)
{
    const int total = s->count[0] * s->count[1] * s->count[2], per_z = s->count[1] * s->count[2];
    int done = 0, clean = 0, made = 0;
    for (int z = 0; z < s->count[0]; z++) {
        const int end = s->starts[0][z] + s->plan->patch[0] - s->low[0];
        clear_planes(s, clean, end);
        clean = end;
        for (int i = 0; i < per_z; i++, done++) {
            s->at[0] = s->starts[0][z];
            s->at[1] = s->starts[1][i / s->count[2]];
            s->at[2] = s->starts[2][i % s->count[2]];
            FAB_TRY(fab_progress_step(s->o->progress, "network", (double)done / total, err));
            FAB_TRY(run_window(s, err));
        }
        const int ready =
            z + 1 < s->count[0] ? s->starts[0][z + 1] - s->low[0] : s->c->size[0];
        planes_job job = {s, made};
        fab_parallel_for((int64_t)(ready - made) * s->c->size[1], divide_row, &job);
        made = ready;
        if (s->o->ready) FAB_TRY(s->o->ready(s->o->ready_ctx, ready, err));
    }
    if (atomic_load(&s->overflow))
        FAB_FAIL(err, FAB_ERR_LIMIT, "the network's outputs are too large for nnU-Net's fp16 sums");
    return fab_progress_step(s->o->progress, "network", 1.0, err);
}

/* ---- all of it -------------------------------------------------------------------------- */

static fab_status make_windows(slide *s, fab_error *err)
{
    for (int a = 0; a < 3; a++) {
        const int patch = s->plan->patch[a];
        const int size = s->c->size[a] > patch ? s->c->size[a] : patch;
        s->low[a] = (size - s->c->size[a]) / 2;
        const double step = s->plan->flat && a == 0 ? 1.0 : s->o->step; /* each slice once */
        s->count[a] = fab_nnunet_window_starts(size, patch, step, NULL);
        s->starts[a] = fab_alloc_array((size_t)s->count[a], sizeof *s->starts[a]);
        if (!s->starts[a]) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d windows", s->count[a]);
        fab_nnunet_window_starts(size, patch, step, s->starts[a]);
    }
    const int *p = s->plan->patch;
    const size_t voxels = (size_t)p[0] * (size_t)p[1] * (size_t)p[2];
    FAB_AUTO_FREE uint16_t *importance = fab_alloc_array(voxels, sizeof *importance);
    s->gauss = fab_alloc_array(voxels, sizeof *s->gauss);
    s->ones = fab_alloc_array((size_t)p[2], sizeof *s->ones);
    if (!importance || !s->gauss || !s->ones)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a window's weights");
    FAB_TRY(fab_nnunet_gaussian(p, importance, err));
    s->kernels->half_to_float(importance, s->gauss, (int64_t)voxels);
    for (int x = 0; x < p[2]; x++) s->ones[x] = 1.0f;
    return FAB_OK;
}

/* What the next windows write, and the plane before it, which cells still need. */
int fab_nnunet_slide_depth(const fab_nnunet_plan *plan, const fab_nnunet_case *c)
{
    return plan->patch[0] < c->size[0] ? plan->patch[0] + 1 : c->size[0];
}

/* Planes that sums are kept of: those of the logits, in place, or a ring one patch deep. */
static int kept_planes(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                       const fab_nnunet_slide_options *o)
{
    if (o->exact && !o->add) return o->depth ? o->depth : c->size[0];
    return plan->patch[0] > c->size[0] ? c->size[0] : plan->patch[0];
}

static size_t patch_voxels(const fab_nnunet_plan *plan)
{
    return (size_t)plan->patch[0] * (size_t)plan->patch[1] * (size_t)plan->patch[2];
}

size_t fab_nnunet_slide_bytes(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                              const fab_nnunet_slide_options *o)
{
    const size_t heads = (size_t)plan->head_count;
    const size_t kept =
        (size_t)kept_planes(plan, c, o) * (size_t)c->size[1] * (size_t)c->size[2];
    const bool in_place = o->exact && !o->add, views = o->mirror[0] || o->mirror[1] || o->mirror[2];
    const size_t channels = (size_t)fab_nnunet_case_channels(c);
    return kept * (o->exact ? 2 : 4) * (in_place ? 1 : heads + 1)
           + patch_voxels(plan) * sizeof(float) * (channels + 1 + (views ? heads : 0));
}

static fab_status make_memory(slide *s, fab_error *err)
{
    const int *size = s->c->size;
    const size_t voxels = patch_voxels(s->plan);
    const bool in_place = s->o->exact && !s->o->add;
    const int views = s->o->mirror[0] + s->o->mirror[1] + s->o->mirror[2];
    s->depth = kept_planes(s->plan, s->c, s->o);
    s->kept = s->o->depth ? s->o->depth : size[0];
    const size_t kept = (size_t)s->depth * (size_t)size[1] * (size_t)size[2];
    const size_t sums = kept * (size_t)s->plan->head_count;
    if (s->o->exact) {
        if (!in_place) s->own16 = fab_alloc_array(sums, sizeof *s->own16);
        s->sum16 = in_place ? s->logits : s->own16;
        s->weight16 = fab_alloc_array(kept, sizeof *s->weight16);
    } else {
        s->sum32 = fab_alloc_array(sums, sizeof *s->sum32);
        s->weight32 = fab_alloc_array(kept, sizeof *s->weight32);
    }
    s->patch = fab_alloc_array((size_t)fab_nnunet_case_channels(s->c) * voxels, sizeof *s->patch);
    s->pitch = s->plan->head_count;
    s->share = 1.0f / (float)(1 << views);
    if (views)
        s->mirrored = fab_alloc_array(voxels * (size_t)s->pitch, sizeof *s->mirrored);
    if (!(s->sum16 || s->sum32) || !(s->weight16 || s->weight32) || !s->patch ||
        (views && !s->mirrored))
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the sums of a sliding window");
    return FAB_OK;
}

fab_status fab_nnunet_slide(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                            const fab_nnunet_slide_options *o, fab_nnunet_patch_fn run, void *ctx,
                            uint16_t *logits, fab_error *err)
{
    if (!(o->step > 0.0 && o->step <= 1.0))
        FAB_FAIL(err, FAB_ERR_ARG, "a window step of %g of the patch; above 0 and at most 1",
                 o->step);
    slide s = {.plan = plan, .c = c, .o = o, .kernels = fab_nnunet_kernels_best(), .run = run,
               .run_ctx = ctx, .logits = logits};
    fab_status status = make_windows(&s, err);
    if (status >= 0) status = make_memory(&s, err);
    if (status >= 0) status = run_windows(&s, err);
    for (int a = 0; a < 3; a++) fab_free(s.starts[a]);
    fab_free(s.gauss);
    fab_free(s.ones);
    fab_free(s.own16);
    fab_free(s.weight16);
    fab_free(s.sum32);
    fab_free(s.weight32);
    fab_free(s.patch);
    fab_free(s.mirrored);
    return status < 0 ? status : FAB_OK;
}

void fab_nnunet_mean_of_folds(uint16_t *logits, int64_t count, int folds)
{
    const fab_nnunet_kernels *k = fab_nnunet_kernels_best();
    float v[RUN];
    for (int64_t i = 0; i < count; i += RUN) {
        const int n = count - i < RUN ? (int)(count - i) : RUN;
        k->half_to_float(logits + i, v, n);
        for (int j = 0; j < n; j++) v[j] /= (float)folds;
        k->float_to_half(v, logits + i, n);
    }
}
