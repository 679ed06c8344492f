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
#include "bf16.h"
#include "run_internal.h"

fab_task fab_nn_task_of(const fab_run_op *r, int64_t index, int worker)
{
    const fab_op_plan *p = r->p;
    const int64_t tiles = (int64_t)p->tiles[0] * p->tiles[1] * p->tiles[2];
    fab_task t = {.tile = (int)(index % tiles), .group = (int)(index / tiles)};
    const int tile[3] = {t.tile / (p->tiles[1] * p->tiles[2]), t.tile / p->tiles[2] % p->tiles[1],
                         t.tile % p->tiles[2]};
    const bool conv = r->op->kind == FAB_OP_CONV;
    for (int a = 0; a < 3; a++) {
        const int whole = r->op->kind == FAB_OP_UP ? p->in_size[a] : p->out_size[a];
        const int stride = conv ? r->op->stride[a] : 1, kernel = conv ? r->op->kernel[a] : 1;
        t.at[a] = tile[a] * p->tile[a];
        t.size[a] = fab_nn_least(p->tile[a], whole - t.at[a]);
        t.from[a] = t.at[a] * stride - kernel / 2;
        t.halo[a] = (t.size[a] - 1) * stride + kernel;
    }
    t.scratch = r->s->scratch + (size_t)worker * r->s->plan.scratch;
    return t;
}

/* ---- convolution ---------------------------------------------------------------------------- */

void fab_nn_add_row_stats(const fab_net_session *s, const float *row, int count,
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

static fab_conv_row conv_row_of(const fab_run_op *r)
{
    const fab_op_plan *p = r->p;
    const ptrdiff_t plane = (ptrdiff_t)p->halo[0] * p->halo[1] * p->halo[2] * p->pitch;
    const int planes = r->s->net->kernels->planes;
    return (fab_conv_row){
        .in_block = plane * (planes ? planes : 1), .in_low = plane, .tap = p->tap,
        .taps = p->taps, .channels = r->op->spans, .blocks = r->op->groups, .in_step = p->pitch,
        .out_step = FAB_NN_BLOCK, .pair_weights = r->op->weights_stride};
}

/* The weights of the `index`-th output block (UP: of all positions'). */
static const void *weights_at(const fab_run_op *r, int index)
{
    return (const char *)r->op->weights +
           index * r->op->weights_stride * (ptrdiff_t)fab_nn_scratch_bytes(r->s->net->kernels);
}

/* Where the outputs of a row belong: value `at` of the operation's tensor, the pair's second block
 * `plane` values on, voxels `step` values apart. */
typedef struct place {
    ptrdiff_t at, plane, step;
} place;

/* Computes a row into its place; *row says afterwards where its sums can be read. */
static void conv_into(const fab_run_op *r, const fab_task *t, const place *to, fab_conv_row *row)
{
    const fab_nn_kernels *k = r->s->net->kernels;
    const size_t first = r->p->out_offset + (size_t)to->at;
    const int room = FAB_NN_ROW_VOXELS;
    row->out = k->store ? t->scratch + r->p->row : fab_nn_arena_at(r->s, first);
    row->out_step = k->store ? FAB_NN_BLOCK : to->step;
    row->pair_out = k->store ? (row->count + room - 1) / room * room * FAB_NN_BLOCK : to->plane;
    k->conv(row);
    for (int i = 0; i <= row->pair && k->store; i++)
        k->store(&(fab_store_row){row->out + i * row->pair_out,
                                  fab_nn_arena_at(r->s, first + (size_t)(i * to->plane)),
                                  to->step, row->count});
}

static void conv_blocks(const fab_run_op *r, const fab_task *t, int ob, int blocks)
{
    const fab_op_plan *p = r->p;
    const int *out = p->out_size;
    const ptrdiff_t plane = (ptrdiff_t)out[0] * out[1] * out[2] * FAB_NN_BLOCK;
    fab_tile_stats *stats[2];
    for (int k = 0; k < blocks; k++) {
        stats[k] = r->s->partials + (ptrdiff_t)t->tile * r->op->out_blocks + ob + k;
        memset(stats[k], 0, sizeof *stats[k]);
    }
    fab_conv_row row = conv_row_of(r);
    row.weights = weights_at(r, ob);
    row.in_step = p->pitch * p->step[2];
    row.count = t->size[2];
    row.pair = blocks > 1;
    row.half = half_block(r->op, ob, blocks);
    for (int z = 0; z < t->size[0]; z++)
        for (int y = 0; y < t->size[1]; y++) {
            const ptrdiff_t at = ((ptrdiff_t)(t->at[0] + z) * out[1] + t->at[1] + y) * out[2];
            const ptrdiff_t first = (ptrdiff_t)z * p->step[0] * p->halo[1] + y * p->step[1];
            const place to = {ob * plane + (at + t->at[2]) * FAB_NN_BLOCK, plane, FAB_NN_BLOCK};
            row.in = fab_nn_scratch_at(r, t, first * p->halo[2] * p->pitch);
            conv_into(r, t, &to, &row);
            for (int k = 0; k < blocks; k++)
                fab_nn_add_row_stats(r->s, row.out + k * row.pair_out, row.count, stats[k]);
        }
}

static void conv_task(void *ctx, int64_t index, int worker)
{
    const fab_run_op *r = ctx;
    const fab_task t = fab_nn_task_of(r, index, worker);
    if (r->p->side) {
        fab_winograd_task(r, &t);
        return;
    }
    fab_nn_load_tile(r, &t);
    const int end = fab_nn_least((t.group + 1) * r->p->group, r->op->out_blocks);
    for (int ob = t.group * r->p->group; ob < end; ob += 2)
        conv_blocks(r, &t, ob, fab_nn_least(2, end - ob));
}

/* Mean and sum of squared differences of an output block's channels, over all tiles. */
static void merge_tiles(const fab_run_op *r, int block, fab_tile_stats *sum)
{
    const int64_t tiles = fab_nn_volume(r->p->tiles);
    memset(sum, 0, sizeof *sum);
    for (int64_t tile = 0; tile < tiles; tile++) {
        const fab_tile_stats *p = r->s->partials + tile * r->op->out_blocks + block;
        const double all = sum->count + p->count;
        const double share = p->count / all, both = sum->count * p->count / all;
        for (int c = 0; c < FAB_NN_BLOCK; c++) {
            const double d = p->mean[c] - sum->mean[c];
            sum->mean[c] += d * share;
            sum->m2[c] += p->m2[c] + d * d * both;
        }
        sum->count = all;
    }
}

/* Scale and shift of the tensor's instance norm from the tiles' statistics. */
static void finish_norm(const fab_run_op *r)
{
    const int blocks = r->op->out_blocks;
    float *scale = r->s->affine + r->s->affine_offset[r->index + 1];
    float *shift = scale + blocks * FAB_NN_BLOCK;
    fab_tile_stats sum;
    for (int i = 0; i < blocks * FAB_NN_BLOCK; i++) {
        const int c = i % FAB_NN_BLOCK;
        if (c == 0) merge_tiles(r, i / FAB_NN_BLOCK, &sum);
        const double deviation = sqrt(sum.m2[c] / sum.count + r->s->net->config.norm_eps);
        const double k = (double)r->op->gamma[i] / deviation;
        if (r->s->norms) {
            float *norm = r->s->norms + (scale - r->s->affine);
            norm[i] = (float)sum.mean[c];
            norm[blocks * FAB_NN_BLOCK + i] = (float)(1 / deviation);
        }
        scale[i] = (float)k;
        shift[i] = (float)((double)r->op->beta[i] - sum.mean[c] * k);
    }
}

/* ---- transposed convolution, head ------------------------------------------------------------ */

/* Every input voxel makes kernel-many output voxels; no two inputs meet in one output. */
static void up_task(void *ctx, int64_t index, int worker)
{
    const fab_run_op *r = ctx;
    const fab_task t = fab_nn_task_of(r, index, worker);
    const fab_net_op *op = r->op;
    const fab_op_plan *p = r->p;
    const int *k = op->kernel, *out = p->out_size;
    const ptrdiff_t plane = (ptrdiff_t)out[0] * out[1] * out[2] * FAB_NN_BLOCK;
    fab_nn_load_tile(r, &t);
    fab_conv_row row = conv_row_of(r);
    row.count = t.size[2];
    for (int i = 0; i < k[0] * k[1] * k[2] * op->out_blocks; i += 1 + row.pair) {
        const int position = i / op->out_blocks, ob = i % op->out_blocks;
        const int c = position % k[2], b = position / k[2] % k[1], a = position / k[2] / k[1];
        row.pair = ob + 1 < op->out_blocks;
        row.half = half_block(op, ob, 1 + row.pair);
        row.weights = weights_at(r, i);
        row.bias = op->bias ? op->bias + ob * FAB_NN_BLOCK : NULL;
        for (int z = 0; z < t.size[0]; z++)
            for (int y = 0; y < t.size[1]; y++) {
                const ptrdiff_t oz = (ptrdiff_t)(t.at[0] + z) * k[0] + a;
                const ptrdiff_t oy = (ptrdiff_t)(t.at[1] + y) * k[1] + b;
                const ptrdiff_t ox = (ptrdiff_t)t.at[2] * k[2] + c;
                const ptrdiff_t at = (oz * out[1] + oy) * out[2] + ox;
                const place to = {ob * plane + at * FAB_NN_BLOCK, plane,
                                  (ptrdiff_t)k[2] * FAB_NN_BLOCK};
                const ptrdiff_t first = ((ptrdiff_t)z * p->halo[1] + y) * p->halo[2];
                row.in = fab_nn_scratch_at(r, &t, first * p->pitch);
                conv_into(r, &t, &to, &row);
            }
    }
}

static void head_task(void *ctx, int64_t index, int worker)
{
    const fab_run_op *r = ctx;
    const fab_task t = fab_nn_task_of(r, index, worker);
    const fab_op_plan *p = r->p;
    const int pitch = r->op->out_blocks * FAB_NN_BLOCK;
    float *logits = t.scratch + p->row;
    fab_nn_load_tile(r, &t);
    fab_conv_row row = conv_row_of(r);
    row.out_step = pitch;
    row.count = t.size[2];
    row.pair_out = FAB_NN_BLOCK;
    for (int z = 0; z < t.size[0]; z++)
        for (int y = 0; y < t.size[1]; y++) {
            const ptrdiff_t first = ((ptrdiff_t)z * p->halo[1] + y) * p->halo[2];
            row.in = fab_nn_scratch_at(r, &t, first * p->pitch);
            for (int ob = 0; ob < r->op->out_blocks; ob += 1 + row.pair) {
                row.pair = ob + 1 < r->op->out_blocks;
                row.half = half_block(r->op, ob, 1 + row.pair);
                row.weights = weights_at(r, ob);
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
    const fab_run_op *r = ctx;
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
        .src = fab_nn_tensor_at(s, terms[0], at), .skip = fab_nn_tensor_at(s, terms[1], at),
        .dst = fab_nn_tensor_at(s, r->index + 1, at), .scale = affine, .shift = affine + shift,
        .skip_scale = raw ? skip : NULL, .skip_shift = raw ? skip + shift : NULL, .slope = slope,
        .skip_slope = s->net->ops[terms[1] - 1].linear ? 1.0f : slope, .count = n[1] * n[2]});
}

/* Adds `count` voxels, from `from` on, to `sum`. */
static void sum_voxels(const void *from, bool half, int count, float sum[FAB_NN_BLOCK])
{
    const float *whole = from;
    const uint16_t *halves = from;
    for (int x = 0; x < count; x++)
        for (int c = 0; c < FAB_NN_BLOCK; c++)
            sum[c] += half ? fab_bf16_widen(halves[x * FAB_NN_BLOCK + c])
                           : whole[x * FAB_NN_BLOCK + c];
}

/* Means of kernel-sized boxes, one plane of one channel block. Powers of two divide exactly, so
 * there is one rounding order: z, y, x. */
static void pool_task(void *ctx, int64_t index, int worker)
{
    const fab_run_op *r = ctx;
    const int *n = r->p->out_size, *in = r->p->in_size, *k = r->op->kernel;
    const int z = (int)(index % n[0]), block = (int)(index / n[0]);
    const ptrdiff_t voxels = block * ((ptrdiff_t)in[0] * in[1] * in[2]);
    const fab_nn_kernels *kernels = r->s->net->kernels;
    ptrdiff_t to = ((ptrdiff_t)block * n[0] + z) * n[1] * n[2] * FAB_NN_BLOCK;
    const float part = 1.0f / (float)(k[0] * k[1] * k[2]);
    (void)worker;
    for (int y = 0; y < n[1]; y++)
        for (int x = 0; x < n[2]; x++, to += FAB_NN_BLOCK) {
            float sum[FAB_NN_BLOCK] = {0};
            for (int i = 0; i < k[0] * k[1]; i++) {
                const ptrdiff_t iz = z * k[0] + i / k[1], iy = y * k[1] + i % k[1];
                const ptrdiff_t at = voxels + (iz * in[1] + iy) * in[2] + (ptrdiff_t)x * k[2];
                sum_voxels(fab_nn_tensor_at(r->s, r->op->source[0], at * FAB_NN_BLOCK),
                           kernels->half_tensors, k[2], sum);
            }
            for (int c = 0; c < FAB_NN_BLOCK; c++) sum[c] *= part;
            void *mean = fab_nn_tensor_at(r->s, r->index + 1, to);
            if (kernels->store) kernels->store(&(fab_store_row){sum, mean, FAB_NN_BLOCK, 1});
            else memcpy(mean, sum, sizeof sum);
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
    if (fab_net_plan_make(net, patch, false, &plan, NULL) < 0) return 0;
    return sizeof(fab_net_session) + plan.partials * sizeof(fab_tile_stats) +
           plan.arena * fab_nn_tensor_bytes(net->kernels) +
           (plan.winograd + plan.scratch * (size_t)fab_threads_get() + affine_floats(net, offset)) *
               sizeof(float);
}

fab_net_session *fab_net_session_free(fab_net_session *s)
{
    if (!s) return NULL;
    fab_free(s->arena);
    fab_free(s->scratch);
    fab_free(s->winograd);
    fab_free(s->partials);
    fab_free(s->affine);
    fab_free(s->norms);
    fab_stream_free(s->stream);
    return fab_free(s);
}

/* Scratch for as many workers as loops use now. */
static fab_status fit_workers(fab_net_session *s, fab_error *err)
{
    const int workers = fab_threads_get();
    if (workers <= s->workers) return FAB_OK;
    float *scratch = fab_alloc_large(s->plan.scratch * (size_t)workers * sizeof *scratch);
    if (!scratch) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d workers' scratch", workers);
    fab_free(s->scratch);
    s->scratch = scratch;
    s->workers = workers;
    return FAB_OK;
}

static fab_status create_arena(fab_net_session *s, const int patch[3], fab_error *err)
{
    FAB_TRY(fab_net_plan_make(s->net, patch, s->keep, &s->plan, err));
    s->plan.scratch = (s->plan.scratch + 15) / 16 * 16;
    s->arena = fab_alloc_large(s->plan.arena * fab_nn_tensor_bytes(s->net->kernels));
    s->winograd = fab_alloc_large((s->plan.winograd + 16) * sizeof *s->winograd);
    s->partials = fab_alloc_array(s->plan.partials, sizeof *s->partials);
    s->affine = fab_alloc_array(affine_floats(s->net, s->affine_offset), sizeof *s->affine);
    if (!s->arena || !s->winograd || !s->partials || !s->affine)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a patch of %d x %d x %d voxels (%zu MiB)",
                 patch[0], patch[1], patch[2], fab_net_session_bytes(s->net, patch) >> 20);
    return fit_workers(s, err);
}

static fab_status create_stream(fab_net_session *s, const int size[3], fab_error *err)
{
    memcpy(s->plan.size[0], size, sizeof s->plan.size[0]);
    return fab_stream_create(s->net, size, &s->stream, err);
}

static fab_status create_session(const fab_net *net, const int patch[3], bool keep,
                                 fab_net_session **out, fab_error *err)
{
    FAB_AUTO(fab_net_session_free) fab_net_session *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network session");
    s->net = net;
    s->keep = keep;
    FAB_TRY(net->sequential ? create_stream(s, patch, err) : create_arena(s, patch, err));
    *out = s;
    s = NULL;
    return FAB_OK;
}

fab_status fab_net_session_create(const fab_net *net, const int patch[3], fab_net_session **out,
                                  fab_error *err)
{
    return create_session(net, patch, false, out, err);
}

fab_status fab_nn_session_create_kept(const fab_net *net, const int patch[3],
                                      fab_net_session **out, fab_error *err)
{
    FAB_AUTO(fab_net_session_free) fab_net_session *s = NULL;
    FAB_TRY(create_session(net, patch, true, &s, err));
    s->norms = fab_alloc_array(affine_floats(net, s->affine_offset), sizeof *s->norms);
    if (!s->norms) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network session");
    *out = s;
    s = NULL;
    return FAB_OK;
}

static void load_task(void *ctx, int64_t index, int worker)
{
    const fab_run_op *r = ctx;
    const fab_task t = fab_nn_task_of(r, index, worker);
    if (r->p->side) fab_winograd_load(r, &t);
    else fab_nn_load_tile(r, &t);
}

/* Loads the tiles of the operation once more: its sources are alive until it is done. */
static void time_loads(fab_run_op *r, int64_t count)
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

static void run_task(void *ctx, int64_t index, int worker)
{
    static void (*const tasks[])(void *, int64_t, int) = {
        [FAB_OP_CONV] = conv_task, [FAB_OP_UP] = up_task, [FAB_OP_HEAD] = head_task,
        [FAB_OP_POOL] = pool_task, [FAB_OP_ADD] = add_task};
    const fab_run_op *r = ctx;
    const fab_nn_kernels *k = r->s->net->kernels;
    if (k->begin) k->begin();
    tasks[r->op->kind](ctx, index, worker);
    if (k->end) k->end();
}

void fab_nn_run_op(fab_net_session *s, int op)
{
    fab_run_op r = {s, &s->net->ops[op], &s->plan.ops[op], op};
    const int *n = r.p->tiles;
    if (r.p->side)
        fab_parallel_for((int64_t)r.op->out_blocks * r.op->blocks, fab_winograd_weights_task, &r);
    fab_parallel_for((int64_t)n[0] * n[1] * n[2] * r.p->groups, run_task, &r);
}

fab_status fab_net_session_run(fab_net_session *s, const float *input, fab_net_sink sink,
                               void *ctx, fab_error *err)
{
    if (s->stream) return fab_stream_run(s->stream, s, input, sink, ctx, err);
    FAB_TRY(fit_workers(s, err));
    s->input = input;
    s->sink = sink;
    s->sink_ctx = ctx;
    for (int i = 0; i < s->net->op_count; i++) {
        fab_run_op r = {s, &s->net->ops[i], &s->plan.ops[i], i};
        const int *n = r.p->tiles;
        const int64_t count = (int64_t)n[0] * n[1] * n[2] * r.p->groups;
        fab_nn_clock clock;
        fab_nn_profile_begin(s, &clock);
        fab_nn_run_op(s, i);
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
