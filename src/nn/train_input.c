/* train_input.c - the gradient of an operation's input from that of its result.
 *
 * A convolution's input gradient is a convolution of the result's gradient with the kernel turned
 * round and inputs and outputs exchanged. Where that kernel is 3x3x3 with stride 1 it runs as
 * such, by Winograd (winograd.c). Otherwise inputs fall into classes, one for each remainder of
 * their place by the stride: along an axis, input s n + r gets tap t of result
 * n + (r + k/2 - t) / s wherever that is whole. A transposed convolution has one class, whose
 * taps lie s apart; so has the head.
 */
#include <string.h>

#include "train_internal.h"

#define MAX_CLASSES 64
#define TILE_X 32
#define TILE_Y 8
#define TILE_Z 4

typedef struct input_class {
    int place[3];  /* of its inputs, by the stride */
    int taps;
    int32_t tap[FAB_NN_MAX_TAPS];  /* offset in scratch, floats */
    int kernel_tap[FAB_NN_MAX_TAPS];
    ptrdiff_t weights;             /* floats before its weights for an input block */
} input_class;

typedef struct input_run {
    fab_trainer *t;
    const fab_net_op *op;
    int grid[3];        /* positions of a class */
    int near[3];        /* the result's size */
    int far[3];         /* the input's size */
    int tile[3], tiles[3], halo[3];
    int many[3];        /* results from a position to the next: UP: the stride, else 1 */
    int step[3];        /* inputs from a position of a class to the next */
    int low;            /* results before a position's own that a tile holds */
    int classes;
    input_class class[MAX_CLASSES];
    int32_t *channels;  /* of the result's blocks */
    ptrdiff_t block_weights; /* floats of an input block's weights */
    const float *from;
    float *to;
} input_run;

/* Which taps reach the inputs at `place`, and from how far. */
static void list_taps(const input_run *r, input_class *c)
{
    const int *k = r->op->kernel, *s = r->op->stride;
    const bool up = r->op->kind == FAB_OP_UP;
    c->taps = 0;
    for (int i = 0; i < k[0] * k[1] * k[2]; i++) {
        const int t[3] = {i / (k[1] * k[2]), i / k[2] % k[1], i % k[2]};
        int off[3];
        bool reaches = true;
        for (int a = 0; a < 3; a++) {
            const int sum = c->place[a] + k[a] / 2 - t[a];
            reaches = reaches && (up || sum % s[a] == 0);
            off[a] = up ? t[a] : sum / s[a] + r->low;
        }
        if (!reaches) continue;
        c->tap[c->taps] = ((off[0] * r->halo[1] + off[1]) * r->halo[2] + off[2]) * FAB_NN_BLOCK;
        c->kernel_tap[c->taps++] = i;
    }
}

/* Everything but the pointers. */
static void plan_input(const fab_trainer *t, int index, input_run *r)
{
    const int most[3] = {TILE_Z, TILE_Y, TILE_X};
    const fab_op_plan *p = fab_train_plan(t, index);
    *r = (input_run){.op = &t->net->ops[index]};
    const bool up = r->op->kind == FAB_OP_UP;
    r->low = r->op->kind == FAB_OP_CONV;
    r->classes = 1;
    for (int a = 0; a < 3; a++) {
        const int stride = r->op->kind == FAB_OP_CONV ? r->op->stride[a] : 1;
        r->near[a] = p->out_size[a];
        r->far[a] = p->in_size[a];
        r->grid[a] = up ? r->far[a] : r->near[a];
        r->many[a] = up ? r->op->stride[a] : 1;
        r->step[a] = stride;
        r->classes *= stride;
        r->tile[a] = fab_nn_least(most[a], r->grid[a]);
        r->tiles[a] = (r->grid[a] + r->tile[a] - 1) / r->tile[a];
        r->halo[a] = r->tile[a] * r->many[a] + 2 * r->low;
    }
    const int inner = r->op->outputs * FAB_NN_BLOCK;
    for (int i = 0; i < r->classes; i++) {
        const int *s = r->step;
        r->class[i] = (input_class){.weights = r->block_weights,
                                    .place = {i / (s[1] * s[2]), i / s[2] % s[1], i % s[2]}};
        list_taps(r, &r->class[i]);
        r->block_weights += (ptrdiff_t)r->class[i].taps * inner;
    }
}

size_t fab_train_flipped_floats(const fab_net_op *op)
{
    return (size_t)op->blocks * (size_t)op->outputs * FAB_NN_BLOCK *
           (size_t)(op->kernel[0] * op->kernel[1] * op->kernel[2]);
}

size_t fab_train_input_scratch(const fab_trainer *t, int op)
{
    input_run r;
    plan_input(t, op, &r);
    return (size_t)(fab_nn_volume(r.halo) * r.op->out_blocks * FAB_NN_BLOCK);
}

/* ---- weights turned round: [input block][class][output block][tap][o][16] ------------------- */

static int block_channels(const fab_net_op *op, int ob)
{
    return fab_nn_least(FAB_NN_BLOCK, op->outputs - ob * FAB_NN_BLOCK);
}

/* From 16 inputs of a block to output o, by tap `tap` of the kernel. */
static void flip_one(const fab_net_op *op, int block, int o, int tap, float *to)
{
    const int channels = op->channels[block], before = fab_nn_channels_before(op, block);
    const int ob = o / FAB_NN_BLOCK, taps = op->kind == FAB_OP_UP ? 1 : op->taps;
    const int at = op->kind == FAB_OP_UP ? tap * op->out_blocks + ob : ob;
    const int t = op->kind == FAB_OP_UP ? 0 : tap;
    const float *from = (const float *)op->weights + at * op->weights_stride +
                        ((ptrdiff_t)before * taps + t * channels) * FAB_NN_BLOCK +
                        o % FAB_NN_BLOCK;
    for (int c = 0; c < FAB_NN_BLOCK; c++) to[c] = c < channels ? from[c * FAB_NN_BLOCK] : 0.0f;
}

static void flip_task(void *ctx, int64_t index, int worker)
{
    const input_run *r = ctx;
    float *to = r->t->flipped + index * r->block_weights;
    (void)worker;
    for (int i = 0; i < r->classes; i++)
        for (int ob = 0; ob < r->op->out_blocks; ob++)
            for (int k = 0; k < r->class[i].taps; k++)
                for (int o = 0; o < block_channels(r->op, ob); o++, to += FAB_NN_BLOCK)
                    flip_one(r->op, (int)index, ob * FAB_NN_BLOCK + o,
                             r->class[i].kernel_tap[k], to);
}

/* ---- a tile ---------------------------------------------------------------------------------- */

static void load_results(const input_run *r, const int at[3], float *scratch)
{
    int from[3], n[3];
    for (int a = 0; a < 3; a++) from[a] = at[a] * r->many[a] - r->low;
    n[0] = r->halo[0], n[1] = r->halo[1], n[2] = r->halo[2];
    const int left = from[2] < 0 ? -from[2] : 0;
    const int right = fab_nn_least(from[2] + n[2], r->near[2]) - from[2];
    const size_t voxel = FAB_NN_BLOCK * sizeof(float);
    for (int ob = 0; ob < r->op->out_blocks; ob++)
        for (int i = 0; i < n[0] * n[1]; i++, scratch += (ptrdiff_t)n[2] * FAB_NN_BLOCK) {
            const int z = from[0] + i / n[1], y = from[1] + i % n[1];
            const bool inside = z >= 0 && z < r->near[0] && y >= 0 && y < r->near[1];
            const ptrdiff_t row = (((ptrdiff_t)ob * r->near[0] + z) * r->near[1] + y) *
                                  r->near[2] + from[2];
            const int count = inside ? right - left : 0, first = inside ? left : 0;
            memset(scratch, 0, (size_t)first * voxel);
            if (count > 0)
                memcpy(scratch + first * FAB_NN_BLOCK, r->from + (row + first) * FAB_NN_BLOCK,
                       (size_t)count * voxel);
            memset(scratch + (first + count) * FAB_NN_BLOCK, 0,
                   (size_t)(n[2] - first - count) * voxel);
        }
}

static void class_rows(const input_run *r, const input_class *c, const int at[3],
                       const int size[3], const float *scratch)
{
    const ptrdiff_t voxels = fab_nn_volume(r->far);
    fab_conv_row row = {.in_block = (ptrdiff_t)fab_nn_volume(r->halo) * FAB_NN_BLOCK,
                        .tap = c->tap, .channels = r->channels, .taps = c->taps,
                        .blocks = r->op->out_blocks, .in_step = r->many[2] * FAB_NN_BLOCK,
                        .out_step = (ptrdiff_t)r->step[2] * FAB_NN_BLOCK, .count = size[2],
                        .pair_weights = r->block_weights, .pair_out = voxels * FAB_NN_BLOCK};
    for (int block = 0; block < r->op->blocks; block += 2)
        for (int i = 0; i < size[0] * size[1]; i++) {
            const int z = i / size[1], y = i % size[1];
            const ptrdiff_t fz = (ptrdiff_t)(at[0] + z) * r->step[0] + c->place[0];
            const ptrdiff_t fy = (ptrdiff_t)(at[1] + y) * r->step[1] + c->place[1];
            const ptrdiff_t fx = (ptrdiff_t)at[2] * r->step[2] + c->place[2];
            row.pair = block + 1 < r->op->blocks;
            row.weights = r->t->flipped + block * r->block_weights + c->weights;
            row.in = scratch + ((ptrdiff_t)z * r->many[0] * r->halo[1] + y * r->many[1]) *
                               r->halo[2] * FAB_NN_BLOCK;
            row.out = r->to + (block * voxels + (fz * r->far[1] + fy) * r->far[2] + fx) *
                              FAB_NN_BLOCK;
            r->t->net->kernels->conv(&row);
        }
}

static void input_task(void *ctx, int64_t index, int worker)
{
    const input_run *r = ctx;
    const int *n = r->tiles, i = (int)index;
    const int at[3] = {i / (n[1] * n[2]) * r->tile[0], i / n[2] % n[1] * r->tile[1],
                       i % n[2] * r->tile[2]};
    int size[3];
    float *scratch = r->t->scratch + (size_t)worker * r->t->scratch_floats;
    for (int a = 0; a < 3; a++) size[a] = fab_nn_least(r->tile[a], r->grid[a] - at[a]);
    load_results(r, at, scratch);
    for (int c = 0; c < r->classes; c++) class_rows(r, &r->class[c], at, size, scratch);
}

static void run_direct(fab_trainer *t, int index, const float *from, float *to)
{
    input_run r;
    int32_t channels[FAB_UNET_MAX_FEATURES / FAB_NN_BLOCK];
    plan_input(t, index, &r);
    r.t = t;
    r.channels = channels;
    r.from = from;
    r.to = to;
    for (int ob = 0; ob < r.op->out_blocks; ob++) channels[ob] = block_channels(r.op, ob);
    fab_parallel_for(r.op->blocks, flip_task, &r);
    fab_parallel_for(fab_nn_volume(r.tiles), input_task, &r);
}

/* ---- as a convolution of its own ------------------------------------------------------------ */

static fab_net_op mirrored(const fab_net_op *op)
{
    return (fab_net_op){.kind = FAB_OP_CONV, .source = {1}, .sources = 1, .kernel = {3, 3, 3},
                        .stride = {1, 1, 1}, .outputs = op->blocks * FAB_NN_BLOCK,
                        .out_blocks = op->blocks, .blocks = op->out_blocks, .taps = op->taps,
                        .weights_stride = (ptrdiff_t)op->outputs * op->taps * FAB_NN_BLOCK};
}

bool fab_train_mirror_plan(const fab_trainer *t, int index, fab_op_plan *p)
{
    const fab_net_op *op = &t->net->ops[index];
    const fab_op_plan *forward = fab_train_plan(t, index);
    int32_t channels[FAB_UNET_MAX_FEATURES / FAB_NN_BLOCK];
    fab_net_op mirror = mirrored(op);
    if (op->kind != FAB_OP_CONV || !forward->side || op->source[0] == 0) return false;
    for (int ob = 0; ob < op->out_blocks; ob++) channels[ob] = block_channels(op, ob);
    mirror.channels = channels;
    *p = (fab_op_plan){0};
    memcpy(p->in_size, forward->out_size, sizeof p->in_size);
    memcpy(p->out_size, forward->out_size, sizeof p->out_size);
    return fab_winograd_plan(&mirror, p->out_size, false, false, p);
}

static void mirror_weights_task(void *ctx, int64_t index, int worker)
{
    const input_run *r = ctx;
    const fab_net_op *op = r->op;
    float *to = r->t->flipped + index * op->outputs * op->taps * FAB_NN_BLOCK;
    (void)worker;
    for (int ob = 0; ob < op->out_blocks; ob++)
        for (int k = 0; k < op->taps; k++)
            for (int o = 0; o < block_channels(op, ob); o++, to += FAB_NN_BLOCK)
                flip_one(op, (int)index, ob * FAB_NN_BLOCK + o, op->taps - 1 - k, to);
}

static void run_mirrored(fab_trainer *t, int index, fab_op_plan *p, const float *from, float *to)
{
    const fab_net_op *op = &t->net->ops[index];
    input_run flip = {.t = t, .op = op};
    int32_t channels[FAB_UNET_MAX_FEATURES / FAB_NN_BLOCK];
    fab_net_session *s = &t->mirror_session;
    t->mirror.ops[0] = (fab_net_op){.kind = FAB_OP_UP, .outputs = op->outputs,
                                    .out_blocks = op->out_blocks};
    t->mirror.ops[1] = mirrored(op);
    t->mirror.ops[1].channels = channels;
    t->mirror.ops[1].weights = t->flipped;
    for (int ob = 0; ob < op->out_blocks; ob++) channels[ob] = block_channels(op, ob);
    s->plan.ops[0].out_offset = (size_t)(from - t->gradients);
    p->out_offset = (size_t)(to - t->gradients);
    s->plan.ops[1] = *p;
    fab_parallel_for(op->blocks, mirror_weights_task, &flip);
    fab_nn_run_op(s, 1);
}

void fab_train_input_gradient(fab_trainer *t, int index)
{
    fab_op_plan p;
    const fab_net_op *op = &t->net->ops[index];
    const int first = op->source[0];
    if (first == 0) return;
    const int64_t floats = fab_nn_volume(fab_train_plan(t, index)->in_size) * op->blocks *
                           FAB_NN_BLOCK;
    const bool add = t->written[first];
    float *to = add ? t->gradients + t->spare : fab_train_gradient(t, first);
    const float *from = fab_train_gradient(t, index + 1);
    if (fab_train_mirror_plan(t, index, &p)) run_mirrored(t, index, &p, from, to);
    else run_direct(t, index, from, to);
    if (add) fab_train_add(fab_train_gradient(t, first), to, floats);
    for (int s = 0; s < op->sources; s++) t->written[op->source[s]] = true;
}
