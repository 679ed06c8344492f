/* run.c - runs a network's operations over one patch.
 *
 * Convolutions store their raw sums; instance norm and leaky ReLU are applied when the next
 * operation loads its input, so no pass over a tensor is ever made for them:
 *
 *     tensor (raw) --load + norm + leaky--> scratch tile with zero border --conv--> tensor (raw)
 *                                                                           \--> row statistics
 *
 * The sums of residual blocks are the exception: they are read three times or more, so one pass
 * makes them, in place (ADR 0083).
 *
 * A task is one tile of outputs; its input, with the border the kernel needs, stays in the
 * second-level cache while every output block of the task is computed from it. Statistics are
 * gathered per row (exact mean, then squared differences), merged per tile and then over tiles
 * in a fixed order in double precision (Chan, Golub and LeVeque 1983).
 */
#include <math.h>
#include <string.h>

#include "nn_internal.h"

typedef struct run_op {
    fab_net_session *s;
    const fab_net_op *op;
    const fab_op_plan *p;
    int index;
} run_op;

typedef struct task {
    int tile;            /* of all tiles */
    int at[3], size[3];  /* outputs (UP: inputs) along z, y, x */
    int halo[3];         /* input voxels needed */
    int from[3];         /* first input voxel, may be negative */
    int group;
    float *scratch;
} task;

static int least(int a, int b)
{
    return a < b ? a : b;
}

static const float *tensor_data(const fab_net_session *s, int tensor)
{
    return s->arena + s->plan.ops[tensor - 1].out_offset;
}

static task task_of(const run_op *r, int64_t index, int worker)
{
    const fab_op_plan *p = r->p;
    const int64_t tiles = (int64_t)p->tiles[0] * p->tiles[1] * p->tiles[2];
    task t = {.tile = (int)(index % tiles), .group = (int)(index / tiles)};
    const int tile[3] = {t.tile / (p->tiles[1] * p->tiles[2]), t.tile / p->tiles[2] % p->tiles[1],
                         t.tile % p->tiles[2]};
    const bool conv = r->op->kind == FAB_OP_CONV;
    for (int a = 0; a < 3; a++) {
        const int whole = r->op->kind == FAB_OP_UP ? p->in_size[a] : p->out_size[a];
        const int stride = conv ? r->op->stride[a] : 1, kernel = conv ? r->op->kernel[a] : 1;
        t.at[a] = tile[a] * p->tile[a];
        t.size[a] = least(p->tile[a], whole - t.at[a]);
        t.from[a] = t.at[a] * stride - kernel / 2;
        t.halo[a] = (t.size[a] - 1) * stride + kernel;
    }
    t.scratch = r->s->scratch + (size_t)worker * r->s->plan.scratch;
    return t;
}

/* ---- loading a tile ------------------------------------------------------------------------ */

typedef struct source {
    const float *data;          /* channel block, or plane of the input */
    const float *scale, *shift; /* NULL: as it is */
    int size[3];
} source;

static void load_row(const run_op *r, const source *src, int z, int y, const task *t, float *to)
{
    const int left = t->from[2] < 0 ? -t->from[2] : 0;
    const int right = least(t->from[2] + t->halo[2], src->size[2]) - t->from[2];
    const int n = right - left;
    const size_t voxel = FAB_NN_BLOCK * sizeof(float);
    const ptrdiff_t row = ((ptrdiff_t)z * src->size[1] + y) * src->size[2] + t->from[2] + left;
    const float *from = src->data + row * FAB_NN_BLOCK;
    memset(to, 0, (size_t)left * voxel);
    if (src->scale)
        r->s->net->kernels->norm(&(fab_norm_row){from, to + left * FAB_NN_BLOCK, src->scale,
                                                 src->shift, (float)r->s->net->config.slope, n});
    else
        memcpy(to + left * FAB_NN_BLOCK, from, (size_t)n * voxel);
    memset(to + right * FAB_NN_BLOCK, 0, (size_t)(t->halo[2] - right) * voxel);
}

/* One channel of the planar input, into every pitch-th float. */
static void load_planar_row(const source *src, int z, int y, const task *t, int pitch, float *to)
{
    const float *row = src->data + ((ptrdiff_t)z * src->size[1] + y) * src->size[2];
    for (int x = 0; x < t->halo[2]; x++) {
        const int from = t->from[2] + x;
        to[(ptrdiff_t)x * pitch] = from >= 0 && from < src->size[2] ? row[from] : 0.0f;
    }
}

static void load_block(const run_op *r, const source *src, const task *t, float *to, bool planar)
{
    const fab_op_plan *p = r->p;
    for (int z = 0; z < t->halo[0]; z++)
        for (int y = 0; y < t->halo[1]; y++) {
            float *row = to + ((ptrdiff_t)z * p->halo[1] + y) * p->halo[2] * p->pitch;
            const int iz = t->from[0] + z, iy = t->from[1] + y;
            const bool inside = iz >= 0 && iz < src->size[0] && iy >= 0 && iy < src->size[1];
            if (planar && inside) load_planar_row(src, iz, iy, t, p->pitch, row);
            else if (inside) load_row(r, src, iz, iy, t, row);
            else
                for (int x = 0; x < t->halo[2]; x++)
                    memset(row + (ptrdiff_t)x * p->pitch, 0,
                           (planar ? 1 : FAB_NN_BLOCK) * sizeof *row);
        }
}

static void load_tile(const run_op *r, const task *t)
{
    const fab_net_session *s = r->s;
    const fab_op_plan *p = r->p;
    const ptrdiff_t block_floats = (ptrdiff_t)p->halo[0] * p->halo[1] * p->halo[2] * p->pitch;
    const ptrdiff_t voxels = (ptrdiff_t)p->in_size[0] * p->in_size[1] * p->in_size[2];
    source src = {.size = {p->in_size[0], p->in_size[1], p->in_size[2]}};
    int block = 0;
    for (int k = 0; k < r->op->sources; k++) {
        const int tensor = r->op->source[k], channels = fab_net_tensor_channels(s->net, tensor);
        if (tensor == 0) {
            for (int c = 0; c < channels; c++) {
                src.data = s->input + c * voxels;
                load_block(r, &src, t, t->scratch + c, true);
            }
            continue;
        }
        const int blocks = fab_nn_blocks(channels);
        const float *affine = s->affine + s->affine_offset[tensor];
        for (int b = 0; b < blocks; b++, block++) {
            const bool raw = fab_net_tensor_raw(s->net, tensor);
            src.data = tensor_data(s, tensor) + b * voxels * FAB_NN_BLOCK;
            src.scale = raw ? affine + b * FAB_NN_BLOCK : NULL;
            src.shift = raw ? affine + (blocks + b) * FAB_NN_BLOCK : NULL;
            load_block(r, &src, t, t->scratch + block * block_floats, false);
        }
    }
}

/* ---- convolution ---------------------------------------------------------------------------- */

static void add_row_stats(const fab_net_session *s, const float *row, int count,
                          fab_tile_stats *into)
{
    fab_stats_row st = {.src = row, .count = count};
    s->net->kernels->stats(&st);
    const double n = count, all = into->count + n;
    for (int c = 0; c < FAB_NN_BLOCK; c++) {
        const double d = (double)st.mean[c] - into->mean[c];
        into->mean[c] += d * (n / all);
        into->m2[c] += (double)st.m2[c] + d * d * (into->count * n / all);
    }
    into->count = all;
}

/* Whether the last of `blocks` output blocks from `ob` on holds 8 outputs or fewer. */
static bool half_block(const fab_net_op *op, int ob, int blocks)
{
    return op->outputs - (ob + blocks - 1) * FAB_NN_BLOCK <= FAB_NN_BLOCK / 2;
}

static fab_conv_row conv_row_of(const run_op *r)
{
    const fab_op_plan *p = r->p;
    return (fab_conv_row){
        .in_block = (ptrdiff_t)p->halo[0] * p->halo[1] * p->halo[2] * p->pitch,
        .tap = p->tap, .taps = r->op->taps, .channels = r->op->channels, .blocks = r->op->blocks,
        .in_step = p->pitch, .out_step = FAB_NN_BLOCK, .pair_weights = r->op->weights_stride};
}

static void conv_blocks(const run_op *r, const task *t, int ob, int blocks)
{
    const fab_op_plan *p = r->p;
    const int *out = p->out_size, *stride = r->op->stride;
    const ptrdiff_t plane = (ptrdiff_t)out[0] * out[1] * out[2] * FAB_NN_BLOCK;
    fab_tile_stats *stats[2];
    for (int k = 0; k < blocks; k++) {
        stats[k] = r->s->partials + (ptrdiff_t)t->tile * r->op->out_blocks + ob + k;
        memset(stats[k], 0, sizeof *stats[k]);
    }
    fab_conv_row row = conv_row_of(r);
    row.weights = r->op->weights + ob * r->op->weights_stride;
    row.in_step = p->pitch * stride[2];
    row.count = t->size[2];
    row.pair = blocks > 1;
    row.half = half_block(r->op, ob, blocks);
    row.pair_out = plane;
    for (int z = 0; z < t->size[0]; z++)
        for (int y = 0; y < t->size[1]; y++) {
            const ptrdiff_t at = ((ptrdiff_t)(t->at[0] + z) * out[1] + t->at[1] + y) * out[2];
            const ptrdiff_t first = (ptrdiff_t)z * stride[0] * p->halo[1] + y * stride[1];
            row.in = t->scratch + first * p->halo[2] * p->pitch;
            row.out = r->s->arena + p->out_offset + ob * plane + (at + t->at[2]) * FAB_NN_BLOCK;
            r->s->net->kernels->conv(&row);
            for (int k = 0; k < blocks; k++)
                add_row_stats(r->s, row.out + k * plane, row.count, stats[k]);
        }
}

static void conv_task(void *ctx, int64_t index, int worker)
{
    const run_op *r = ctx;
    const task t = task_of(r, index, worker);
    load_tile(r, &t);
    const int end = least((t.group + 1) * r->p->group, r->op->out_blocks);
    for (int ob = t.group * r->p->group; ob < end; ob += 2)
        conv_blocks(r, &t, ob, least(2, end - ob));
}

/* Scale and shift of the tensor's instance norm from the tiles' statistics. */
static void finish_norm(const run_op *r)
{
    const int tiles = r->p->tiles[0] * r->p->tiles[1] * r->p->tiles[2];
    const int blocks = r->op->out_blocks;
    float *scale = r->s->affine + r->s->affine_offset[r->index + 1];
    float *shift = scale + blocks * FAB_NN_BLOCK;
    for (int i = 0; i < blocks * FAB_NN_BLOCK; i++) {
        double count = 0, mean = 0, m2 = 0;
        for (int tile = 0; tile < tiles; tile++) {
            const fab_tile_stats *p = r->s->partials + tile * blocks + i / FAB_NN_BLOCK;
            const double d = p->mean[i % FAB_NN_BLOCK] - mean, all = count + p->count;
            mean += d * (p->count / all);
            m2 += p->m2[i % FAB_NN_BLOCK] + d * d * (count * p->count / all);
            count = all;
        }
        const double k = (double)r->op->gamma[i] / sqrt(m2 / count + r->s->net->config.norm_eps);
        scale[i] = (float)k;
        shift[i] = (float)((double)r->op->beta[i] - mean * k);
    }
}

/* ---- transposed convolution, head ------------------------------------------------------------ */

/* Every input voxel makes kernel-many output voxels; no two inputs meet in one output. */
static void up_task(void *ctx, int64_t index, int worker)
{
    const run_op *r = ctx;
    const task t = task_of(r, index, worker);
    const fab_net_op *op = r->op;
    const fab_op_plan *p = r->p;
    const int *k = op->kernel, *out = p->out_size;
    const ptrdiff_t plane = (ptrdiff_t)out[0] * out[1] * out[2] * FAB_NN_BLOCK;
    load_tile(r, &t);
    fab_conv_row row = conv_row_of(r);
    row.out_step = (ptrdiff_t)k[2] * FAB_NN_BLOCK;
    row.count = t.size[2];
    row.pair_out = plane;
    for (int i = 0; i < k[0] * k[1] * k[2] * op->out_blocks; i += 1 + row.pair) {
        const int position = i / op->out_blocks, ob = i % op->out_blocks;
        const int c = position % k[2], b = position / k[2] % k[1], a = position / k[2] / k[1];
        row.pair = ob + 1 < op->out_blocks;
        row.half = half_block(op, ob, 1 + row.pair);
        row.weights = op->weights + i * op->weights_stride;
        row.bias = op->bias ? op->bias + ob * FAB_NN_BLOCK : NULL;
        for (int z = 0; z < t.size[0]; z++)
            for (int y = 0; y < t.size[1]; y++) {
                const ptrdiff_t oz = (ptrdiff_t)(t.at[0] + z) * k[0] + a;
                const ptrdiff_t oy = (ptrdiff_t)(t.at[1] + y) * k[1] + b;
                const ptrdiff_t ox = (ptrdiff_t)t.at[2] * k[2] + c;
                row.in = t.scratch + ((ptrdiff_t)z * p->halo[1] + y) * p->halo[2] * p->pitch;
                row.out = r->s->arena + p->out_offset + ob * plane +
                          ((oz * out[1] + oy) * out[2] + ox) * FAB_NN_BLOCK;
                r->s->net->kernels->conv(&row);
            }
    }
}

static void head_task(void *ctx, int64_t index, int worker)
{
    const run_op *r = ctx;
    const task t = task_of(r, index, worker);
    const fab_op_plan *p = r->p;
    const int pitch = r->op->out_blocks * FAB_NN_BLOCK;
    float *logits = t.scratch + p->scratch - (size_t)p->tile[2] * (size_t)pitch;
    load_tile(r, &t);
    fab_conv_row row = conv_row_of(r);
    row.out_step = pitch;
    row.count = t.size[2];
    row.pair_out = FAB_NN_BLOCK;
    for (int z = 0; z < t.size[0]; z++)
        for (int y = 0; y < t.size[1]; y++) {
            row.in = t.scratch + ((ptrdiff_t)z * p->halo[1] + y) * p->halo[2] * p->pitch;
            for (int ob = 0; ob < r->op->out_blocks; ob += 1 + row.pair) {
                row.pair = ob + 1 < r->op->out_blocks;
                row.half = half_block(r->op, ob, 1 + row.pair);
                row.weights = r->op->weights + ob * r->op->weights_stride;
                row.bias = r->op->bias + ob * FAB_NN_BLOCK;
                row.out = logits + ob * FAB_NN_BLOCK;
                r->s->net->kernels->conv(&row);
            }
            r->s->sink(r->s->sink_ctx, t.at[0] + z, t.at[1] + y, t.at[2], t.size[2], logits,
                       pitch);
        }
}

/* ---- residual blocks ------------------------------------------------------------------------- */

/* One plane of one channel block: voxels lie one after the other. */
static void add_task(void *ctx, int64_t index, int worker)
{
    const run_op *r = ctx;
    const fab_net_session *s = r->s;
    const int *n = r->p->out_size, *terms = r->op->source;
    const int z = (int)(index % n[0]), block = (int)(index / n[0]);
    const ptrdiff_t at = ((ptrdiff_t)block * n[0] + z) * n[1] * n[2] * FAB_NN_BLOCK;
    const float *affine = s->affine + s->affine_offset[terms[0]] + block * FAB_NN_BLOCK;
    const float *skip = s->affine + s->affine_offset[terms[1]] + block * FAB_NN_BLOCK;
    const ptrdiff_t shift = (ptrdiff_t)r->op->out_blocks * FAB_NN_BLOCK;
    const float slope = (float)s->net->config.slope;
    const bool raw = fab_net_tensor_raw(s->net, terms[1]);
    (void)worker;
    s->net->kernels->add(&(fab_add_row){
        .src = tensor_data(s, terms[0]) + at, .skip = tensor_data(s, terms[1]) + at,
        .dst = s->arena + r->p->out_offset + at, .scale = affine, .shift = affine + shift,
        .skip_scale = raw ? skip : NULL, .skip_shift = raw ? skip + shift : NULL, .slope = slope,
        .skip_slope = s->net->ops[terms[1] - 1].linear ? 1.0f : slope, .count = n[1] * n[2]});
}

/* Adds `count` voxels, from `from` on, to `sum`. */
static void sum_voxels(const float *from, int count, float sum[FAB_NN_BLOCK])
{
    for (int x = 0; x < count; x++)
        for (int c = 0; c < FAB_NN_BLOCK; c++) sum[c] += from[x * FAB_NN_BLOCK + c];
}

/* Means of kernel-sized boxes, one plane of one channel block. Powers of two divide exactly, so
 * there is one rounding order: z, y, x. */
static void pool_task(void *ctx, int64_t index, int worker)
{
    const run_op *r = ctx;
    const int *n = r->p->out_size, *in = r->p->in_size, *k = r->op->kernel;
    const int z = (int)(index % n[0]), block = (int)(index / n[0]);
    const ptrdiff_t voxels = (ptrdiff_t)in[0] * in[1] * in[2];
    const float *from = tensor_data(r->s, r->op->source[0]) + block * voxels * FAB_NN_BLOCK;
    const ptrdiff_t plane = ((ptrdiff_t)block * n[0] + z) * n[1] * n[2];
    float *to = r->s->arena + r->p->out_offset + plane * FAB_NN_BLOCK;
    const float part = 1.0f / (float)(k[0] * k[1] * k[2]);
    (void)worker;
    for (int y = 0; y < n[1]; y++)
        for (int x = 0; x < n[2]; x++, to += FAB_NN_BLOCK) {
            float sum[FAB_NN_BLOCK] = {0};
            for (int i = 0; i < k[0] * k[1]; i++) {
                const ptrdiff_t iz = z * k[0] + i / k[1], iy = y * k[1] + i % k[1];
                const ptrdiff_t at = (iz * in[1] + iy) * in[2] + (ptrdiff_t)x * k[2];
                sum_voxels(from + at * FAB_NN_BLOCK, k[2], sum);
            }
            for (int c = 0; c < FAB_NN_BLOCK; c++) to[c] = sum[c] * part;
        }
}

/* ---- session --------------------------------------------------------------------------------- */

static size_t affine_floats(const fab_net *net, size_t offset[FAB_NN_MAX_OPS + 1])
{
    size_t sum = 0;
    for (int i = 0; i < net->op_count; i++) {
        offset[i + 1] = sum;
        sum += 2 * (size_t)net->ops[i].out_blocks * FAB_NN_BLOCK;
    }
    return sum;
}

size_t fab_net_session_bytes(const fab_net *net, const int patch[3])
{
    fab_net_plan plan;
    size_t offset[FAB_NN_MAX_OPS + 1];
    if (net->sequential) {
        const size_t bytes = fab_stream_bytes(net, patch);
        return bytes ? sizeof(fab_net_session) + bytes : 0;
    }
    if (fab_net_plan_make(net, patch, &plan, NULL) < 0) return 0;
    return sizeof(fab_net_session) + plan.partials * sizeof(fab_tile_stats) +
           (plan.arena + plan.scratch * (size_t)fab_threads_get() + affine_floats(net, offset)) *
               sizeof(float);
}

fab_net_session *fab_net_session_free(fab_net_session *s)
{
    if (!s) return NULL;
    fab_free(s->arena);
    fab_free(s->scratch);
    fab_free(s->partials);
    fab_free(s->affine);
    fab_stream_free(s->stream);
    return fab_free(s);
}

/* Scratch for as many workers as loops use now. */
static fab_status fit_workers(fab_net_session *s, fab_error *err)
{
    const int workers = fab_threads_get();
    if (workers <= s->workers) return FAB_OK;
    float *scratch =
        fab_alloc_aligned(64, s->plan.scratch * (size_t)workers * sizeof *scratch);
    if (!scratch) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d workers' scratch", workers);
    fab_free(s->scratch);
    s->scratch = scratch;
    s->workers = workers;
    return FAB_OK;
}

static fab_status create_arena(fab_net_session *s, const int patch[3], fab_error *err)
{
    FAB_TRY(fab_net_plan_make(s->net, patch, &s->plan, err));
    s->plan.scratch = (s->plan.scratch + 15) / 16 * 16;
    s->arena = fab_alloc_aligned(64, s->plan.arena * sizeof *s->arena);
    s->partials = fab_alloc_array(s->plan.partials, sizeof *s->partials);
    s->affine = fab_alloc_array(affine_floats(s->net, s->affine_offset), sizeof *s->affine);
    if (!s->arena || !s->partials || !s->affine)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a patch of %d x %d x %d voxels (%zu MiB)",
                 patch[0], patch[1], patch[2], fab_net_session_bytes(s->net, patch) >> 20);
    return fit_workers(s, err);
}

static fab_status create_stream(fab_net_session *s, const int size[3], fab_error *err)
{
    memcpy(s->plan.size[0], size, sizeof s->plan.size[0]);
    return fab_stream_create(s->net, size, &s->stream, err);
}

fab_status fab_net_session_create(const fab_net *net, const int patch[3], fab_net_session **out,
                                  fab_error *err)
{
    FAB_AUTO(fab_net_session_free) fab_net_session *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network session");
    s->net = net;
    FAB_TRY(net->sequential ? create_stream(s, patch, err) : create_arena(s, patch, err));
    *out = s;
    s = NULL;
    return FAB_OK;
}

static void load_task(void *ctx, int64_t index, int worker)
{
    const run_op *r = ctx;
    const task t = task_of(r, index, worker);
    load_tile(r, &t);
}

/* Loads the tiles of the operation once more: its sources are alive until it is done. */
static void time_loads(run_op *r, int64_t count)
{
    const double cpu_s = fab_time_cpu_s();
    if (r->op->kind == FAB_OP_POOL || r->op->kind == FAB_OP_ADD) return; /* nothing is loaded */
    fab_parallel_for(count, load_task, r);
    r->s->profile[r->index].load_cpu_s += fab_time_cpu_s() - cpu_s;
}

void fab_net_session_progress(fab_net_session *s, const fab_progress *progress)
{
    s->progress = progress;
}

fab_status fab_net_session_run(fab_net_session *s, const float *input, fab_net_sink sink,
                               void *ctx, fab_error *err)
{
    static void (*const tasks[])(void *, int64_t, int) = {
        [FAB_OP_CONV] = conv_task, [FAB_OP_UP] = up_task, [FAB_OP_HEAD] = head_task,
        [FAB_OP_POOL] = pool_task, [FAB_OP_ADD] = add_task};
    if (s->stream) return fab_stream_run(s->stream, s, input, sink, ctx, err);
    FAB_TRY(fit_workers(s, err));
    s->input = input;
    s->sink = sink;
    s->sink_ctx = ctx;
    for (int i = 0; i < s->net->op_count; i++) {
        run_op r = {s, &s->net->ops[i], &s->plan.ops[i], i};
        const int *n = r.p->tiles;
        const int64_t count = (int64_t)n[0] * n[1] * n[2] * r.p->groups;
        fab_nn_clock clock;
        fab_nn_profile_begin(s, &clock);
        fab_parallel_for(count, tasks[r.op->kind], &r);
        if (r.op->kind == FAB_OP_CONV) finish_norm(&r);
        fab_nn_profile_end(s, i, &clock);
        if (s->profile_loads) time_loads(&r, count);
    }
    return FAB_OK;
}

typedef struct planar {
    float *logits;
    int classes;
    const int *size;
} planar;

static void planar_sink(void *ctx, int z, int y, int x0, int count, const float *logits, int pitch)
{
    const planar *p = ctx;
    const ptrdiff_t plane = (ptrdiff_t)p->size[0] * p->size[1] * p->size[2];
    float *to = p->logits + ((ptrdiff_t)z * p->size[1] + y) * p->size[2] + x0;
    for (int c = 0; c < p->classes; c++)
        for (int x = 0; x < count; x++) to[c * plane + x] = logits[x * pitch + c];
}

fab_status fab_net_session_logits(fab_net_session *s, const float *input, float *logits,
                                  fab_error *err)
{
    planar p = {logits, s->net->config.classes, s->plan.size[0]};
    return fab_net_session_run(s, input, planar_sink, &p, err);
}
