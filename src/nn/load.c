/* load.c - a task's input: read, normalised, activated and padded with zeros into its scratch.
 *
 * Scratch is [record][plane][z][y][x][pitch] values: fp32 records are a channel block each, bf16
 * records two (bf16.h). A lowered operation's records hold, for each output voxel, every value its
 * kernel reads from the network's input, in the order of the weights: [channel][z][y][x]. They are
 * gathered from the input as bf16, which lies behind them: three neighbours along x at a time.
 */
#include "bf16.h"
#include "run_internal.h"

typedef struct source {
    const void *data;           /* channel block, or plane of the input; NULL: zeros */
    const float *scale, *shift; /* NULL: as it is */
    int size[3];
} source;

/* Values from a plane of scratch to the next. */
static ptrdiff_t plane_values(const fab_op_plan *p)
{
    return (ptrdiff_t)p->halo[0] * p->halo[1] * p->halo[2] * p->pitch;
}

/* `values` values of `count` records from value `at` on, in every plane. */
static void zero(const fab_run_op *r, const fab_task *t, ptrdiff_t at, int count, int values)
{
    const fab_nn_kernels *k = r->s->net->kernels;
    const size_t bytes = fab_nn_scratch_bytes(k) * (size_t)values;
    for (int plane = 0; plane < (k->planes ? k->planes : 1); plane++, at += plane_values(r->p))
        for (int x = 0; x < count; x++)
            memset(fab_nn_scratch_at(r, t, at + (ptrdiff_t)x * r->p->pitch), 0, bytes);
}

static void load_values(const fab_run_op *r, const source *src, ptrdiff_t from, void *to, int n)
{
    const fab_nn_kernels *k = r->s->net->kernels;
    const float slope = (float)r->s->net->config.slope;
    const void *data = (const char *)src->data + from * (ptrdiff_t)fab_nn_tensor_bytes(k);
    if (k->load)
        k->load(&(fab_load_row){data, to, src->scale, src->shift, slope, n, r->p->pitch,
                                plane_values(r->p)});
    else if (src->scale)
        k->norm(&(fab_norm_row){data, to, src->scale, src->shift, slope, n});
    else
        memcpy(to, data, (size_t)n * FAB_NN_BLOCK * sizeof(float));
}

static void load_row(const fab_run_op *r, const source *src, int z, int y, const fab_task *t,
                     ptrdiff_t to)
{
    const int left = t->from[2] < 0 ? -t->from[2] : 0, pitch = r->p->pitch;
    const int right = fab_nn_least(t->from[2] + t->halo[2], src->size[2]) - t->from[2];
    const ptrdiff_t row = ((ptrdiff_t)z * src->size[1] + y) * src->size[2] + t->from[2] + left;
    zero(r, t, to, left, FAB_NN_BLOCK);
    load_values(r, src, row * FAB_NN_BLOCK,
                fab_nn_scratch_at(r, t, to + (ptrdiff_t)left * pitch), right - left);
    zero(r, t, to + (ptrdiff_t)right * pitch, t->halo[2] - right, FAB_NN_BLOCK);
}

/* One channel of the planar input, into every pitch-th float. */
static void load_planar_row(const source *src, int z, int y, const fab_task *t, int pitch,
                            float *to)
{
    const float *row = (const float *)src->data +
                       ((ptrdiff_t)z * src->size[1] + y) * src->size[2];
    for (int x = 0; x < t->halo[2]; x++) {
        const int from = t->from[2] + x;
        to[(ptrdiff_t)x * pitch] = from >= 0 && from < src->size[2] ? row[from] : 0.0f;
    }
}

/* Into every record from value `to` of scratch on. */
static void load_block(const fab_run_op *r, const source *src, const fab_task *t, ptrdiff_t to,
                       bool planar)
{
    const fab_op_plan *p = r->p;
    for (int z = 0; z < t->halo[0]; z++)
        for (int y = 0; y < t->halo[1]; y++) {
            const ptrdiff_t row = to + ((ptrdiff_t)z * p->halo[1] + y) * p->halo[2] * p->pitch;
            const int iz = t->from[0] + z, iy = t->from[1] + y;
            const bool inside = src->data && iz >= 0 && iz < src->size[0] && iy >= 0 &&
                                iy < src->size[1];
            if (planar && inside) load_planar_row(src, iz, iy, t, p->pitch, t->scratch + row);
            else if (inside) load_row(r, src, iz, iy, t, row);
            else zero(r, t, row, t->halo[2], planar ? 1 : FAB_NN_BLOCK);
        }
}

/* ---- lowered --------------------------------------------------------------------------------- */

/* The input's values that the task reads, as bf16: [channel][plane][z][y][x]. */
static void load_reach(const fab_run_op *r, const fab_task *t, uint16_t *to)
{
    const int *size = r->p->in_size, planes = r->s->net->kernels->planes;
    const ptrdiff_t voxels = (ptrdiff_t)size[0] * size[1] * size[2];
    const ptrdiff_t low = (ptrdiff_t)t->halo[0] * t->halo[1] * t->halo[2];
    const int rows = t->halo[0] * t->halo[1], all = fab_nn_inputs(r->op) * rows;
    for (int i = 0; i < all; i++) {
        const int c = i / rows, z = t->from[0] + i % rows / t->halo[1];
        const int y = t->from[1] + i % t->halo[1];
        const bool inside = z >= 0 && z < size[0] && y >= 0 && y < size[1];
        const float *row = r->s->input + c * voxels + ((ptrdiff_t)z * size[1] + y) * size[2];
        uint16_t *high = to + c * planes * low + (ptrdiff_t)(i % rows) * t->halo[2];
        for (int x = 0; x < t->halo[2]; x++) {
            const int from = t->from[2] + x;
            const float v = inside && from >= 0 && from < size[2] ? row[from] : 0.0f;
            high[x] = fab_bf16_round(v);
            if (planes > 1) high[x + low] = fab_bf16_rest(v, high[x]);
        }
    }
}

/* `run` neighbours along x as values at, at + 1, ... of a row's `count` records, which may lie in
 * two planes of scratch; of each, `plane` values on. Three are copied as four: the fourth is
 * overwritten by what comes next. */
static void gather_run(const uint16_t *from, int count, int step, int run, uint16_t *to, int at,
                       ptrdiff_t plane)
{
    const int place = at % FAB_BF16_GROUP;
    if (run == 3 && place + 4 <= FAB_BF16_GROUP) {
        to += at / FAB_BF16_GROUP * plane + place;
        for (int x = 0; x < count; x++)
            memcpy(to + (ptrdiff_t)x * FAB_BF16_GROUP, from + (ptrdiff_t)x * step,
                   4 * sizeof *to);
        return;
    }
    for (int i = at; i < at + run; i++)
        for (int x = 0; x < count; x++)
            to[i / FAB_BF16_GROUP * plane + (ptrdiff_t)x * FAB_BF16_GROUP + i % FAB_BF16_GROUP] =
                from[(ptrdiff_t)x * step + i - at];
}

/* The records of row (z, y) of the task, of one plane: `from` is the row's first input value. */
static void gather_row(const fab_run_op *r, const fab_task *t, const uint16_t *from, uint16_t *to)
{
    const fab_net_op *op = r->op;
    const int *k = op->kernel, *n = t->halo, planes = r->s->net->kernels->planes;
    const ptrdiff_t channel = (ptrdiff_t)n[0] * n[1] * n[2] * planes;
    const ptrdiff_t plane = plane_values(r->p) * planes;
    const int channels = fab_nn_inputs(op);
    int at = 0;
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < k[0] * k[1]; i++, at += k[2])
            gather_run(from + c * channel + ((ptrdiff_t)(i / k[1]) * n[1] + i % k[1]) * n[2],
                       t->size[2], op->stride[2], k[2], to, at, plane);
    const int last = (op->groups - 1) * FAB_BF16_GROUP;
    for (int x = 0; x < t->size[2] && at < last + FAB_BF16_GROUP; x++)
        memset(to + (op->groups - 1) * plane + (ptrdiff_t)x * FAB_BF16_GROUP + at - last, 0,
               (size_t)(last + FAB_BF16_GROUP - at) * sizeof *to);
}

static void load_lowered(const fab_run_op *r, const fab_task *t)
{
    const fab_op_plan *p = r->p;
    const int planes = r->s->net->kernels->planes, *stride = r->op->stride, *n = t->halo;
    uint16_t *planar = (uint16_t *)(void *)(t->scratch + p->planar);
    load_reach(r, t, planar);
    for (int plane = 0; plane < planes; plane++)
        for (int z = 0; z < t->size[0]; z++)
            for (int y = 0; y < t->size[1]; y++) {
                const ptrdiff_t row = ((ptrdiff_t)z * p->halo[1] + y) * p->halo[2] * p->pitch;
                const ptrdiff_t at = ((ptrdiff_t)z * stride[0] * n[1] + y * stride[1]) * n[2];
                gather_row(r, t, planar + (ptrdiff_t)plane * n[0] * n[1] * n[2] + at,
                           fab_nn_scratch_at(r, t, row + plane * plane_values(p)));
            }
}

/* ---- a task's tile --------------------------------------------------------------------------- */

/* Value of scratch where channel `c` of the network's input begins, as fp32: its block's record is
 * full but for the last one's. */
static ptrdiff_t channel_at(const fab_run_op *r, int c)
{
    return c / FAB_NN_BLOCK * plane_values(r->p) + c % FAB_NN_BLOCK;
}

/* Value of scratch where input block `block` of the first record begins. */
static ptrdiff_t block_at(const fab_run_op *r, int block)
{
    const int planes = r->s->net->kernels->planes;
    if (!planes) return block * plane_values(r->p);
    return block / 2 * planes * plane_values(r->p) + block % 2 * FAB_NN_BLOCK;
}

void fab_nn_load_tile(const fab_run_op *r, const fab_task *t)
{
    const fab_net_session *s = r->s;
    const fab_op_plan *p = r->p;
    const ptrdiff_t voxels = (ptrdiff_t)p->in_size[0] * p->in_size[1] * p->in_size[2];
    source src = {.size = {p->in_size[0], p->in_size[1], p->in_size[2]}};
    int block = 0;
    if (r->op->lowered) {
        load_lowered(r, t);
        return;
    }
    for (int k = 0; k < r->op->sources; k++) {
        const int tensor = r->op->source[k], channels = fab_net_tensor_channels(s->net, tensor);
        for (int c = 0; tensor == 0 && c < channels; c++) {
            src.data = s->input + c * voxels;
            load_block(r, &src, t, channel_at(r, c), true);
        }
        const int blocks = tensor == 0 ? 0 : fab_nn_blocks(channels);
        const float *affine = s->affine + s->affine_offset[tensor];
        for (int b = 0; b < blocks; b++, block++) {
            const bool raw = fab_net_tensor_raw(s->net, tensor);
            src.data = fab_nn_tensor_at(s, tensor, b * voxels * FAB_NN_BLOCK);
            src.scale = raw ? affine + b * FAB_NN_BLOCK : NULL;
            src.shift = raw ? affine + (blocks + b) * FAB_NN_BLOCK : NULL;
            load_block(r, &src, t, block_at(r, block), false);
        }
    }
    src.data = NULL;
    if (s->net->kernels->planes && block % 2) load_block(r, &src, t, block_at(r, block), false);
}
