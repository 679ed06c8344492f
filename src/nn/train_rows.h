/* train_rows.h - the kernels of training; a template, one include an ISA.
 *
 * The includer defines the type train_vec of TRAIN_LANES floats, train_load, train_store,
 * train_splat, train_add, train_sub, train_mul, train_fma (a * b + c), train_choose (z > 0 ? a : b)
 * and how many channels and output blocks `outer` holds in registers: TRAIN_CHANNELS,
 * TRAIN_BLOCKS (1 or 2). Sums are in one order: the same bits everywhere.
 */
#include "nn_internal.h"

#define TRAIN_INLINE static inline __attribute__((always_inline))
#define TRAIN_VECS (FAB_NN_BLOCK / TRAIN_LANES)

/* `channels` and `blocks` are constants at every call. */
TRAIN_INLINE void outer_part(const fab_outer *r, int first, int block, const int channels,
                             const int blocks)
{
    train_vec sum[TRAIN_BLOCKS][TRAIN_CHANNELS][TRAIN_VECS], g[TRAIN_BLOCKS][TRAIN_VECS];
    const float *result = r->result + block * r->result_pair;
    float *to = r->to + block * r->to_pair + first * FAB_NN_BLOCK;
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++)
#pragma GCC unroll 16
        for (int i = 0; i < channels * TRAIN_VECS; i++)
            sum[b][i / TRAIN_VECS][i % TRAIN_VECS] =
                train_load(to + b * r->to_pair + i * TRAIN_LANES);
    for (int row = 0; row < r->rows; row++) {
        const float *in = r->in + row * r->in_row + first;
        for (int v = 0; v < r->count; v++, in += r->in_step, result += FAB_NN_BLOCK) {
#pragma GCC unroll 2
            for (int b = 0; b < blocks; b++)
#pragma GCC unroll 16
                for (int k = 0; k < TRAIN_VECS; k++)
                    g[b][k] = train_load(result + b * r->result_pair + k * TRAIN_LANES);
#pragma GCC unroll 16
            for (int c = 0; c < channels; c++) {
                const train_vec s = train_splat(in[c]);
#pragma GCC unroll 2
                for (int b = 0; b < blocks; b++)
#pragma GCC unroll 16
                    for (int k = 0; k < TRAIN_VECS; k++)
                        sum[b][c][k] = train_fma(s, g[b][k], sum[b][c][k]);
            }
        }
    }
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++)
#pragma GCC unroll 16
        for (int i = 0; i < channels * TRAIN_VECS; i++)
            train_store(to + b * r->to_pair + i * TRAIN_LANES,
                        sum[b][i / TRAIN_VECS][i % TRAIN_VECS]);
}

static void outer(const fab_outer *r)
{
    const int blocks = r->pair ? 2 : 1;
    for (int block = 0; block < blocks; block += TRAIN_BLOCKS) {
        int first = 0;
        const bool both = TRAIN_BLOCKS > 1 && block + 1 < blocks;
        for (; first + TRAIN_CHANNELS <= r->channels; first += TRAIN_CHANNELS)
            if (both) outer_part(r, first, block, TRAIN_CHANNELS, TRAIN_BLOCKS);
            else outer_part(r, first, block, TRAIN_CHANNELS, 1);
        for (; first < r->channels; first++)
            if (both) outer_part(r, first, block, 1, TRAIN_BLOCKS);
            else outer_part(r, first, block, 1, 1);
    }
}

/* One axis: A m. */
TRAIN_INLINE void back_axis(train_vec first, train_vec second, train_vec t[4])
{
    t[0] = first;
    t[1] = train_add(first, second);
    t[2] = train_sub(first, second);
    t[3] = train_sub(train_splat(0.0f), second);
}

static void winograd_back(const fab_winograd_back *r)
{
    for (int lane = 0; lane < FAB_NN_BLOCK; lane += TRAIN_LANES)
        for (int i = 0; i < r->tiles; i++) {
            const float *from = r->from + (ptrdiff_t)2 * i * FAB_NN_BLOCK + lane;
            float *to = r->to + (ptrdiff_t)i * FAB_NN_BLOCK + lane;
            train_vec q[2][2][4], a[4], b[4]; /* q[y][x][z] */
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                const float *at = from + (k >> 1) * r->row + (k & 1) * FAB_NN_BLOCK;
                back_axis(train_load(at), train_load(at + r->plane), q[k >> 1][k & 1]);
            }
#pragma GCC unroll 4
            for (int z = 0; z < 4; z++) {
                back_axis(q[0][0][z], q[1][0][z], a);
                back_axis(q[0][1][z], q[1][1][z], b);
#pragma GCC unroll 4
                for (int y = 0; y < 4; y++) {
                    train_vec t[4];
                    back_axis(a[y], b[y], t);
#pragma GCC unroll 4
                    for (int x = 0; x < 4; x++)
                        train_store(to + (16 * z + 4 * y + x) * r->point, t[x]);
                }
            }
        }
}

static void activation_back(fab_back_row *r)
{
    for (int c = 0; c < FAB_NN_BLOCK; c += TRAIN_LANES) {
        const train_vec scale = train_load(r->scale + c), shift = train_load(r->shift + c);
        const train_vec mean = train_load(r->mean + c), factor = train_load(r->factor + c);
        const train_vec slope = train_splat(r->slope);
        train_vec first = train_splat(0.0f), second = first;
        for (int v = 0; v < r->count; v++) {
            const train_vec raw = train_load(r->raw + v * FAB_NN_BLOCK + c);
            const train_vec g = train_load(r->gradient + v * FAB_NN_BLOCK + c);
            const train_vec z = train_fma(raw, scale, shift);
            const train_vec d = train_choose(z, g, train_mul(g, slope));
            const train_vec x = train_mul(train_sub(raw, mean), factor);
            train_store(r->gradient + v * FAB_NN_BLOCK + c, d);
            first = train_add(first, d);
            second = train_fma(d, x, second);
        }
        train_store(r->first + c, first);
        train_store(r->second + c, second);
    }
}

static void norm_back(const fab_back_row *r)
{
    for (int c = 0; c < FAB_NN_BLOCK; c += TRAIN_LANES) {
        const train_vec scale = train_load(r->scale + c), first = train_load(r->first + c);
        const train_vec mean = train_load(r->mean + c), factor = train_load(r->factor + c);
        const train_vec second = train_sub(train_splat(0.0f), train_load(r->second + c));
        for (int v = 0; v < r->count; v++) {
            const train_vec raw = train_load(r->raw + v * FAB_NN_BLOCK + c);
            const train_vec x = train_mul(train_sub(raw, mean), factor);
            const train_vec g = train_sub(train_load(r->gradient + v * FAB_NN_BLOCK + c), first);
            train_store(r->gradient + v * FAB_NN_BLOCK + c,
                        train_mul(scale, train_fma(x, second, g)));
        }
    }
}

static const fab_nn_train_kernels train_kernels = {outer, winograd_back, activation_back,
                                                     norm_back};
