/* winograd.c - 3x3x3 convolutions in fewer products than the definition (Lavin and Gray 2016).
 *
 *   input planes, normed --B--> V[point][channel][tile] --x U[point]--> M[point][output][tile]
 *        (two at a time, a ring)                      M --A--> raw sums, row statistics
 *
 * Tiles of 2x2x2, 2x4x4 or 4x4x4 outputs, larger where there are more voxels (ADR 0089, 0121). A
 * task is a column of tiles along z. One layer of its tiles is near the second-level cache from its
 * transform to its outputs. U, the transformed weights, has 64, 144 or 216 points where the weights
 * have 27 taps; it is made anew for every operation and patch (1 to 2 % of the time), not kept
 * (hundreds of MB for TotalSegmentator's widths). The products are the plain convolution's kernel
 * with one tap.
 */
#include <string.h>

#include "run_internal.h"

#define TASKS_WANTED 48
#define LEAST_GRADIENT_VOXELS 8192 /* of the weights' gradient, which has a U a lane */
#define SQUARE (FAB_NN_BLOCK * FAB_NN_BLOCK)
#define LEAST_VOXELS 2048 /* below, transforming the weights costs more than it saves */
#define SIDE_LEAST 8192   /* voxels from which a tile has four outputs along y and x; below, the */
#define DEEP_LEAST 65536  /* transformed weights cost more than it saves; and along z */
#define SMALL_POINTS 64 /* of 2x2x2 outputs, the tiles of the gradient */
#define LINE 16           /* floats added to a point's stride, so that points differ in cache set */

/* The parts of `whole` of at most `most` voxels each: their size, whole tiles of `outputs`. */
static int part_of(int whole, int most, int outputs)
{
    const int part = fab_nn_ceil_div(whole, fab_nn_ceil_div(whole, most));
    return fab_nn_ceil_div(part, outputs) * outputs;
}

static bool applies(const fab_net_op *op, const int size[3])
{
    bool fits = op->kind == FAB_OP_CONV && op->source[0] != 0;
    for (int a = 0; a < 3; a++)
        fits = fits && op->kernel[a] == 3 && op->stride[a] == 1 && size[a] % 2 == 0;
    return fits && (int64_t)size[0] * size[1] * size[2] >= LEAST_VOXELS;
}

static int layer_tiles(const fab_op_plan *p)
{
    return p->tile[1] / p->side * (p->tile[2] / p->side);
}

/* Pairs of input planes that a layer of tiles adds; the ring keeps one more. */
static int layer_pairs(const fab_op_plan *p)
{
    return p->deep / 2;
}

/* Floats of two input planes, of V's points and of M's. */
static ptrdiff_t pair_floats(const fab_net_op *op, const fab_op_plan *p)
{
    return (ptrdiff_t)2 * p->halo[1] * p->halo[2] * FAB_NN_BLOCK * op->blocks;
}

static ptrdiff_t in_point(const fab_net_op *op, const fab_op_plan *p)
{
    return (ptrdiff_t)op->blocks * layer_tiles(p) * FAB_NN_BLOCK + LINE;
}

static ptrdiff_t out_point(const fab_op_plan *p)
{
    return (ptrdiff_t)p->group * layer_tiles(p) * FAB_NN_BLOCK + LINE;
}

/* Outputs of a tile: many where there are enough voxels to be worth so many transformed weights. */
static void choose_outputs(const int size[3], bool small, fab_op_plan *p)
{
    const int64_t voxels = fab_nn_volume(size);
    p->deep = p->side = 2;
    if (small || voxels < SIDE_LEAST || size[1] % 4 || size[2] % 4) return;
    p->side = 4;
    if (voxels >= DEEP_LEAST && size[0] % 4 == 0) p->deep = 4;
}

/* Voxels of a column along y and x: a layer of small tiles holds 48 or so, whole groups of the
 * kernels' 12; of large ones as many as keep V near the second-level cache's size, in rows as long
 * as can be, so that they are read as a stream. */
static void choose_layer(const fab_net_op *op, const int size[3], fab_op_plan *p)
{
    const int few = op->blocks <= 4, side = p->side;
    p->tile[2] = part_of(size[2], side == 2 ? (few ? 16 : 32) : 128, side);
    const int rows = fab_nn_most(128 / op->blocks, 16) * side / p->tile[2];
    p->tile[1] = part_of(size[1], side == 2 ? 12 : side * fab_nn_most(rows, 1), side);
}

bool fab_winograd_plan(const fab_net_op *op, const int size[3], bool rows, bool small,
                       fab_op_plan *p)
{
    if (!applies(op, size)) return false;
    choose_outputs(size, small, p);
    choose_layer(op, size, p);
    p->pitch = FAB_NN_BLOCK;
    const int columns = fab_nn_ceil_div(size[1], p->tile[1]) * fab_nn_ceil_div(size[2], p->tile[2]);
    const int deep = size[0] / fab_nn_ceil_div(TASKS_WANTED, columns);
    p->tile[0] = part_of(size[0], fab_nn_most(deep, 4), p->deep);
    for (int a = 0; a < 3; a++) p->tiles[a] = fab_nn_ceil_div(size[a], p->tile[a]);
    const int tiles = p->tiles[0] * p->tiles[1] * p->tiles[2];
    p->group = fab_nn_ceil_div(op->out_blocks, fab_nn_ceil_div(TASKS_WANTED, tiles));
    p->group = fab_nn_most(p->group, 4);
    p->group += p->group % 2;
    p->group = fab_nn_least(p->group, op->out_blocks);
    p->groups = fab_nn_ceil_div(op->out_blocks, p->group);
    p->halo[0] = 2; /* loaded at a time */
    p->halo[1] = p->tile[1] + 2;
    p->halo[2] = p->tile[2] + 2;
    p->row = (size_t)((layer_pairs(p) + 1) * pair_floats(op, p) +
                      fab_winograd_points(p) * (in_point(op, p) + out_point(p)));
    const size_t sums = (size_t)(p->deep * p->side * p->tile[2]) * FAB_NN_BLOCK;
    p->scratch = p->row + (rows ? sums : 0);
    return true;
}

size_t fab_winograd_weights(const fab_net_op *op, const fab_op_plan *p)
{
    return (size_t)fab_winograd_points(p) * (size_t)op->out_blocks * (size_t)fab_nn_inputs(op) *
           FAB_NN_BLOCK;
}

/* ---- weights: U = G g along each axis -------------------------------------------------------- */

typedef float line[FAB_NN_BLOCK];

/* Three values of an axis, `step` apart, to four or six: G g. */
static void weights_small(line *g, line *to, int step)
{
    for (int o = 0; o < FAB_NN_BLOCK; o++) {
        const float first = g[0][o], middle = g[step][o], last = g[2 * step][o];
        const float ends = first + last;
        to[0][o] = first;
        to[step][o] = 0.5f * (ends + middle);
        to[2 * step][o] = 0.5f * (ends - middle);
        to[3 * step][o] = last;
    }
}

static void weights_large(line *g, line *to, int step)
{
    const float a = FAB_WINOGRAD_A, a2 = a * a, b = FAB_WINOGRAD_B, b2 = b * b;
    const float part_0 = 1 / (a2 * b2), part_a = 1 / (2 * a2 * (a2 - b2));
    const float part_b = 1 / (2 * b2 * (b2 - a2));
    for (int o = 0; o < FAB_NN_BLOCK; o++) {
        const float first = g[0][o], middle = g[step][o], last = g[2 * step][o];
        const float ends_a = first + a2 * last, ends_b = first + b2 * last;
        to[0][o] = part_0 * first;
        to[step][o] = part_a * (ends_a + a * middle);
        to[2 * step][o] = part_a * (ends_a - a * middle);
        to[3 * step][o] = part_b * (ends_b + b * middle);
        to[4 * step][o] = part_b * (ends_b - b * middle);
        to[5 * step][o] = last;
    }
}

/* One axis: groups of three values `inner` apart to groups for `outputs`. */
static void weights_axis(line *from, line *to, int groups, int inner, int outputs)
{
    for (int g = 0; g < groups; g++)
        for (int i = 0; i < inner; i++) {
            line *a = from + g * 3 * inner + i;
            line *t = to + g * (outputs + 2) * inner + i;
            if (outputs == 4) weights_large(a, t, inner);
            else weights_small(a, t, inner);
        }
}

/* Task: an output block's weights from one input block. */
void fab_winograd_weights_task(void *ctx, int64_t index, int worker)
{
    const fab_run_op *r = ctx;
    const fab_net_op *op = r->op;
    const int ob = (int)(index / op->blocks), block = (int)(index % op->blocks);
    const int inputs = fab_nn_inputs(op), channels = op->channels[block], w = r->p->side;
    line a[FAB_WINOGRAD_MOST_POINTS], b[FAB_WINOGRAD_MOST_POINTS];
    const int before = fab_nn_channels_before(op, block);
    (void)worker;
    const float *from = (const float *)op->weights + ob * op->weights_stride +
                        before * 27 * FAB_NN_BLOCK;
    float *to = r->s->winograd + ((ptrdiff_t)ob * inputs + before) * FAB_NN_BLOCK;
    const ptrdiff_t point = (ptrdiff_t)op->out_blocks * inputs * FAB_NN_BLOCK;
    for (int c = 0; c < channels; c++) {
        for (int tap = 0; tap < 27; tap++)
            memcpy(a[tap], from + (tap * channels + c) * FAB_NN_BLOCK, sizeof a[tap]);
        weights_axis(a, b, 9, 1, w);
        weights_axis(b, a, 3, w + 2, w);
        weights_axis(a, b, 1, (w + 2) * (w + 2), r->p->deep);
        for (int k = 0; k < fab_winograd_points(r->p); k++)
            memcpy(to + k * point + c * FAB_NN_BLOCK, b[k], sizeof b[k]);
    }
}

/* ---- a task ---------------------------------------------------------------------------------- */

typedef struct column {
    const fab_run_op *r;
    const fab_task *t;
    float *v, *m;
    int rows, along;   /* tiles of a layer: along y, along x */
    int first, blocks; /* output blocks */
} column;

/* Planes 2 * pair and the next of the task's input lie here. */
static float *pair_at(const column *c, int pair)
{
    return c->t->scratch + pair % (layer_pairs(c->r->p) + 1) * pair_floats(c->r->op, c->r->p);
}

static void load_pair(const column *c, int pair)
{
    fab_task t = *c->t;
    t.from[0] += 2 * pair;
    t.halo[0] = 2;
    t.scratch = pair_at(c, pair);
    fab_nn_load_tile(c->r, &t);
}

/* The pairs of planes that layer `layer` needs and the one before it does not. */
static void load_layer(const column *c, int layer)
{
    const int pairs = layer_pairs(c->r->p);
    if (layer == 0) load_pair(c, 0);
    for (int i = 1; i <= pairs; i++) load_pair(c, layer * pairs + i);
}

static void transform_in(const column *c, int layer)
{
    const fab_op_plan *p = c->r->p;
    const ptrdiff_t row = (ptrdiff_t)p->halo[2] * FAB_NN_BLOCK, plane = row * p->halo[1];
    for (int b = 0; b < c->r->op->blocks; b++)
        for (int y = 0; y < c->rows; y++) {
            const ptrdiff_t at = 2 * b * plane + p->side * y * row;
            const ptrdiff_t tile = ((ptrdiff_t)b * c->rows + y) * c->along;
            fab_winograd_in in = {.deep = p->deep, .side = p->side, .row = row,
                                  .to = c->v + tile * FAB_NN_BLOCK,
                                  .point = in_point(c->r->op, p), .tiles = c->along};
            for (int z = 0; z < p->deep + 2; z++)
                in.plane[z] = pair_at(c, layer * layer_pairs(p) + z / 2) + at + z % 2 * plane;
            c->r->s->net->kernels->winograd_in(&in);
        }
}

static void multiply(const column *c)
{
    static const int32_t tap = 0;
    const fab_net_op *op = c->r->op;
    const ptrdiff_t tiles = (ptrdiff_t)c->rows * c->along * FAB_NN_BLOCK;
    const ptrdiff_t weights = (ptrdiff_t)fab_nn_inputs(op) * FAB_NN_BLOCK;
    const ptrdiff_t to = out_point(c->r->p), from = in_point(op, c->r->p);
    fab_conv_row row = {.in_block = tiles, .tap = &tap, .channels = op->channels, .taps = 1,
                        .blocks = op->blocks, .in_step = FAB_NN_BLOCK, .out_step = FAB_NN_BLOCK,
                        .count = c->rows * c->along, .pair_weights = weights, .pair_out = tiles};
    for (int k = 0; k < fab_winograd_points(c->r->p); k++)
        for (int ob = 0; ob < c->blocks; ob += 2) {
            const int last = fab_nn_least(c->first + ob + 2, c->first + c->blocks);
            row.pair = ob + 1 < c->blocks;
            row.half = op->outputs - (last - 1) * FAB_NN_BLOCK <= FAB_NN_BLOCK / 2;
            row.in = c->v + k * from;
            row.weights = c->r->s->winograd + (k * op->out_blocks + c->first + ob) * weights;
            row.out = c->m + k * to + ob * tiles;
            c->r->s->net->kernels->conv(&row);
        }
}

/* A row of tiles of output block c->first + b: its planes' rows of raw sums into the tensor, which
 * begin at value `first` of it, and into the statistics. */
static void finish_row(const column *c, int layer_row, int b, ptrdiff_t first)
{
    const fab_run_op *r = c->r;
    const fab_nn_kernels *k = r->s->net->kernels;
    const int w = r->p->side, ob = c->first + b, count = w * c->along;
    const ptrdiff_t row = (ptrdiff_t)r->p->out_size[2] * FAB_NN_BLOCK;
    const ptrdiff_t plane = row * r->p->out_size[1], near = (ptrdiff_t)count * FAB_NN_BLOCK;
    fab_tile_stats *stats = r->s->partials + (ptrdiff_t)c->t->tile * r->op->out_blocks + ob;
    float *to = k->store ? c->t->scratch + r->p->row : fab_nn_tensor_at(r->s, r->index + 1, first);
    const fab_winograd_out out = {
        .deep = r->p->deep, .side = w,
        .from = c->m + ((ptrdiff_t)b * c->rows + layer_row) * c->along * FAB_NN_BLOCK,
        .point = out_point(r->p), .to = to, .plane = k->store ? w * near : plane,
        .row = k->store ? near : row, .tiles = c->along};
    k->winograd_out(&out);
    for (int i = 0; i < out.deep * w; i++) {
        const float *sums = to + i / w * out.plane + i % w * out.row;
        void *at = fab_nn_tensor_at(r->s, r->index + 1, first + i / w * plane + i % w * row);
        fab_nn_add_row_stats(r->s, sums, count, stats);
        if (k->store) k->store(&(fab_store_row){sums, at, FAB_NN_BLOCK, count});
    }
}

static void transform_out(const column *c, int layer)
{
    const fab_op_plan *p = c->r->p;
    const int *out = p->out_size, *at = c->t->at;
    const ptrdiff_t row = (ptrdiff_t)out[2] * FAB_NN_BLOCK, plane = row * out[1];
    for (int b = 0; b < c->blocks; b++)
        for (int y = 0; y < c->rows; y++)
            finish_row(c, y, b,
                       ((ptrdiff_t)(c->first + b) * out[0] + at[0] + p->deep * layer) * plane +
                           (at[1] + p->side * y) * row + at[2] * FAB_NN_BLOCK);
}

static column column_of(const fab_run_op *r, const fab_task *t)
{
    const fab_op_plan *p = r->p;
    column c = {.r = r, .t = t, .rows = t->size[1] / p->side, .along = t->size[2] / p->side,
                .first = t->group * p->group};
    c.v = t->scratch + (layer_pairs(p) + 1) * pair_floats(r->op, p);
    c.m = c.v + fab_winograd_points(p) * in_point(r->op, p);
    c.blocks = fab_nn_least(p->group, r->op->out_blocks - c.first);
    return c;
}

void fab_winograd_load(const fab_run_op *r, const fab_task *t)
{
    const column c = column_of(r, t);
    for (int layer = 0; layer < t->size[0] / r->p->deep; layer++) load_layer(&c, layer);
}

void fab_winograd_task(const fab_run_op *r, const fab_task *t)
{
    const column c = column_of(r, t);
    memset(r->s->partials + (ptrdiff_t)t->tile * r->op->out_blocks + c.first, 0,
           (size_t)c.blocks * sizeof *r->s->partials);
    for (int layer = 0; layer < t->size[0] / r->p->deep; layer++) {
        load_layer(&c, layer);
        transform_in(&c, layer);
        multiply(&c);
        transform_out(&c, layer);
    }
}

/* ---- the weights' gradient: of U, sums of V times A dL/dy A; then G from both sides ---------- */

bool fab_winograd_gradient_plan(const fab_net_op *op, const fab_op_plan *forward, fab_op_plan *p)
{
    const int *n = forward->out_size;
    if (!forward->side || fab_nn_volume(n) < LEAST_GRADIENT_VOXELS) return false;
    *p = *forward;
    fab_winograd_plan(op, n, false, true, p);
    p->group = op->out_blocks;
    p->groups = 1;
    p->scratch = (size_t)(2 * pair_floats(op, p) +
                          fab_winograd_points(p) * (in_point(op, p) + out_point(p)));
    return true;
}

size_t fab_winograd_gradient_floats(const fab_net_op *op)
{
    return (size_t)SMALL_POINTS * (size_t)(op->out_blocks * op->blocks) * SQUARE;
}

static void transform_back(const column *c, int layer, const float *result)
{
    const int *out = c->r->p->out_size, *at = c->t->at;
    const ptrdiff_t row = (ptrdiff_t)out[2] * FAB_NN_BLOCK, plane = row * out[1];
    for (int b = 0; b < c->blocks; b++)
        for (int y = 0; y < c->rows; y++) {
            const ptrdiff_t tile = ((ptrdiff_t)b * c->rows + y) * c->along;
            const float *from = result + ((ptrdiff_t)b * out[0] + at[0] + 2 * layer) * plane +
                                (at[1] + 2 * y) * row + at[2] * FAB_NN_BLOCK;
            c->r->s->net->kernels->train->winograd_back(&(fab_winograd_back){
                .from = from, .plane = plane, .row = row, .to = c->m + tile * FAB_NN_BLOCK,
                .point = out_point(c->r->p), .tiles = c->along});
        }
}

void fab_winograd_gradient_task(const fab_run_op *r, const fab_task *t, const float *result,
                                float *lane)
{
    const column c = column_of(r, t);
    const ptrdiff_t tiles = (ptrdiff_t)c.rows * c.along * FAB_NN_BLOCK;
    const ptrdiff_t in = in_point(r->op, r->p), out = out_point(r->p);
    const int blocks = r->op->blocks;
    for (int layer = 0; layer < t->size[0] / 2; layer++) {
        load_layer(&c, layer);
        transform_in(&c, layer);
        transform_back(&c, layer, result);
        for (int i = 0; i < SMALL_POINTS * blocks; i++)
            for (int ob = 0, k = i / blocks, b = i % blocks; ob < c.blocks; ob += 2)
                r->s->net->kernels->train->outer(&(fab_outer){
                    .in = c.v + k * in + b * tiles, .in_step = FAB_NN_BLOCK,
                    .result = c.m + k * out + ob * tiles, .result_pair = tiles,
                    .to = lane + (((ptrdiff_t)k * c.blocks + ob) * blocks + b) * SQUARE,
                    .to_pair = (ptrdiff_t)blocks * SQUARE, .rows = 1,
                    .count = c.rows * c.along, .channels = r->op->channels[b],
                    .pair = ob + 1 < c.blocks});
    }
}

/* One axis of G from the left: groups of four values, `inner` apart, to groups of three. */
static void gradient_axis(float (*from)[FAB_NN_BLOCK], float (*to)[FAB_NN_BLOCK], int groups,
                          int inner)
{
    for (int g = 0; g < groups; g++)
        for (int i = 0; i < inner; i++) {
            float (*a)[FAB_NN_BLOCK] = from + g * 4 * inner + i;
            float (*t)[FAB_NN_BLOCK] = to + g * 3 * inner + i;
            for (int o = 0; o < FAB_NN_BLOCK; o++) {
                const float sum = 0.5f * (a[inner][o] + a[2 * inner][o]);
                t[0][o] = a[0][o] + sum;
                t[inner][o] = 0.5f * (a[inner][o] - a[2 * inner][o]);
                t[2 * inner][o] = sum + a[3 * inner][o];
            }
        }
}

void fab_winograd_gradient_finish(const fab_net_op *op, int ob, int block, const float *lane,
                                  float *gradient)
{
    const int channels = op->channels[block];
    float a[SMALL_POINTS][FAB_NN_BLOCK], b[SMALL_POINTS][FAB_NN_BLOCK];
    const int before = fab_nn_channels_before(op, block);
    float *to = gradient + ob * op->weights_stride + before * 27 * FAB_NN_BLOCK;
    for (int c = 0; c < channels; c++) {
        for (int k = 0; k < SMALL_POINTS; k++)
            memcpy(a[k], lane + (((ptrdiff_t)k * op->out_blocks + ob) * op->blocks + block) *
                                    SQUARE + c * FAB_NN_BLOCK, sizeof a[k]);
        gradient_axis(a, b, 16, 1);
        gradient_axis(b, a, 4, 3);
        gradient_axis(a, b, 1, 9);
        for (int tap = 0; tap < 27; tap++)
            for (int o = 0; o < FAB_NN_BLOCK; o++)
                to[(tap * channels + c) * FAB_NN_BLOCK + o] += b[tap][o];
    }
}
