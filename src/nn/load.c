/* load.c - a task's input: read, normalised, activated and padded with zeros into its scratch. */
#include <string.h>

#include "run_internal.h"

static int least(int a, int b)
{
    return a < b ? a : b;
}

const float *fab_nn_tensor_data(const fab_net_session *s, int tensor)
{
    return s->arena + s->plan.ops[tensor - 1].out_offset;
}

typedef struct source {
    const float *data;          /* channel block, or plane of the input */
    const float *scale, *shift; /* NULL: as it is */
    int size[3];
} source;

static void load_row(const fab_run_op *r, const source *src, int z, int y, const fab_task *t,
                     float *to)
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
static void load_planar_row(const source *src, int z, int y, const fab_task *t, int pitch,
                            float *to)
{
    const float *row = src->data + ((ptrdiff_t)z * src->size[1] + y) * src->size[2];
    for (int x = 0; x < t->halo[2]; x++) {
        const int from = t->from[2] + x;
        to[(ptrdiff_t)x * pitch] = from >= 0 && from < src->size[2] ? row[from] : 0.0f;
    }
}

static void load_block(const fab_run_op *r, const source *src, const fab_task *t, float *to,
                       bool planar)
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

void fab_nn_load_tile(const fab_run_op *r, const fab_task *t)
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
            src.data = fab_nn_tensor_data(s, tensor) + b * voxels * FAB_NN_BLOCK;
            src.scale = raw ? affine + b * FAB_NN_BLOCK : NULL;
            src.shift = raw ? affine + (blocks + b) * FAB_NN_BLOCK : NULL;
            load_block(r, &src, t, t->scratch + block * block_floats, false);
        }
    }
}
