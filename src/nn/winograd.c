/* winograd.c - 3x3x3 convolutions in 64 products for 8 outputs, not 216 (Lavin and Gray 2016).
 *
 *   input planes, normed --B--> V[point][channel][tile] --x U[point]--> M[point][output][tile]
 *        (two at a time, a ring of four)                      M --A--> raw sums, row statistics
 *
 * A task is a column of tiles along z. One layer of its tiles is in the second-level cache from its
 * transform to its outputs. U, the transformed weights, has 64 points where the weights have 27
 * taps; it is made anew for every operation and patch (1 % of the time), not kept (300 MB for
 * TotalSegmentator's widths). The products are the plain convolution's kernel with one tap.
 */
#include <string.h>

#include "run_internal.h"

#define TASKS_WANTED 48
#define LEAST_GRADIENT_VOXELS 8192 /* of the weights' gradient, which has a U a lane */
#define SQUARE (FAB_NN_BLOCK * FAB_NN_BLOCK)
#define LEAST_VOXELS 2048 /* below, transforming the weights costs more than it saves */
#define TILE_Y 12         /* with 16 along x: 48 tiles a layer, whole groups of the kernels' 12 */
#define LINE 16           /* floats added to a point's stride, so that points differ in cache set */

/* The parts of `whole` of at most `most` voxels each: their size, even. */
static int even_part(int whole, int most)
{
    const int part = fab_nn_ceil_div(whole, fab_nn_ceil_div(whole, most));
    return part + part % 2;
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
    return p->tile[1] / 2 * (p->tile[2] / 2);
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

bool fab_winograd_plan(const fab_net_op *op, const int size[3], bool rows, fab_op_plan *p)
{
    if (!applies(op, size)) return false;
    p->winograd = true;
    p->pitch = FAB_NN_BLOCK;
    p->tile[1] = even_part(size[1], TILE_Y);
    p->tile[2] = even_part(size[2], op->blocks <= 4 ? 16 : 32);
    const int columns = fab_nn_ceil_div(size[1], p->tile[1]) * fab_nn_ceil_div(size[2], p->tile[2]);
    const int deep = size[0] / fab_nn_ceil_div(TASKS_WANTED, columns);
    p->tile[0] = even_part(size[0], deep < 4 ? 4 : deep);
    for (int a = 0; a < 3; a++) p->tiles[a] = fab_nn_ceil_div(size[a], p->tile[a]);
    const int tiles = p->tiles[0] * p->tiles[1] * p->tiles[2];
    p->group = fab_nn_ceil_div(op->out_blocks, fab_nn_ceil_div(TASKS_WANTED, tiles));
    if (p->group < 4) p->group = 4;
    p->group += p->group % 2;
    if (p->group > op->out_blocks) p->group = op->out_blocks;
    p->groups = fab_nn_ceil_div(op->out_blocks, p->group);
    p->halo[0] = 2; /* loaded at a time */
    p->halo[1] = p->tile[1] + 2;
    p->halo[2] = p->tile[2] + 2;
    p->row = (size_t)(2 * pair_floats(op, p) +
                      FAB_WINOGRAD_POINTS * (in_point(op, p) + out_point(p)));
    p->scratch = p->row + (rows ? 4 * (size_t)p->tile[2] * FAB_NN_BLOCK : 0);
    return true;
}

size_t fab_winograd_weights(const fab_net_op *op)
{
    return (size_t)FAB_WINOGRAD_POINTS * (size_t)op->out_blocks * (size_t)fab_nn_inputs(op) *
           FAB_NN_BLOCK;
}

/* ---- weights: U = G g along each axis -------------------------------------------------------- */

/* One axis: `count` groups of three values `step` apart to groups of four; 16 outputs wide. */
static void weights_axis(float (*from)[FAB_NN_BLOCK], float (*to)[FAB_NN_BLOCK], int groups,
                         int inner)
{
    for (int g = 0; g < groups; g++)
        for (int i = 0; i < inner; i++) {
            float (*a)[FAB_NN_BLOCK] = from + g * 3 * inner + i;
            float (*t)[FAB_NN_BLOCK] = to + g * 4 * inner + i;
            for (int o = 0; o < FAB_NN_BLOCK; o++) {
                const float first = a[0][o], middle = a[inner][o], last = a[2 * inner][o];
                const float ends = first + last;
                t[0][o] = first;
                t[inner][o] = 0.5f * (ends + middle);
                t[2 * inner][o] = 0.5f * (ends - middle);
                t[3 * inner][o] = last;
            }
        }
}

/* Task: an output block's weights from one input block. */
void fab_winograd_weights_task(void *ctx, int64_t index, int worker)
{
    const fab_run_op *r = ctx;
    const fab_net_op *op = r->op;
    const int ob = (int)(index / op->blocks), block = (int)(index % op->blocks);
    const int inputs = fab_nn_inputs(op), channels = op->channels[block];
    float a[64][FAB_NN_BLOCK], b[64][FAB_NN_BLOCK];
    const int before = fab_nn_channels_before(op, block);
    (void)worker;
    const float *from = (const float *)op->weights + ob * op->weights_stride +
                        before * 27 * FAB_NN_BLOCK;
    float *to = r->s->winograd + ((ptrdiff_t)ob * inputs + before) * FAB_NN_BLOCK;
    const ptrdiff_t point = (ptrdiff_t)op->out_blocks * inputs * FAB_NN_BLOCK;
    for (int c = 0; c < channels; c++) {
        for (int tap = 0; tap < 27; tap++)
            memcpy(a[tap], from + (tap * channels + c) * FAB_NN_BLOCK, sizeof a[tap]);
        weights_axis(a, b, 9, 1);
        weights_axis(b, a, 3, 4);
        weights_axis(a, b, 1, 16);
        for (int k = 0; k < FAB_WINOGRAD_POINTS; k++)
            memcpy(to + k * point + c * FAB_NN_BLOCK, b[k], sizeof b[k]);
    }
}

/* ---- a task ---------------------------------------------------------------------------------- */

typedef struct column {
    const fab_run_op *r;
    const fab_task *t;
    float *pair[2], *v, *m;
    int rows, along;   /* tiles of a layer: along y, along x */
    int first, blocks; /* output blocks */
} column;

/* Planes 2 * pair and the next of the task's input. */
static void load_pair(const column *c, int pair)
{
    fab_task t = *c->t;
    t.from[0] += 2 * pair;
    t.halo[0] = 2;
    t.scratch = c->pair[pair & 1];
    fab_nn_load_tile(c->r, &t);
}

static void transform_in(const column *c, int layer)
{
    const fab_op_plan *p = c->r->p;
    const ptrdiff_t row = (ptrdiff_t)p->halo[2] * FAB_NN_BLOCK, plane = row * p->halo[1];
    const float *near = c->pair[layer & 1], *far = c->pair[(layer + 1) & 1];
    for (int b = 0; b < c->r->op->blocks; b++)
        for (int y = 0; y < c->rows; y++) {
            const ptrdiff_t at = 2 * b * plane + 2 * y * row;
            const ptrdiff_t tile = ((ptrdiff_t)b * c->rows + y) * c->along;
            c->r->s->net->kernels->winograd_in(&(fab_winograd_in){
                .plane = {near + at, near + plane + at, far + at, far + plane + at},
                .row = row, .to = c->v + tile * FAB_NN_BLOCK,
                .point = in_point(c->r->op, p), .tiles = c->along});
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
    for (int k = 0; k < FAB_WINOGRAD_POINTS; k++)
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

/* A row of tiles of output block c->first + b: two planes of two rows of raw sums into the tensor,
 * which begin at value `first` of it, and into the statistics. */
static void finish_row(const column *c, int layer_row, int b, ptrdiff_t first)
{
    const fab_run_op *r = c->r;
    const fab_nn_kernels *k = r->s->net->kernels;
    const ptrdiff_t row = (ptrdiff_t)r->p->out_size[2] * FAB_NN_BLOCK;
    const ptrdiff_t plane = row * r->p->out_size[1], near = 2 * (ptrdiff_t)c->along * FAB_NN_BLOCK;
    const int ob = c->first + b;
    fab_tile_stats *stats = r->s->partials + (ptrdiff_t)c->t->tile * r->op->out_blocks + ob;
    float *to = k->store ? c->t->scratch + r->p->row : fab_nn_tensor_at(r->s, r->index + 1, first);
    const fab_winograd_out out = {
        .from = c->m + ((ptrdiff_t)b * c->rows + layer_row) * c->along * FAB_NN_BLOCK,
        .point = out_point(r->p), .to = to, .plane = k->store ? 2 * near : plane,
        .row = k->store ? near : row, .tiles = c->along};
    k->winograd_out(&out);
    for (int i = 0; i < 4; i++) {
        const float *sums = to + (i >> 1) * out.plane + (i & 1) * out.row;
        void *at = fab_nn_tensor_at(r->s, r->index + 1, first + (i >> 1) * plane + (i & 1) * row);
        fab_nn_add_row_stats(r->s, sums, 2 * c->along, stats);
        if (k->store) k->store(&(fab_store_row){sums, at, FAB_NN_BLOCK, 2 * c->along});
    }
}

static void transform_out(const column *c, int layer)
{
    const int *out = c->r->p->out_size, *at = c->t->at;
    const ptrdiff_t row = (ptrdiff_t)out[2] * FAB_NN_BLOCK, plane = row * out[1];
    for (int b = 0; b < c->blocks; b++)
        for (int y = 0; y < c->rows; y++)
            finish_row(c, y, b,
                       ((ptrdiff_t)(c->first + b) * out[0] + at[0] + 2 * layer) * plane +
                           (at[1] + 2 * y) * row + at[2] * FAB_NN_BLOCK);
}

static column column_of(const fab_run_op *r, const fab_task *t)
{
    const fab_op_plan *p = r->p;
    const ptrdiff_t pair = pair_floats(r->op, p);
    column c = {.r = r, .t = t, .pair = {t->scratch, t->scratch + pair},
                .v = t->scratch + 2 * pair, .rows = t->size[1] / 2, .along = t->size[2] / 2,
                .first = t->group * p->group};
    c.m = c.v + FAB_WINOGRAD_POINTS * in_point(r->op, p);
    c.blocks = fab_nn_least(p->group, r->op->out_blocks - c.first);
    return c;
}

void fab_winograd_load(const fab_run_op *r, const fab_task *t)
{
    const column c = column_of(r, t);
    for (int pair = 0; pair <= t->size[0] / 2; pair++) load_pair(&c, pair);
}

void fab_winograd_task(const fab_run_op *r, const fab_task *t)
{
    const column c = column_of(r, t);
    memset(r->s->partials + (ptrdiff_t)t->tile * r->op->out_blocks + c.first, 0,
           (size_t)c.blocks * sizeof *r->s->partials);
    load_pair(&c, 0);
    for (int layer = 0; layer < t->size[0] / 2; layer++) {
        load_pair(&c, layer + 1);
        transform_in(&c, layer);
        multiply(&c);
        transform_out(&c, layer);
    }
}

/* ---- the weights' gradient: of U, sums of V times A dL/dy A; then G from both sides ---------- */

bool fab_winograd_gradient_plan(const fab_net_op *op, const fab_op_plan *forward, fab_op_plan *p)
{
    const int *n = forward->out_size;
    if (!forward->winograd || (int64_t)n[0] * n[1] * n[2] < LEAST_GRADIENT_VOXELS) return false;
    *p = *forward;
    p->group = op->out_blocks;
    p->groups = 1;
    p->scratch = (size_t)(2 * pair_floats(op, p) +
                          FAB_WINOGRAD_POINTS * (in_point(op, p) + out_point(p)));
    return true;
}

size_t fab_winograd_gradient_floats(const fab_net_op *op)
{
    return (size_t)FAB_WINOGRAD_POINTS * (size_t)(op->out_blocks * op->blocks) * SQUARE;
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
    load_pair(&c, 0);
    for (int layer = 0; layer < t->size[0] / 2; layer++) {
        load_pair(&c, layer + 1);
        transform_in(&c, layer);
        transform_back(&c, layer, result);
        for (int i = 0; i < FAB_WINOGRAD_POINTS * blocks; i++)
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
    float a[FAB_WINOGRAD_POINTS][FAB_NN_BLOCK], b[FAB_WINOGRAD_POINTS][FAB_NN_BLOCK];
    const int before = fab_nn_channels_before(op, block);
    float *to = gradient + ob * op->weights_stride + before * 27 * FAB_NN_BLOCK;
    for (int c = 0; c < channels; c++) {
        for (int k = 0; k < FAB_WINOGRAD_POINTS; k++)
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
