/* kernels_scalar.c - the reference every other instruction set is proven against, bit for bit.
 *
 * Products are summed with fmaf() in the order nn_internal.h states, which is what the vector
 * units do lane by lane. On machines with a fused multiply-add in the base instruction set
 * (AArch64) the compiler vectorises these loops; elsewhere they are slow and right.
 */
#include <math.h>
#include <string.h>

#include "nn_internal.h"

#define WINO_LANES 1
#define wino_vec float
#define wino_load(p) (*(p))
#define wino_store(p, a) (*(p) = (a))
#define wino_add(a, b) ((a) + (b))
#define wino_sub(a, b) ((a) - (b))
#define wino_splat(a) (a)
#define wino_mul(a, b) ((a) * (b))
#define wino_fma(a, b, c) fmaf((a), (b), (c))
#include "winograd_rows.h"

#define TRAIN_LANES 1
#define TRAIN_CHANNELS 1
#define TRAIN_BLOCKS 1
#define train_vec float
#define train_load(p) (*(p))
#define train_store(p, a) (*(p) = (a))
#define train_splat(s) (s)
#define train_add(a, b) ((a) + (b))
#define train_sub(a, b) ((a) - (b))
#define train_mul(a, b) ((a) * (b))
#define train_fma(a, b, c) fmaf((a), (b), (c))
#define train_choose(z, a, b) ((z) > 0.0f ? (a) : (b))
#include "train_rows.h"

static void conv_voxel(const fab_conv_row *r, const float *in, const float *weights, float *out)
{
    float sum[FAB_NN_BLOCK] = {0};
    if (r->bias)
        for (int o = 0; o < FAB_NN_BLOCK; o++) sum[o] = r->bias[o];
    for (int b = 0; b < r->blocks; b++)
        for (int t = 0; t < r->taps; t++) {
            const float *p = in + b * r->in_block + r->tap[t];
            for (int c = 0; c < r->channels[b]; c++, weights += FAB_NN_BLOCK)
                for (int o = 0; o < FAB_NN_BLOCK; o++) sum[o] = fmaf(p[c], weights[o], sum[o]);
        }
    for (int o = 0; o < FAB_NN_BLOCK; o++) out[o] = sum[o];
}

static void conv(const fab_conv_row *r)
{
    const float *in = r->in, *weights = r->weights;
    for (int v = 0; v < r->count; v++)
        conv_voxel(r, in + (ptrdiff_t)v * r->in_step, weights, r->out + v * r->out_step);
    if (!r->pair) return;
    fab_conv_row second = *r;
    second.pair = false;
    second.weights = weights + r->pair_weights;
    second.out += r->pair_out;
    if (second.bias) second.bias += FAB_NN_BLOCK;
    conv(&second);
}

static void norm(const fab_norm_row *r)
{
    for (int i = 0; i < r->count * FAB_NN_BLOCK; i++) {
        int c = i % FAB_NN_BLOCK;
        float y = fmaf(r->src[i], r->scale[c], r->shift[c]), low = y * r->slope;
        r->dst[i] = y > low ? y : low;
    }
}

/* 2^n of n + NN_ROUND, n a whole number from -126 to 127: it lies in the low bits. */
static float power_of_two(float n)
{
    uint32_t bits;
    memcpy(&bits, &n, sizeof bits);
    bits = (bits << 23) + NN_ONE_BITS;
    memcpy(&n, &bits, sizeof bits);
    return n;
}

/* exp(x) - 1 for x <= 0 as nn_internal.h states it. */
static float expm1_negative(float x)
{
    static const float c[] = {NN_EXPM1_COEFFICIENTS};
    const float low = x > NN_EXP_LEAST ? x : NN_EXP_LEAST;
    const float shifted = fmaf(low, NN_LOG2_E, NN_ROUND), n = shifted - NN_ROUND;
    const float r = fmaf(n, -NN_LN2_LOW, fmaf(n, -NN_LN2_HIGH, low));
    const float power = power_of_two(shifted);
    float p = c[0];
    for (size_t i = 1; i < sizeof c / sizeof *c; i++) p = fmaf(p, r, c[i]);
    return fmaf(fmaf(r * r, p, r), power, power - 1.0f);
}

static void elu(const fab_norm_row *r)
{
    for (int i = 0; i < r->count * FAB_NN_BLOCK; i++) {
        const int c = i % FAB_NN_BLOCK;
        const float y = fmaf(r->src[i], r->scale[c], r->shift[c]);
        r->dst[i] = fmaf(r->slope, expm1_negative(y < 0.0f ? y : 0.0f), y > 0.0f ? y : 0.0f);
    }
}

static float leaky(float y, float slope)
{
    const float low = y * slope;
    return y > low ? y : low;
}

static void add(const fab_add_row *r)
{
    const float *src = r->src, *skip = r->skip;
    float *dst = r->dst;
    for (int i = 0; i < r->count * FAB_NN_BLOCK; i++) {
        const int c = i % FAB_NN_BLOCK;
        const float other =
            r->skip_scale
                ? leaky(fmaf(skip[i], r->skip_scale[c], r->skip_shift[c]), r->skip_slope)
                : skip[i];
        dst[i] = leaky(fmaf(src[i], r->scale[c], r->shift[c]) + other, r->slope);
    }
}

/* Four interleaved sums, so that vector units are not held up by their latency. */
static void stats(fab_stats_row *r)
{
    for (int c = 0; c < FAB_NN_BLOCK; c++) {
        float sum[4] = {0}, square[4] = {0};
        for (int v = 0; v < r->count; v++) sum[v & 3] += r->src[v * FAB_NN_BLOCK + c];
        float mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * (1.0f / (float)r->count);
        for (int v = 0; v < r->count; v++) {
            float d = r->src[v * FAB_NN_BLOCK + c] - mean;
            square[v & 3] = fmaf(d, d, square[v & 3]);
        }
        r->mean[c] = mean;
        r->m2[c] = (square[0] + square[1]) + (square[2] + square[3]);
    }
}

static double peak(int64_t iterations)
{
    float sum[8] = {0};
    volatile float seed = 0.5f;
    float a = seed, b = seed;
    for (int64_t i = 0; i < iterations; i++)
        for (int k = 0; k < 8; k++) sum[k] = fmaf(a, b, sum[k]);
    for (int k = 0; k < 8; k++) seed = sum[k];
    return 16.0 * (double)iterations;
}

const fab_nn_kernels fab_nn_kernels_scalar = {"scalar", conv, norm, elu, add, stats,
                                              winograd_in, winograd_out, peak,
                                              .precision = FAB_PRECISION_FP32,
                                              .train = &train_kernels};
