/* train_weights.c - the gradient of an operation's weights: input times result's gradient, summed
 * over the voxels.
 *
 * It runs on the convolution kernel with the roles changed: "voxels" are the input's channels,
 * "weights" the rows of the result's gradient, and what is summed over are the voxels of a row. For
 * that a tile's input is turned into channel-major rows; with strides, each remainder along x is a
 * row of its own. Tiles add up in a fixed number of lanes, and the lanes in order.
 */
#include <string.h>

#include "train_internal.h"

#define TILE_X 32
#define TILE_Y 8
#define TILE_Z 4

typedef struct weights_run {
    fab_trainer *t;
    fab_run_op forward;   /* with a plan of its own */
    fab_op_plan p;
    bool up;
    int positions, taps;  /* UP: positions of one tap */
    int grid[3];          /* tiles cover: UP: inputs, else results */
    int phases, row;      /* of a turned row along x; its floats, all phases */
    ptrdiff_t channel;    /* floats from a channel to the next, turned */
    size_t turned_at, result_at; /* in scratch, floats */
    int lanes, groups;    /* tasks: a lane's tiles for a group of output blocks */
    int group;
    size_t count;         /* of a lane */
    const float *result;  /* gradient */
} weights_run;

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static void plan_weights(const fab_trainer *t, int index, weights_run *r)
{
    const int most[3] = {TILE_Z, TILE_Y, TILE_X};
    const fab_net_op *op = &t->net->ops[index];
    *r = (weights_run){.up = op->kind == FAB_OP_UP};
    r->p = *fab_train_plan(t, index);
    r->p.winograd = false;
    r->p.pitch = op->source[0] == 0 ? op->channels[0] : FAB_NN_BLOCK;
    const bool conv = op->kind == FAB_OP_CONV;
    const int kernel_taps = op->kernel[0] * op->kernel[1] * op->kernel[2];
    r->positions = r->up ? kernel_taps : 1;
    r->taps = r->up ? 1 : op->taps;
    for (int a = 0; a < 3; a++) {
        r->grid[a] = r->up ? r->p.in_size[a] : r->p.out_size[a];
        r->p.tile[a] = least(most[a], r->grid[a]);
        r->p.tiles[a] = ceil_div(r->grid[a], r->p.tile[a]);
        r->p.halo[a] = conv ? (r->p.tile[a] - 1) * op->stride[a] + op->kernel[a] : r->p.tile[a];
    }
    const int tiles = (int)fab_train_volume(r->p.tiles);
    r->lanes = least(FAB_TRAIN_LANES, tiles);
    r->group = 2 * ceil_div(ceil_div(op->out_blocks, 2), ceil_div(FAB_TRAIN_LANES, r->lanes));
    r->groups = ceil_div(op->out_blocks, r->group);
    r->phases = conv ? op->stride[2] : 1;
    r->row = r->phases * ceil_div(r->p.halo[2], r->phases);
    r->channel = (ptrdiff_t)r->p.halo[0] * r->p.halo[1] * r->row;
    r->count = t->params[index][FAB_PARAM_WEIGHTS].count;
    r->turned_at = (size_t)(fab_train_volume(r->p.halo) * FAB_NN_BLOCK * op->blocks);
    r->result_at = r->turned_at + (size_t)(r->channel * FAB_NN_BLOCK * op->blocks);
    r->result_at = (r->result_at + 15) / 16 * 16;
}

size_t fab_train_weight_scratch(const fab_trainer *t, int op)
{
    weights_run r;
    plan_weights(t, op, &r);
    return r.result_at + (size_t)(fab_train_volume(r.p.tile) * r.group * FAB_NN_BLOCK);
}

/* ---- a tile ---------------------------------------------------------------------------------- */

static fab_task tile_of(const weights_run *r, int tile, float *scratch)
{
    const fab_net_op *op = r->forward.op;
    const int *n = r->p.tiles;
    const int at[3] = {tile / (n[1] * n[2]), tile / n[2] % n[1], tile % n[2]};
    fab_task t = {.tile = tile, .scratch = scratch};
    for (int a = 0; a < 3; a++) {
        const int stride = op->kind == FAB_OP_CONV ? op->stride[a] : 1;
        const int kernel = op->kind == FAB_OP_CONV ? op->kernel[a] : 1;
        t.at[a] = at[a] * r->p.tile[a];
        t.size[a] = least(r->p.tile[a], r->grid[a] - t.at[a]);
        t.from[a] = t.at[a] * stride - kernel / 2;
        t.halo[a] = (t.size[a] - 1) * stride + kernel;
    }
    return t;
}

/* [block][z][y][x][pitch] to [block][channel][z][y][phase][x]. */
static void turn(const weights_run *r, const fab_task *t, float *scratch)
{
    const int *halo = r->p.halo, pitch = r->p.pitch, along = r->row / r->phases;
    for (int b = 0; b < r->forward.op->blocks; b++)
        for (int i = 0; i < t->halo[0] * t->halo[1]; i++) {
            const int z = i / t->halo[1], y = i % t->halo[1];
            const ptrdiff_t line = (ptrdiff_t)z * halo[1] + y;
            const float *from = scratch + (b * (ptrdiff_t)fab_train_volume(halo) +
                                           line * halo[2]) * pitch;
            float *to = scratch + r->turned_at + (ptrdiff_t)b * FAB_NN_BLOCK * r->channel +
                        line * r->row;
            for (int phase = 0; phase < r->phases; phase++)
                for (int c = 0; c < r->forward.op->channels[b]; c++)
                    for (int x = phase, q = 0; x < t->halo[2]; x += r->phases, q++)
                        to[c * r->channel + phase * along + q] = from[(ptrdiff_t)x * pitch + c];
        }
}

/* The rows of the result's gradient, one behind the other: [block][z][y][x][16]. */
static void load_result(const weights_run *r, const fab_task *t, int first, int blocks,
                        const int place[3], float *to)
{
    const int *n = r->p.out_size, *s = r->forward.op->stride;
    const int step[3] = {r->up ? s[0] : 1, r->up ? s[1] : 1, r->up ? s[2] : 1};
    const size_t voxel = FAB_NN_BLOCK * sizeof(float);
    for (int b = first; b < first + blocks; b++)
        for (int i = 0; i < t->size[0] * t->size[1]; i++) {
            const int z = (t->at[0] + i / t->size[1]) * step[0] + place[0];
            const int y = (t->at[1] + i % t->size[1]) * step[1] + place[1];
            const float *from = r->result + ((((ptrdiff_t)b * n[0] + z) * n[1] + y) * n[2] +
                                             t->at[2] * step[2] + place[2]) * FAB_NN_BLOCK;
            for (int x = 0; x < t->size[2]; x++, to += FAB_NN_BLOCK)
                memcpy(to, from + (ptrdiff_t)x * step[2] * FAB_NN_BLOCK, voxel);
        }
}

typedef struct product {
    const weights_run *r;
    const fab_task *t;
    const float *turned, *result; /* result: of output block `first` on */
    float *lane;
    int position, first, blocks;
    int32_t rows[TILE_Y];         /* the voxels of each row */
} product;

/* Adds one tap's [c][16] of an input block and one or two output blocks to the lane. */
static void add_tap(const product *k, int ob, int block, int tap)
{
    static const int32_t none = 0;
    const weights_run *r = k->r;
    const fab_net_op *op = r->forward.op;
    const int *kernel = op->kernel, *n = k->t->size, channels = op->channels[block];
    const int at[3] = {r->up ? 0 : tap / (kernel[1] * kernel[2]),
                       r->up ? 0 : tap / kernel[2] % kernel[1], r->up ? 0 : tap % kernel[2]};
    const int *s = op->stride, sz = r->up ? 1 : s[0], sy = r->up ? 1 : s[1];
    const ptrdiff_t plane = (ptrdiff_t)n[1] * n[2] * FAB_NN_BLOCK;
    float sums[2 * FAB_NN_BLOCK * FAB_NN_BLOCK] __attribute__((aligned(64)));
    fab_conv_row row = {.in_block = (ptrdiff_t)sy * r->row, .tap = &none, .channels = k->rows,
                        .taps = 1, .blocks = n[1], .in_step = (int)r->channel, .out = sums,
                        .out_step = FAB_NN_BLOCK, .count = channels, .pair = ob + 1 < k->blocks,
                        .pair_weights = plane * n[0], .pair_out = FAB_NN_BLOCK * FAB_NN_BLOCK};
    for (int z = 0; z < n[0]; z++) {
        row.in = k->turned + (ptrdiff_t)block * FAB_NN_BLOCK * r->channel +
                 ((ptrdiff_t)(z * sz + at[0]) * r->p.halo[1] + at[1]) * r->row +
                 at[2] % r->phases * (r->row / r->phases) + at[2] / r->phases;
        row.weights = k->result + (ob * n[0] + z) * plane;
        r->t->net->kernels->conv(&row);
        for (int i = 0; i <= row.pair; i++) {
            float *to = k->lane + (k->position * op->out_blocks + k->first + ob + i) *
                                      op->weights_stride +
                        ((ptrdiff_t)fab_train_channels(op, block) * r->taps + tap * channels) *
                            FAB_NN_BLOCK;
            for (int j = 0; j < channels * FAB_NN_BLOCK; j++)
                to[j] += sums[i * FAB_NN_BLOCK * FAB_NN_BLOCK + j];
        }
    }
}

static void lane_task(void *ctx, int64_t index, int worker)
{
    const weights_run *r = ctx;
    const fab_net_op *op = r->forward.op;
    const int lane = (int)(index / r->groups), *k = op->kernel;
    const int tiles = (int)fab_train_volume(r->p.tiles);
    float *scratch = r->t->scratch + (size_t)worker * r->t->scratch_floats;
    product p = {.r = r, .turned = scratch + r->turned_at, .result = scratch + r->result_at,
                 .lane = r->t->lanes + (size_t)lane * r->count,
                 .first = (int)(index % r->groups) * r->group};
    p.blocks = least(r->group, op->out_blocks - p.first);
    for (int tile = lane; tile < tiles; tile += r->lanes) {
        const fab_task t = tile_of(r, tile, scratch);
        p.t = &t;
        fab_nn_load_tile(&r->forward, &t);
        turn(r, &t, scratch);
        for (int y = 0; y < t.size[1]; y++) p.rows[y] = t.size[2];
        for (p.position = 0; p.position < r->positions; p.position++) {
            const int place[3] = {r->up ? p.position / (k[1] * k[2]) : 0,
                                  r->up ? p.position / k[2] % k[1] : 0,
                                  r->up ? p.position % k[2] : 0};
            load_result(r, &t, p.first, p.blocks, place, scratch + r->result_at);
            for (int i = 0; i < ceil_div(p.blocks, 2) * op->blocks * r->taps; i++)
                add_tap(&p, i / (op->blocks * r->taps) * 2, i / r->taps % op->blocks, i % r->taps);
        }
    }
}

/* ---- bias ------------------------------------------------------------------------------------ */

static void bias_task(void *ctx, int64_t index, int worker)
{
    const weights_run *r = ctx;
    const int *n = r->p.out_size;
    float *to = r->t->params[r->forward.index][FAB_PARAM_BIAS].gradient + index * FAB_NN_BLOCK;
    const float *from = r->result + index * fab_train_volume(n) * FAB_NN_BLOCK;
    double sums[FAB_NN_BLOCK] = {0};
    (void)worker;
    for (int64_t v = 0; v < fab_train_volume(n) * FAB_NN_BLOCK; v += FAB_NN_BLOCK)
        for (int c = 0; c < FAB_NN_BLOCK; c++) sums[c] += (double)from[v + c];
    for (int c = 0; c < FAB_NN_BLOCK; c++) to[c] += (float)sums[c];
}

void fab_train_weight_gradient(fab_trainer *t, int index)
{
    weights_run r;
    const fab_net_op *op = &t->net->ops[index];
    float *gradient = t->params[index][FAB_PARAM_WEIGHTS].gradient;
    plan_weights(t, index, &r);
    r.t = t;
    r.forward = (fab_run_op){t->session, op, &r.p, index};
    r.result = fab_train_gradient(t, index + 1);
    memset(t->lanes, 0, (size_t)r.lanes * r.count * sizeof *t->lanes);
    fab_parallel_for((int64_t)r.lanes * r.groups, lane_task, &r);
    for (int lane = 0; lane < r.lanes; lane++)
        fab_train_add(gradient, t->lanes + (size_t)lane * r.count, (int64_t)r.count);
    if (op->bias) fab_parallel_for(op->out_blocks, bias_task, &r);
}
