/* stream.c - runs a chain of convolutions over a whole volume, plane by plane along z.
 *
 * A layer with dilation d needs planes z - d, z and z + d of its input to make its plane z. Each
 * layer's input is therefore a ring of 2 d + 1 planes, and the layers run one behind the other:
 *
 *     input  ....|=ring=|                         each "=" a plane held, "." given up
 *     layer 0     ....|==ring==|
 *     layer 1           ....|====ring====|
 *     head                     ....-> rows of logits to the sink
 *
 * No plane is computed twice and none is kept longer than it is needed, so the result is the whole
 * volume's and memory does not grow with z. Planes have a border of d zeros in y and x, and each
 * ring one plane of zeros for z outside the volume: every tap of the kernel is then a constant
 * offset, and the convolution reads the ring itself, without a copy.
 *
 * A task takes every d-th row: neighbours in that order share two thirds of their input rows,
 * which stay in the second-level cache.
 */
#include <string.h>

#include "nn_internal.h"

#define TASK_ROWS 16

/* The input of operation i; `done` counts the planes made of it so far. */
typedef struct ring {
    int pad[3];         /* dilation * (kernel / 2) */
    int rows, row;      /* of a padded plane, voxels */
    int pitch;          /* floats a voxel of a block: 16, or all of a narrower network's input */
    ptrdiff_t block;    /* floats of one channel block of a plane */
    ptrdiff_t plane;    /* floats of a plane */
    int slots;          /* planes; one more, of zeros, lies behind them */
    size_t offset;      /* in the arena, floats */
    int done;
} ring;

struct fab_stream {
    const fab_net *net;
    int size[3], workers;
    ring rings[FAB_SEQUENTIAL_MAX_LAYERS];
    size_t arena_floats, scratch_floats; /* scratch: of one worker */
    float *arena, *scratch;
};

typedef struct stream_plane {
    fab_stream *s;
    int op, z;           /* the output's */
    int32_t tap[FAB_NN_MAX_TAPS];
    const float *input;  /* feeding */
    fab_net_sink sink;
    void *sink_ctx;
} stream_plane;

/* ---- where everything lies ------------------------------------------------------------------- */

static fab_status plan_ring(const fab_net *net, int i, const int size[3], ring *r, fab_error *err)
{
    const fab_net_op *op = &net->ops[i];
    for (int a = 0; a < 3; a++) r->pad[a] = op->dilation[a] * (op->kernel[a] / 2);
    r->rows = size[1] + 2 * r->pad[1];
    r->row = size[2] + 2 * r->pad[2];
    r->pitch = i == 0 ? op->channels[0] : FAB_NN_BLOCK;
    r->block = (ptrdiff_t)r->rows * r->row * r->pitch;
    r->plane = r->block * op->blocks;
    r->slots = 2 * r->pad[0] + 1;
    if (r->plane > INT32_MAX / (r->slots + 1))
        FAB_FAIL(err, FAB_ERR_LIMIT,
                 "layer %d: %d planes of %d x %d voxels with %d channels are above the limit", i,
                 r->slots, r->rows, r->row, fab_net_tensor_channels(net, i));
    return FAB_OK;
}

static fab_status plan(const fab_net *net, const int size[3], fab_stream *s, fab_error *err)
{
    int widest = 1;
    int64_t voxels = 1;
    for (int a = 0; a < 3; a++) {
        if (size[a] < 1 || size[a] > FAB_MAX_DIM)
            FAB_FAIL(err, FAB_ERR_ARG, "size %d on axis %d (z, y, x) is not from 1 to %d", size[a],
                     a, FAB_MAX_DIM);
        voxels *= size[a];
        s->size[a] = size[a];
    }
    if (voxels > FAB_MAX_PATCH_VOXELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%d x %d x %d voxels are above the limit of %lld", size[0],
                 size[1], size[2], (long long)FAB_MAX_PATCH_VOXELS);
    s->net = net;
    s->arena_floats = 0;
    for (int i = 0; i < net->op_count; i++) {
        ring *r = &s->rings[i];
        FAB_TRY(plan_ring(net, i, size, r, err));
        r->offset = s->arena_floats;
        s->arena_floats += ((size_t)r->plane * (size_t)(r->slots + 1) + 15) / 16 * 16;
        if (net->ops[i].out_blocks > widest) widest = net->ops[i].out_blocks;
    }
    /* a row of the last layer's blocks, and the same row as the sink wants it */
    s->scratch_floats = 2 * (size_t)widest * FAB_NN_BLOCK * (size_t)size[2];
    return FAB_OK;
}

size_t fab_stream_bytes(const fab_net *net, const int size[3])
{
    fab_stream s;
    if (plan(net, size, &s, NULL) < 0) return 0;
    return sizeof s + sizeof(float) * (s.arena_floats +
                                       s.scratch_floats * (size_t)fab_threads_get());
}

/* ---- one plane of one layer ------------------------------------------------------------------ */

static float *ring_plane(const fab_stream *s, int i, int z)
{
    const ring *r = &s->rings[i];
    return s->arena + r->offset + (z % r->slots) * r->plane;
}

/* Offsets of the kernel's taps from the first voxel of a row of the ring's buffer. */
static void set_taps(stream_plane *p)
{
    const ring *r = &p->s->rings[p->op];
    const fab_net_op *op = &p->s->net->ops[p->op];
    int n = 0;
    for (int kz = 0; kz < op->kernel[0]; kz++) {
        const int z = p->z + kz * op->dilation[0] - r->pad[0];
        const int slot = z < 0 || z >= p->s->size[0] ? r->slots : z % r->slots;
        for (int ky = 0; ky < op->kernel[1]; ky++)
            for (int kx = 0; kx < op->kernel[2]; kx++)
                p->tap[n++] = (int32_t)(slot * r->plane +
                                        ((ptrdiff_t)ky * op->dilation[1] * r->row +
                                         (ptrdiff_t)kx * op->dilation[2]) * r->pitch);
    }
}

static void finish_row(const fab_stream *s, const fab_net_op *op, float *row, int block)
{
    const fab_norm_row n = {row, row, op->gamma + block * FAB_NN_BLOCK,
                            op->beta + block * FAB_NN_BLOCK, op->slope, s->size[2]};
    if (op->activation == FAB_ACTIVATION_ELU) s->net->kernels->elu(&n);
    else s->net->kernels->norm(&n);
}

/* Row y of every output block; block b goes to out + b * out_block. */
static void make_row(const stream_plane *p, int y, float *out, ptrdiff_t out_block)
{
    const fab_stream *s = p->s;
    const ring *r = &s->rings[p->op];
    const fab_net_op *op = &s->net->ops[p->op];
    fab_conv_row row = {
        .in = s->arena + r->offset + (ptrdiff_t)y * r->row * r->pitch, .in_block = r->block,
        .tap = p->tap, .taps = op->taps, .channels = op->spans, .blocks = op->groups,
        .in_step = r->pitch, .out_step = FAB_NN_BLOCK, .count = s->size[2],
        .pair_weights = op->weights_stride, .pair_out = out_block};
    for (int ob = 0; ob < op->out_blocks; ob += 1 + row.pair) {
        row.pair = ob + 1 < op->out_blocks;
        row.half = op->outputs - (ob + row.pair) * FAB_NN_BLOCK <= FAB_NN_BLOCK / 2;
        row.weights = (const float *)op->weights + ob * op->weights_stride;
        row.bias = op->bias ? op->bias + ob * FAB_NN_BLOCK : NULL;
        row.out = out + ob * out_block;
        s->net->kernels->conv(&row);
        for (int k = 0; k <= row.pair; k++) finish_row(s, op, row.out + k * out_block, ob + k);
    }
}

/* A row of logits: from blocks to voxels. */
static void sink_row(const stream_plane *p, int y, int worker)
{
    const fab_stream *s = p->s;
    const int blocks = s->net->ops[p->op].out_blocks, pitch = blocks * FAB_NN_BLOCK;
    const ptrdiff_t block = (ptrdiff_t)s->size[2] * FAB_NN_BLOCK;
    float *row = s->scratch + (size_t)worker * s->scratch_floats;
    float *logits = row + blocks * block;
    make_row(p, y, row, block);
    for (int x = 0; x < s->size[2]; x++)
        for (int b = 0; b < blocks; b++)
            memcpy(logits + (ptrdiff_t)x * pitch + b * FAB_NN_BLOCK,
                   row + b * block + (ptrdiff_t)x * FAB_NN_BLOCK, FAB_NN_BLOCK * sizeof *row);
    p->sink(p->sink_ctx, p->z, y, 0, s->size[2], logits, pitch);
}

/* Rows first, first + d, first + 2 d, ... of one residue class of d, TASK_ROWS of them at most. */
static int classes_of(const stream_plane *p)
{
    const int d = p->s->net->ops[p->op].kernel[1] > 1 ? p->s->net->ops[p->op].dilation[1] : 1;
    return fab_nn_least(d, p->s->size[1]);
}

static int chunks_of(const stream_plane *p, int classes)
{
    const int rows = (p->s->size[1] + classes - 1) / classes;
    return (rows + TASK_ROWS - 1) / TASK_ROWS;
}

static void rows_task(void *ctx, int64_t index, int worker)
{
    const stream_plane *p = ctx;
    fab_stream *s = p->s;
    const int classes = classes_of(p), chunk = (int)index / classes;
    const int first = (int)index % classes + chunk * TASK_ROWS * classes;
    const int last = fab_nn_least(s->size[1], first + TASK_ROWS * classes);
    const bool head = p->op + 1 == s->net->op_count;
    const ring *next = &s->rings[head ? 0 : p->op + 1];
    for (int y = first; y < last; y += classes) {
        if (head) {
            sink_row(p, y, worker);
            continue;
        }
        const ptrdiff_t at = (ptrdiff_t)(y + next->pad[1]) * next->row + next->pad[2];
        make_row(p, y, ring_plane(s, p->op + 1, p->z) + at * FAB_NN_BLOCK, next->block);
    }
}

/* Row y of the network's input: from planes of channels to voxels. */
static void feed_task(void *ctx, int64_t y, int worker)
{
    const stream_plane *p = ctx;
    const fab_stream *s = p->s;
    const ring *r = &s->rings[0];
    const ptrdiff_t channel = (ptrdiff_t)s->size[0] * s->size[1] * s->size[2];
    const float *from = p->input + ((ptrdiff_t)p->z * s->size[1] + y) * s->size[2];
    float *to = ring_plane(s, 0, p->z) + ((y + r->pad[1]) * r->row + r->pad[2]) * r->pitch;
    (void)worker;
    for (int c = 0; c < s->net->config.input_channels; c++, from += channel) {
        float *value = to + c / FAB_NN_BLOCK * r->block + c % FAB_NN_BLOCK;
        for (int x = 0; x < s->size[2]; x++) value[(ptrdiff_t)x * r->pitch] = from[x];
    }
}

/* ---- the volume ------------------------------------------------------------------------------ */

/* Makes the next plane of operation p->op if its input is there. */
static bool advance(stream_plane *p, int *made)
{
    const ring *r = &p->s->rings[p->op];
    const int depth = p->s->size[0];
    if (*made == depth || fab_nn_least(*made + r->pad[0] + 1, depth) > r->done) return false;
    const int classes = classes_of(p);
    p->z = (*made)++;
    set_taps(p);
    fab_parallel_for((int64_t)classes * chunks_of(p, classes), rows_task, p);
    return true;
}

/* Scratch for as many workers as loops use now. */
static fab_status fit_workers(fab_stream *s, fab_error *err)
{
    const int workers = fab_threads_get();
    if (workers <= s->workers) return FAB_OK;
    float *scratch = fab_alloc_aligned(64, s->scratch_floats * (size_t)workers * sizeof *scratch);
    if (!scratch) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d workers' scratch", workers);
    fab_free(s->scratch);
    s->scratch = scratch;
    s->workers = workers;
    return FAB_OK;
}

fab_status fab_stream_run(fab_stream *s, const fab_net_session *owner, const float *input,
                          fab_net_sink sink, void *sink_ctx, fab_error *err)
{
    const int ops = s->net->op_count;
    int finished = 0;
    stream_plane p = {.s = s, .input = input, .sink = sink, .sink_ctx = sink_ctx};
    FAB_TRY(fit_workers(s, err));
    for (int i = 0; i < ops; i++) s->rings[i].done = 0;
    while (finished < s->size[0]) {
        FAB_TRY(fab_progress_step(owner->progress, "segment", (double)finished / s->size[0], err));
        if (s->rings[0].done < s->size[0]) {
            p.z = s->rings[0].done++;
            fab_parallel_for(s->size[1], feed_task, &p);
        }
        for (p.op = 0; p.op < ops; p.op++) {
            fab_nn_clock clock;
            fab_nn_profile_begin(owner, &clock);
            if (advance(&p, p.op + 1 < ops ? &s->rings[p.op + 1].done : &finished))
                fab_nn_profile_end(owner, p.op, &clock);
        }
    }
    return FAB_OK;
}

fab_stream *fab_stream_free(fab_stream *s)
{
    if (!s) return NULL;
    fab_free(s->arena);
    fab_free(s->scratch);
    return fab_free(s);
}

fab_status fab_stream_create(const fab_net *net, const int size[3], fab_stream **out,
                             fab_error *err)
{
    FAB_AUTO(fab_stream_free) fab_stream *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network session");
    FAB_TRY(plan(net, size, s, err));
    s->arena = s->arena_floats <= FAB_MAX_ALLOC_BYTES / sizeof *s->arena
                   ? fab_alloc_aligned(64, s->arena_floats * sizeof *s->arena) : NULL;
    if (!s->arena)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d x %d x %d voxels (%zu MiB)", size[0],
                 size[1], size[2], s->arena_floats * sizeof *s->arena >> 20);
    memset(s->arena, 0, s->arena_floats * sizeof *s->arena); /* the borders stay so */
    FAB_TRY(fit_workers(s, err));
    *out = s;
    s = NULL;
    return FAB_OK;
}
