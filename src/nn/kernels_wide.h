/* kernels_wide.h - kernels for 16-float vectors; a template, included by one file an ISA.
 *
 * The includer defines the type `wide`, the functions wide_load, wide_store, wide_splat, wide_fma
 * (a * b + c), wide_add, wide_sub, wide_mul, wide_max, wide_min, wide_power_of_two (of
 * n + NN_ROUND), and WIDE_KERNELS, WIDE_NAME. With 32 registers the convolution holds 12 voxels x
 * 32 outputs (24 sums, 2 weights, 1 broadcast), or 12 x 16 when there is one output block only.
 */
#include "nn_internal.h"

#define WINO_LANES FAB_NN_BLOCK
#define wino_vec wide
#define wino_load(p) wide_load(p)
#define wino_store(p, a) wide_store((p), (a))
#define wino_add(a, b) wide_add((a), (b))
#define wino_sub(a, b) wide_sub((a), (b))
#define wino_splat(a) wide_splat(a)
#define wino_mul(a, b) wide_mul((a), (b))
#define wino_fma(a, b, c) wide_fma((a), (b), (c))
#include "winograd_rows.h"

#define TRAIN_LANES FAB_NN_BLOCK
#define TRAIN_CHANNELS 8
#define TRAIN_BLOCKS 2
#define train_vec wide
#define train_load(p) wide_load(p)
#define train_store(p, a) wide_store((p), (a))
#define train_splat(s) wide_splat(s)
#define train_add(a, b) wide_add((a), (b))
#define train_sub(a, b) wide_sub((a), (b))
#define train_mul(a, b) wide_mul((a), (b))
#define train_fma(a, b, c) wide_fma((a), (b), (c))
#define train_choose(z, a, b) wide_choose((z), (a), (b))
#include "train_rows.h"

#define INLINE static inline __attribute__((always_inline))
#define MAX_VOXELS 12

/* `voxels`, `blocks` (1 or 2 output blocks) and `step` are constants at every call (step 0: taken
 * from the row at run time; else voxels need no registers for their addresses, which is worth 10 to
 * 25 %). */
INLINE void conv_voxels(const fab_conv_row *r, const float *in, float *out, const int voxels,
                        const int blocks, const int step)
{
    const ptrdiff_t x = step ? step : r->in_step;
    const float *w = r->weights;
    wide sum[2][MAX_VOXELS];
#pragma GCC unroll 2
    for (int k = 0; k < blocks; k++) {
        const wide start = r->bias ? wide_load(r->bias + k * FAB_NN_BLOCK) : wide_splat(0.0f);
#pragma GCC unroll 12
        for (int v = 0; v < voxels; v++) sum[k][v] = start;
    }
    for (int b = 0; b < r->blocks; b++) {
        const float *block = in + b * r->in_block;
        const int channels = r->channels[b];
        for (int t = 0; t < r->taps; t++) {
            const float *p = block + r->tap[t];
            for (int c = 0; c < channels; c++, w += FAB_NN_BLOCK) {
                const wide w0 = wide_load(w);
                const wide w1 = blocks > 1 ? wide_load(w + r->pair_weights) : w0;
#pragma GCC unroll 12
                for (int v = 0; v < voxels; v++) {
                    const wide s = wide_splat(p[v * x + c]);
                    sum[0][v] = wide_fma(s, w0, sum[0][v]);
                    if (blocks > 1) sum[1][v] = wide_fma(s, w1, sum[1][v]);
                }
            }
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < blocks; k++)
#pragma GCC unroll 12
        for (int v = 0; v < voxels; v++)
            wide_store(out + k * r->pair_out + v * r->out_step, sum[k][v]);
}

#define CONV_FUNCTION(voxels, blocks, step)                                                       \
    static void conv_##voxels##_##blocks##_##step(const fab_conv_row *r, const float *in,         \
                                                  float *out)                                     \
    {                                                                                             \
        conv_voxels(r, in, out, voxels, blocks, step);                                            \
    }
#define CONV_FUNCTIONS(blocks, step)                                                              \
    CONV_FUNCTION(1, blocks, step) CONV_FUNCTION(2, blocks, step)                                 \
    CONV_FUNCTION(3, blocks, step) CONV_FUNCTION(4, blocks, step)                                 \
    CONV_FUNCTION(5, blocks, step) CONV_FUNCTION(6, blocks, step)                                 \
    CONV_FUNCTION(7, blocks, step) CONV_FUNCTION(8, blocks, step)                                 \
    CONV_FUNCTION(9, blocks, step) CONV_FUNCTION(10, blocks, step)                                \
    CONV_FUNCTION(11, blocks, step) CONV_FUNCTION(12, blocks, step)
CONV_FUNCTIONS(1, 0)
CONV_FUNCTIONS(2, 0)
CONV_FUNCTIONS(1, 16)
CONV_FUNCTIONS(2, 16)
CONV_FUNCTIONS(1, 32)
CONV_FUNCTIONS(2, 32)
#define CONV_ROW(n, step)                                                                         \
    {conv_1_##n##_##step, conv_2_##n##_##step, conv_3_##n##_##step, conv_4_##n##_##step,          \
     conv_5_##n##_##step, conv_6_##n##_##step, conv_7_##n##_##step, conv_8_##n##_##step,          \
     conv_9_##n##_##step, conv_10_##n##_##step, conv_11_##n##_##step, conv_12_##n##_##step}

static void conv(const fab_conv_row *r)
{
    static void (*const table[3][2][MAX_VOXELS])(const fab_conv_row *, const float *, float *) = {
        {CONV_ROW(1, 0), CONV_ROW(2, 0)}, {CONV_ROW(1, 16), CONV_ROW(2, 16)},
        {CONV_ROW(1, 32), CONV_ROW(2, 32)}};
    const int step = r->in_step == 16 ? 1 : r->in_step == 32 ? 2 : 0;
    int parts = (r->count + MAX_VOXELS - 1) / MAX_VOXELS;
    const float *in = r->in;
    float *out = r->out;
    for (int left = r->count; parts > 0; parts--) { /* parts of equal size, give or take one */
        const int voxels = (left + parts - 1) / parts;
        table[step][r->pair][voxels - 1](r, in, out);
        in += (ptrdiff_t)voxels * r->in_step;
        out += voxels * r->out_step;
        left -= voxels;
    }
}

static void norm(const fab_norm_row *r)
{
    const wide slope = wide_splat(r->slope);
    const wide scale = wide_load(r->scale), shift = wide_load(r->shift);
    for (int v = 0; v < r->count; v++) {
        __builtin_prefetch(r->src + (v + FAB_NN_AHEAD) * FAB_NN_BLOCK);
        const wide y = wide_fma(wide_load(r->src + v * FAB_NN_BLOCK), scale, shift);
        wide_store(r->dst + v * FAB_NN_BLOCK, wide_max(y, wide_mul(y, slope)));
    }
}

INLINE wide expm1_negative(wide x)
{
    static const float c[] = {NN_EXPM1_COEFFICIENTS};
    const wide low = wide_max(x, wide_splat(NN_EXP_LEAST)), magic = wide_splat(NN_ROUND);
    const wide shifted = wide_fma(low, wide_splat(NN_LOG2_E), magic);
    const wide n = wide_sub(shifted, magic);
    const wide r = wide_fma(n, wide_splat(-NN_LN2_LOW), wide_fma(n, wide_splat(-NN_LN2_HIGH), low));
    const wide power = wide_power_of_two(shifted);
    wide p = wide_splat(c[0]);
#pragma GCC unroll 8
    for (size_t i = 1; i < sizeof c / sizeof *c; i++) p = wide_fma(p, r, wide_splat(c[i]));
    return wide_fma(wide_fma(wide_mul(r, r), p, r), power, wide_sub(power, wide_splat(1.0f)));
}

static void elu(const fab_norm_row *r)
{
    const wide slope = wide_splat(r->slope), zero = wide_splat(0.0f);
    const wide scale = wide_load(r->scale), shift = wide_load(r->shift);
    for (int v = 0; v < r->count; v++) {
        const wide y = wide_fma(wide_load(r->src + v * FAB_NN_BLOCK), scale, shift);
        const wide below = expm1_negative(wide_min(y, zero));
        wide_store(r->dst + v * FAB_NN_BLOCK, wide_fma(slope, below, wide_max(y, zero)));
    }
}

INLINE wide leaky(wide y, wide slope)
{
    return wide_max(y, wide_mul(y, slope));
}

static void add(const fab_add_row *r)
{
    const wide slope = wide_splat(r->slope), skip_slope = wide_splat(r->skip_slope);
    const wide scale = wide_load(r->scale), shift = wide_load(r->shift);
    const wide skip_scale = r->skip_scale ? wide_load(r->skip_scale) : scale;
    const wide skip_shift = r->skip_scale ? wide_load(r->skip_shift) : shift;
    const float *src = r->src, *from = r->skip;
    float *dst = r->dst;
    for (int v = 0; v < r->count; v++) {
        wide other = wide_load(from + v * FAB_NN_BLOCK);
        if (r->skip_scale) other = leaky(wide_fma(other, skip_scale, skip_shift), skip_slope);
        const wide y = wide_fma(wide_load(src + v * FAB_NN_BLOCK), scale, shift);
        wide_store(dst + v * FAB_NN_BLOCK, leaky(wide_add(y, other), slope));
    }
}

INLINE wide sum4(const wide s[4])
{
    return wide_add(wide_add(s[0], s[1]), wide_add(s[2], s[3]));
}

static void stats(fab_stats_row *r)
{
    wide sum[4], square[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) sum[k] = square[k] = wide_splat(0.0f);
    int v = 0;
    for (; v + 4 <= r->count; v += 4)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            sum[k] = wide_add(sum[k], wide_load(r->src + (v + k) * FAB_NN_BLOCK));
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        if (v + k < r->count)
            sum[k] = wide_add(sum[k], wide_load(r->src + (v + k) * FAB_NN_BLOCK));
    const wide mean = wide_mul(sum4(sum), wide_splat(1.0f / (float)r->count));
    for (v = 0; v + 4 <= r->count; v += 4)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            const wide d = wide_sub(wide_load(r->src + (v + k) * FAB_NN_BLOCK), mean);
            square[k] = wide_fma(d, d, square[k]);
        }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        if (v + k < r->count) {
            const wide d = wide_sub(wide_load(r->src + (v + k) * FAB_NN_BLOCK), mean);
            square[k] = wide_fma(d, d, square[k]);
        }
    wide_store(r->mean, mean);
    wide_store(r->m2, sum4(square));
}

static double peak(int64_t iterations)
{
    wide sum[12];
    volatile float seed = 0.5f;
    const wide a = wide_splat(seed), b = wide_splat(seed);
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) sum[k] = wide_splat(0.0f);
    for (int64_t i = 0; i < iterations; i++)
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++) {
            sum[k] = wide_fma(a, b, sum[k]);
            WIDE_KEEP(sum[k]);
        }
    float last[FAB_NN_BLOCK];
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) {
        wide_store(last, sum[k]);
        seed = last[0];
    }
    return 12.0 * 32.0 * (double)iterations;
}

const fab_nn_kernels WIDE_KERNELS = {WIDE_NAME, conv, norm, elu, add, stats,
                                     winograd_in, winograd_out, peak,
                                     .precision = FAB_PRECISION_FP32, .train = &train_kernels};
