/* kernels_avx2.c - AVX2 + FMA kernels (this file alone is compiled with -mavx2 -mfma).
 *
 * The convolution keeps up to 6 voxels x 16 outputs in 12 registers through all blocks, taps and
 * channels; a step is 2 weight loads, 6 broadcasts and 12 FMAs, so the FMA units set the pace.
 * Where the upper 8 outputs are padding, 12 voxels x 8 outputs take their place.
 */
#include <immintrin.h>

#include "nn_internal.h"

#define WINO_LANES 8
#define wino_vec __m256
#define wino_load(p) _mm256_loadu_ps(p)
#define wino_store(p, a) _mm256_storeu_ps((p), (a))
#define wino_add(a, b) _mm256_add_ps((a), (b))
#define wino_sub(a, b) _mm256_sub_ps((a), (b))
#define wino_splat(a) _mm256_set1_ps(a)
#define wino_mul(a, b) _mm256_mul_ps((a), (b))
#define wino_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#include "winograd_rows.h"

#define TRAIN_LANES 8
#define TRAIN_CHANNELS 4
#define TRAIN_BLOCKS 1
#define train_vec __m256
#define train_load(p) _mm256_loadu_ps(p)
#define train_store(p, a) _mm256_storeu_ps((p), (a))
#define train_splat(s) _mm256_set1_ps(s)
#define train_add(a, b) _mm256_add_ps((a), (b))
#define train_sub(a, b) _mm256_sub_ps((a), (b))
#define train_mul(a, b) _mm256_mul_ps((a), (b))
#define train_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define train_choose(z, a, b)                                                                     \
    _mm256_blendv_ps((b), (a), _mm256_cmp_ps((z), _mm256_setzero_ps(), _CMP_GT_OQ))
#include "train_rows.h"

#define INLINE static inline __attribute__((always_inline))
#define MAX_VOXELS 6
#define MAX_HALF_VOXELS 12

/* `voxels` and `step` are constants at every call (step 0: taken from the row at run time). */
INLINE void conv_voxels(const fab_conv_row *r, const float *in, float *out, const int voxels,
                        const int step)
{
    const ptrdiff_t x = step ? step : r->in_step;
    const float *w = r->weights;
    __m256 low[MAX_VOXELS], high[MAX_VOXELS];
#pragma GCC unroll 6
    for (int v = 0; v < voxels; v++) {
        low[v] = r->bias ? _mm256_loadu_ps(r->bias) : _mm256_setzero_ps();
        high[v] = r->bias ? _mm256_loadu_ps(r->bias + 8) : _mm256_setzero_ps();
    }
    for (int b = 0; b < r->blocks; b++) {
        const float *block = in + b * r->in_block;
        const int channels = r->channels[b];
        for (int t = 0; t < r->taps; t++) {
            const float *p = block + r->tap[t];
            for (int c = 0; c < channels; c++, w += FAB_NN_BLOCK) {
                const __m256 w0 = _mm256_load_ps(w), w1 = _mm256_load_ps(w + 8);
#pragma GCC unroll 6
                for (int v = 0; v < voxels; v++) {
                    const __m256 s = _mm256_broadcast_ss(p + v * x + c);
                    low[v] = _mm256_fmadd_ps(s, w0, low[v]);
                    high[v] = _mm256_fmadd_ps(s, w1, high[v]);
                }
            }
        }
    }
#pragma GCC unroll 6
    for (int v = 0; v < voxels; v++) {
        _mm256_storeu_ps(out + v * r->out_step, low[v]);
        _mm256_storeu_ps(out + v * r->out_step + 8, high[v]);
    }
}

#define CONV_FUNCTION(voxels, step)                                                               \
    static void conv_##voxels##_##step(const fab_conv_row *r, const float *in, float *out)        \
    {                                                                                             \
        conv_voxels(r, in, out, voxels, step);                                                    \
    }
#define CONV_FUNCTIONS(step)                                                                      \
    CONV_FUNCTION(1, step) CONV_FUNCTION(2, step) CONV_FUNCTION(3, step)                          \
    CONV_FUNCTION(4, step) CONV_FUNCTION(5, step) CONV_FUNCTION(6, step)
CONV_FUNCTIONS(0)
CONV_FUNCTIONS(16)
CONV_FUNCTIONS(32)
#define CONV_ROW(step)                                                                            \
    {conv_1_##step, conv_2_##step, conv_3_##step, conv_4_##step, conv_5_##step, conv_6_##step}

INLINE void conv_half_voxels(const fab_conv_row *r, const float *in, float *out, const int voxels)
{
    const ptrdiff_t x = r->in_step;
    const float *w = r->weights;
    const __m256 start = r->bias ? _mm256_loadu_ps(r->bias) : _mm256_setzero_ps();
    __m256 sum[MAX_HALF_VOXELS];
#pragma GCC unroll 12
    for (int v = 0; v < voxels; v++) sum[v] = start;
    for (int b = 0; b < r->blocks; b++) {
        const float *block = in + b * r->in_block;
        const int channels = r->channels[b];
        for (int t = 0; t < r->taps; t++) {
            const float *p = block + r->tap[t];
            for (int c = 0; c < channels; c++, w += FAB_NN_BLOCK) {
                const __m256 w0 = _mm256_load_ps(w);
#pragma GCC unroll 12
                for (int v = 0; v < voxels; v++)
                    sum[v] = _mm256_fmadd_ps(_mm256_broadcast_ss(p + v * x + c), w0, sum[v]);
            }
        }
    }
#pragma GCC unroll 12
    for (int v = 0; v < voxels; v++) {
        _mm256_storeu_ps(out + v * r->out_step, sum[v]);
        _mm256_storeu_ps(out + v * r->out_step + 8, _mm256_setzero_ps());
    }
}

#define HALF_FUNCTION(voxels)                                                                     \
    static void half_##voxels(const fab_conv_row *r, const float *in, float *out)                 \
    {                                                                                             \
        conv_half_voxels(r, in, out, voxels);                                                     \
    }
HALF_FUNCTION(1) HALF_FUNCTION(2) HALF_FUNCTION(3) HALF_FUNCTION(4) HALF_FUNCTION(5)
HALF_FUNCTION(6) HALF_FUNCTION(7) HALF_FUNCTION(8) HALF_FUNCTION(9) HALF_FUNCTION(10)
HALF_FUNCTION(11) HALF_FUNCTION(12)

typedef void conv_part(const fab_conv_row *r, const float *in, float *out);

/* The row in parts of equal size, give or take one voxel. */
static void conv_parts(const fab_conv_row *r, conv_part *const *table, int most)
{
    int parts = (r->count + most - 1) / most;
    const float *in = r->in;
    float *out = r->out;
    for (int left = r->count; parts > 0; parts--) {
        const int voxels = (left + parts - 1) / parts;
        table[voxels - 1](r, in, out);
        in += (ptrdiff_t)voxels * r->in_step;
        out += voxels * r->out_step;
        left -= voxels;
    }
}

static void conv_single(const fab_conv_row *r, bool half)
{
    static conv_part *const whole[3][MAX_VOXELS] = {CONV_ROW(0), CONV_ROW(16), CONV_ROW(32)};
    static conv_part *const halves[MAX_HALF_VOXELS] = {half_1, half_2, half_3, half_4, half_5,
                                                       half_6, half_7, half_8, half_9, half_10,
                                                       half_11, half_12};
    const int kind = r->in_step == 16 ? 1 : r->in_step == 32 ? 2 : 0;
    if (half) conv_parts(r, halves, MAX_HALF_VOXELS);
    else conv_parts(r, whole[kind], MAX_VOXELS);
}

static void conv(const fab_conv_row *r)
{
    conv_single(r, r->half && !r->pair);
    if (!r->pair) return;
    fab_conv_row second = *r;
    second.weights = (const float *)r->weights + r->pair_weights;
    second.out += r->pair_out;
    if (second.bias) second.bias += FAB_NN_BLOCK;
    conv_single(&second, r->half);
}

static void norm(const fab_norm_row *r)
{
    const __m256 slope = _mm256_set1_ps(r->slope);
    const __m256 scale[2] = {_mm256_loadu_ps(r->scale), _mm256_loadu_ps(r->scale + 8)};
    const __m256 shift[2] = {_mm256_loadu_ps(r->shift), _mm256_loadu_ps(r->shift + 8)};
    for (int v = 0; v < r->count; v++) {
        __builtin_prefetch(r->src + (v + FAB_NN_AHEAD) * FAB_NN_BLOCK);
        for (int h = 0; h < 2; h++) {
            const ptrdiff_t at = v * FAB_NN_BLOCK + h * 8;
            const __m256 y = _mm256_fmadd_ps(_mm256_loadu_ps(r->src + at), scale[h], shift[h]);
            _mm256_storeu_ps(r->dst + at, _mm256_max_ps(y, _mm256_mul_ps(y, slope)));
        }
    }
}

INLINE __m256 expm1_negative(__m256 x)
{
    static const float c[] = {NN_EXPM1_COEFFICIENTS};
    const __m256 one = _mm256_set1_ps(1.0f), magic = _mm256_set1_ps(NN_ROUND);
    const __m256 low = _mm256_max_ps(x, _mm256_set1_ps(NN_EXP_LEAST));
    const __m256 shifted = _mm256_fmadd_ps(low, _mm256_set1_ps(NN_LOG2_E), magic);
    const __m256 n = _mm256_sub_ps(shifted, magic);
    const __m256 part = _mm256_fmadd_ps(n, _mm256_set1_ps(-NN_LN2_HIGH), low);
    const __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-NN_LN2_LOW), part);
    const __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    const __m256 power =
        _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(NN_ONE_BITS)));
    __m256 p = _mm256_set1_ps(c[0]);
#pragma GCC unroll 8
    for (size_t i = 1; i < sizeof c / sizeof *c; i++)
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c[i]));
    return _mm256_fmadd_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r), power,
                           _mm256_sub_ps(power, one));
}

static void elu(const fab_norm_row *r)
{
    const __m256 slope = _mm256_set1_ps(r->slope), zero = _mm256_setzero_ps();
    const __m256 scale[2] = {_mm256_loadu_ps(r->scale), _mm256_loadu_ps(r->scale + 8)};
    const __m256 shift[2] = {_mm256_loadu_ps(r->shift), _mm256_loadu_ps(r->shift + 8)};
    for (int v = 0; v < r->count; v++)
        for (int h = 0; h < 2; h++) {
            const ptrdiff_t at = v * FAB_NN_BLOCK + h * 8;
            const __m256 y = _mm256_fmadd_ps(_mm256_loadu_ps(r->src + at), scale[h], shift[h]);
            const __m256 below = expm1_negative(_mm256_min_ps(y, zero));
            _mm256_storeu_ps(r->dst + at, _mm256_fmadd_ps(slope, below, _mm256_max_ps(y, zero)));
        }
}

INLINE __m256 leaky(__m256 y, __m256 slope)
{
    return _mm256_max_ps(y, _mm256_mul_ps(y, slope));
}

/* Channels first .. first + 7 of every voxel. */
static void add_half(const fab_add_row *r, int first)
{
    const __m256 slope = _mm256_set1_ps(r->slope), skip_slope = _mm256_set1_ps(r->skip_slope);
    const __m256 scale = _mm256_loadu_ps(r->scale + first);
    const __m256 shift = _mm256_loadu_ps(r->shift + first);
    const __m256 skip_scale = r->skip_scale ? _mm256_loadu_ps(r->skip_scale + first) : scale;
    const __m256 skip_shift = r->skip_scale ? _mm256_loadu_ps(r->skip_shift + first) : shift;
    const float *src = r->src, *from = r->skip;
    float *dst = r->dst;
    for (int v = 0; v < r->count; v++) {
        const ptrdiff_t at = v * FAB_NN_BLOCK + first;
        __m256 other = _mm256_loadu_ps(from + at);
        if (r->skip_scale)
            other = leaky(_mm256_fmadd_ps(other, skip_scale, skip_shift), skip_slope);
        const __m256 y = _mm256_fmadd_ps(_mm256_loadu_ps(src + at), scale, shift);
        _mm256_storeu_ps(dst + at, leaky(_mm256_add_ps(y, other), slope));
    }
}

static void add(const fab_add_row *r)
{
    add_half(r, 0);
    add_half(r, 8);
}

INLINE __m256 sum4(const __m256 s[4])
{
    return _mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3]));
}

static void stats_half(fab_stats_row *r, int half)
{
    __m256 sum[4], square[4];
    const float *src = r->src + half * 8;
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) sum[k] = square[k] = _mm256_setzero_ps();
    int v = 0;
    for (; v + 4 <= r->count; v += 4)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            sum[k] = _mm256_add_ps(sum[k], _mm256_loadu_ps(src + (v + k) * FAB_NN_BLOCK));
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        if (v + k < r->count)
            sum[k] = _mm256_add_ps(sum[k], _mm256_loadu_ps(src + (v + k) * FAB_NN_BLOCK));
    const __m256 mean = _mm256_mul_ps(sum4(sum), _mm256_set1_ps(1.0f / (float)r->count));
    for (v = 0; v + 4 <= r->count; v += 4)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(src + (v + k) * FAB_NN_BLOCK), mean);
            square[k] = _mm256_fmadd_ps(d, d, square[k]);
        }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        if (v + k < r->count) {
            const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(src + (v + k) * FAB_NN_BLOCK), mean);
            square[k] = _mm256_fmadd_ps(d, d, square[k]);
        }
    _mm256_storeu_ps(r->mean + half * 8, mean);
    _mm256_storeu_ps(r->m2 + half * 8, sum4(square));
}

static void stats(fab_stats_row *r)
{
    stats_half(r, 0);
    stats_half(r, 1);
}

static double peak(int64_t iterations)
{
    __m256 sum[12];
    volatile float seed = 0.5f;
    const __m256 a = _mm256_set1_ps(seed), b = _mm256_set1_ps(seed);
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) sum[k] = _mm256_setzero_ps();
    for (int64_t i = 0; i < iterations; i++) {
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++) {
            sum[k] = _mm256_fmadd_ps(a, b, sum[k]);
            __asm__ volatile("" : "+x"(sum[k])); /* keeps every one of them */
        }
    }
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) seed = _mm256_cvtss_f32(sum[k]);
    return 12.0 * 16.0 * (double)iterations;
}

const fab_nn_kernels fab_nn_kernels_avx2 = {"avx2", conv, norm, elu, add, stats,
                                          winograd_in, winograd_out, peak,
                                          .precision = FAB_PRECISION_FP32, .train = &train_kernels};
