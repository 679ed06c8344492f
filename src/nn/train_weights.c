/* train_weights.c - the gradient of an operation's weights: input times result's gradient, summed
 * over the voxels.
 *
 * A tile's input is loaded as for the operation itself, the result's gradient as rows one behind
 * the other; each tap is an outer product of channels and outputs, summed over the tile. Tiles
 * add up in a fixed number of lanes, and the lanes in order.
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
    size_t result_at;     /* in scratch, floats */
    int lanes, groups;    /* tasks: a lane's tiles for a group of output blocks */
    int group;
    size_t count;         /* of a lane */
    const float *result;  /* gradient */
} weights_run;

static void plan_weights(const fab_trainer *t, int index, weights_run *r)
{
    const int most[3] = {TILE_Z, TILE_Y, TILE_X};
    const fab_net_op *op = &t->net->ops[index];
    *r = (weights_run){.up = op->kind == FAB_OP_UP};
    r->p = *fab_train_plan(t, index);
    r->p.side = 0;
    r->p.pitch = op->source[0] == 0 ? op->channels[0] : FAB_NN_BLOCK;
    const bool conv = op->kind == FAB_OP_CONV;
    const int kernel_taps = op->kernel[0] * op->kernel[1] * op->kernel[2];
    r->positions = r->up ? kernel_taps : 1;
    r->taps = r->up ? 1 : op->taps;
    for (int a = 0; a < 3; a++) {
        r->grid[a] = r->up ? r->p.in_size[a] : r->p.out_size[a];
        r->p.tile[a] = fab_nn_least(most[a], r->grid[a]);
        r->p.tiles[a] = fab_nn_ceil_div(r->grid[a], r->p.tile[a]);
        r->p.halo[a] = conv ? (r->p.tile[a] - 1) * op->stride[a] + op->kernel[a] : r->p.tile[a];
    }
    const int tiles = (int)fab_nn_volume(r->p.tiles);
    r->lanes = fab_nn_least(FAB_TRAIN_LANES, tiles);
    r->group = 2 * fab_nn_ceil_div(fab_nn_ceil_div(op->out_blocks, 2),
                                   fab_nn_ceil_div(FAB_TRAIN_LANES, r->lanes));
    r->groups = fab_nn_ceil_div(op->out_blocks, r->group);
    r->count = t->params[index][FAB_PARAM_WEIGHTS].count;
    r->result_at = (size_t)(fab_nn_volume(r->p.halo) * FAB_NN_BLOCK * op->blocks);
}

size_t fab_train_weight_scratch(const fab_trainer *t, int op)
{
    weights_run r;
    fab_op_plan p;
    if (fab_winograd_gradient_plan(&t->net->ops[op], fab_train_plan(t, op), &p)) return p.scratch;
    plan_weights(t, op, &r);
    return r.result_at + (size_t)(fab_nn_volume(r.p.tile) * r.group * FAB_NN_BLOCK);
}

size_t fab_train_weight_lanes(const fab_trainer *t, int op)
{
    fab_op_plan p;
    const bool winograd =
        fab_winograd_gradient_plan(&t->net->ops[op], fab_train_plan(t, op), &p);
    return FAB_TRAIN_LANES * (winograd ? fab_winograd_gradient_floats(&t->net->ops[op])
                                       : t->params[op][FAB_PARAM_WEIGHTS].count);
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
        t.size[a] = fab_nn_least(r->p.tile[a], r->grid[a] - t.at[a]);
        t.from[a] = t.at[a] * stride - kernel / 2;
        t.halo[a] = (t.size[a] - 1) * stride + kernel;
    }
    return t;
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
            if (step[2] == 1) memcpy(to, from, (size_t)t->size[2] * voxel);
            else
                for (int x = 0; x < t->size[2]; x++)
                    memcpy(to + x * FAB_NN_BLOCK, from + (ptrdiff_t)x * step[2] * FAB_NN_BLOCK,
                           voxel);
            to += (ptrdiff_t)t->size[2] * FAB_NN_BLOCK;
        }
}

typedef struct product {
    const weights_run *r;
    const fab_task *t;
    const float *input, *result; /* result: of output block `first` on */
    float *lane;
    int position, first, blocks;
} product;

/* Adds one tap's [c][16] of an input block and one or two output blocks to the lane. */
static void add_tap(const product *k, int ob, int block, int tap)
{
    const weights_run *r = k->r;
    const fab_net_op *op = r->forward.op;
    const int *kernel = op->kernel, *n = k->t->size, *halo = r->p.halo;
    const bool conv = op->kind == FAB_OP_CONV;
    const int s[3] = {conv ? op->stride[0] : 1, conv ? op->stride[1] : 1, conv ? op->stride[2] : 1};
    const ptrdiff_t plane = (ptrdiff_t)n[1] * n[2] * FAB_NN_BLOCK, pitch = r->p.pitch;
    const ptrdiff_t first = ((ptrdiff_t)tap / (kernel[1] * kernel[2]) * halo[1] +
                             tap / kernel[2] % kernel[1]) * halo[2] + tap % kernel[2];
    const ptrdiff_t row = (k->position * op->out_blocks + k->first + ob) * op->weights_stride;
    const ptrdiff_t at = (ptrdiff_t)fab_nn_channels_before(op, block) * r->taps +
                         tap * op->channels[block];
    fab_outer o = {.in_row = (ptrdiff_t)s[1] * halo[2] * pitch, .in_step = s[2] * pitch,
                   .result_pair = plane * n[0], .to = k->lane + row + at * FAB_NN_BLOCK,
                   .to_pair = op->weights_stride, .rows = n[1], .count = n[2],
                   .channels = op->channels[block], .pair = ob + 1 < k->blocks};
    for (int z = 0; z < n[0]; z++) {
        o.in = k->input + (block * (ptrdiff_t)fab_nn_volume(halo) + first +
                           (ptrdiff_t)z * s[0] * halo[1] * halo[2]) * pitch;
        o.result = k->result + (ob * n[0] + z) * plane;
        r->t->net->kernels->train->outer(&o);
    }
}

static void lane_task(void *ctx, int64_t index, int worker)
{
    const weights_run *r = ctx;
    const fab_net_op *op = r->forward.op;
    const int lane = (int)(index / r->groups), *k = op->kernel;
    const int tiles = (int)fab_nn_volume(r->p.tiles);
    float *scratch = r->t->scratch + (size_t)worker * r->t->scratch_floats;
    product p = {.r = r, .input = scratch, .result = scratch + r->result_at,
                 .lane = r->t->lanes + (size_t)lane * r->count,
                 .first = (int)(index % r->groups) * r->group};
    p.blocks = fab_nn_least(r->group, op->out_blocks - p.first);
    for (int tile = lane; tile < tiles; tile += r->lanes) {
        const fab_task t = tile_of(r, tile, scratch);
        p.t = &t;
        fab_nn_load_tile(&r->forward, &t);
        for (p.position = 0; p.position < r->positions; p.position++) {
            const int place[3] = {r->up ? p.position / (k[1] * k[2]) : 0,
                                  r->up ? p.position / k[2] % k[1] : 0,
                                  r->up ? p.position % k[2] : 0};
            load_result(r, &t, p.first, p.blocks, place, scratch + r->result_at);
            for (int i = 0; i < fab_nn_ceil_div(p.blocks, 2) * op->blocks * r->taps; i++)
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
    const float *from = r->result + index * fab_nn_volume(n) * FAB_NN_BLOCK;
    double sums[FAB_NN_BLOCK] = {0};
    (void)worker;
    for (int64_t v = 0; v < fab_nn_volume(n) * FAB_NN_BLOCK; v += FAB_NN_BLOCK)
        for (int c = 0; c < FAB_NN_BLOCK; c++) sums[c] += (double)from[v + c];
    for (int c = 0; c < FAB_NN_BLOCK; c++) to[c] += (float)sums[c];
}

/* ---- by Winograd ----------------------------------------------------------------------------- */

typedef struct winograd_gradient {
    fab_trainer *t;
    fab_run_op forward;
    fab_op_plan p;
    int tiles, lanes;
    size_t count; /* of a lane */
} winograd_gradient;

static void winograd_lane_task(void *ctx, int64_t index, int worker)
{
    const winograd_gradient *g = ctx;
    const fab_trainer *t = g->t;
    for (int tile = (int)index; tile < g->tiles; tile += g->lanes) {
        fab_task task = fab_nn_task_of(&g->forward, tile, 0);
        task.scratch = t->scratch + (size_t)worker * t->scratch_floats;
        fab_winograd_gradient_task(&g->forward, &task,
                                   fab_train_gradient(t, g->forward.index + 1),
                                   t->lanes + (size_t)index * g->count);
    }
}

static void winograd_finish_task(void *ctx, int64_t index, int worker)
{
    const winograd_gradient *g = ctx;
    const fab_net_op *op = g->forward.op;
    (void)worker;
    fab_winograd_gradient_finish(op, (int)(index / op->blocks), (int)(index % op->blocks),
                                 g->t->lanes,
                                 g->t->params[g->forward.index][FAB_PARAM_WEIGHTS].gradient);
}

static bool run_winograd(fab_trainer *t, int index)
{
    winograd_gradient g = {.t = t};
    const fab_net_op *op = &t->net->ops[index];
    if (!fab_winograd_gradient_plan(op, fab_train_plan(t, index), &g.p)) return false;
    g.forward = (fab_run_op){t->session, op, &g.p, index};
    g.tiles = (int)fab_nn_volume(g.p.tiles);
    g.lanes = fab_nn_least(FAB_TRAIN_LANES, g.tiles);
    g.count = fab_winograd_gradient_floats(op);
    memset(t->lanes, 0, (size_t)g.lanes * g.count * sizeof *t->lanes);
    fab_parallel_for(g.lanes, winograd_lane_task, &g);
    for (int lane = 1; lane < g.lanes; lane++)
        fab_train_add(t->lanes, t->lanes + (size_t)lane * g.count, (int64_t)g.count);
    fab_parallel_for((int64_t)op->out_blocks * op->blocks, winograd_finish_task, &g);
    return true;
}

void fab_train_weight_gradient(fab_trainer *t, int index)
{
    weights_run r;
    const fab_net_op *op = &t->net->ops[index];
    float *gradient = t->params[index][FAB_PARAM_WEIGHTS].gradient;
    if (run_winograd(t, index)) return; /* convolutions have no bias: it cancels in the norm */
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
