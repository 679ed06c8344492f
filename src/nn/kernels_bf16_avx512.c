/* kernels_bf16_avx512.c - AVX512_BF16: vdpbf16ps multiplies pairs of bf16 and adds them to fp32.
 *
 * As in kernels_wide.h, 12 voxels x 32 outputs stay in registers; a step is two channels. Results
 * are the reference's bits (bf16.h).
 */
#include "bf16_avx512.h"

#include "bf16_rows.h"

FORWARD(avx512)

#define INLINE static inline __attribute__((always_inline))
#define MAX_VOXELS 12

/* 32 values that lie anywhere. */
INLINE __m512bh load32(const uint16_t *p)
{
    return (__m512bh)_mm512_loadu_si512(p);
}

/* The pair of values at p, sixteen times. */
INLINE __m512bh splat_pair(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* `pairs` pairs of channels of one record and tap. */
INLINE void add_pairs(__m512 sum[2][MAX_VOXELS], const uint16_t *p, const uint16_t *w, int pairs,
                      const fab_conv_row *r, const int voxels, const int blocks)
{
    const ptrdiff_t x = r->in_step;
    for (int c = 0; c < pairs; c++, w += FAB_BF16_GROUP, p += 2) {
        const __m512bh w0 = load32(w), w1 = blocks > 1 ? load32(w + r->pair_weights) : w0;
#pragma GCC unroll 12
        for (int v = 0; v < voxels; v++) {
            const __m512bh s = splat_pair(p + v * x);
            sum[0][v] = _mm512_dpbf16_ps(sum[0][v], s, w0);
            if (blocks > 1) sum[1][v] = _mm512_dpbf16_ps(sum[1][v], s, w1);
        }
    }
}

/* `voxels`, `blocks` (1 or 2 output blocks) and `planes` are constants at every call. */
INLINE void conv_voxels(const fab_conv_row *r, const uint16_t *in, float *out, const int voxels,
                        const int blocks, const int planes)
{
    const uint16_t *w = r->weights;
    __m512 sum[2][MAX_VOXELS];
#pragma GCC unroll 2
    for (int k = 0; k < blocks; k++) {
        const __m512 start = r->bias ? _mm512_loadu_ps(r->bias + k * FAB_NN_BLOCK)
                                     : _mm512_setzero_ps();
#pragma GCC unroll 12
        for (int v = 0; v < voxels; v++) sum[k][v] = start;
    }
    for (int b = 0; b < r->blocks; b++) {
        const uint16_t *record = in + b * r->in_block;
        const int pairs = (r->channels[b] + 1) / 2;
        for (int t = 0; t < r->taps; t++, w += planes * FAB_BF16_TILE) {
            const uint16_t *p = record + r->tap[t];
            add_pairs(sum, p, w, pairs, r, voxels, blocks);
            if (planes == 1) continue;
            add_pairs(sum, p, w + FAB_BF16_TILE, pairs, r, voxels, blocks);
            add_pairs(sum, p + r->in_low, w, pairs, r, voxels, blocks);
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < blocks; k++)
#pragma GCC unroll 12
        for (int v = 0; v < voxels; v++)
            _mm512_storeu_ps(out + k * r->pair_out + v * r->out_step, sum[k][v]);
}

typedef void conv_part(const fab_conv_row *r, const uint16_t *in, float *out);

#define CONV_FUNCTION(voxels, blocks, planes)                                                     \
    static void conv_##voxels##_##blocks##_##planes(const fab_conv_row *r, const uint16_t *in,    \
                                                    float *out)                                   \
    {                                                                                             \
        conv_voxels(r, in, out, voxels, blocks, planes);                                          \
    }
#define CONV_FUNCTIONS(b, p)                                                                      \
    CONV_FUNCTION(1, b, p) CONV_FUNCTION(2, b, p) CONV_FUNCTION(3, b, p)                          \
    CONV_FUNCTION(4, b, p) CONV_FUNCTION(5, b, p) CONV_FUNCTION(6, b, p)                          \
    CONV_FUNCTION(7, b, p) CONV_FUNCTION(8, b, p) CONV_FUNCTION(9, b, p)                          \
    CONV_FUNCTION(10, b, p) CONV_FUNCTION(11, b, p) CONV_FUNCTION(12, b, p)
CONV_FUNCTIONS(1, 1)
CONV_FUNCTIONS(2, 1)
CONV_FUNCTIONS(1, 2)
CONV_FUNCTIONS(2, 2)
#define CONV_ROW(b, p)                                                                            \
    {conv_1_##b##_##p, conv_2_##b##_##p,  conv_3_##b##_##p,  conv_4_##b##_##p,                    \
     conv_5_##b##_##p, conv_6_##b##_##p,  conv_7_##b##_##p,  conv_8_##b##_##p,                    \
     conv_9_##b##_##p, conv_10_##b##_##p, conv_11_##b##_##p, conv_12_##b##_##p}

static void conv_row(const fab_conv_row *r, conv_part *const table[MAX_VOXELS])
{
    int parts = (r->count + MAX_VOXELS - 1) / MAX_VOXELS;
    const uint16_t *in = r->in;
    float *out = r->out;
    for (int left = r->count; parts > 0; parts--) { /* parts of equal size, give or take one */
        const int voxels = (left + parts - 1) / parts;
        table[voxels - 1](r, in, out);
        in += (ptrdiff_t)voxels * r->in_step;
        out += voxels * r->out_step;
        left -= voxels;
    }
}

static void conv(const fab_conv_row *r)
{
    static conv_part *const table[2][MAX_VOXELS] = {CONV_ROW(1, 1), CONV_ROW(2, 1)};
    conv_row(r, table[r->pair]);
}

static void conv_exact(const fab_conv_row *r)
{
    static conv_part *const table[2][MAX_VOXELS] = {CONV_ROW(1, 2), CONV_ROW(2, 2)};
    conv_row(r, table[r->pair]);
}

static double peak(int64_t iterations)
{
    __m512 sum[12];
    volatile int seed = 0x3f003f00; /* two halves */
    const __m512bh a = (__m512bh)_mm512_set1_epi32(seed), b = (__m512bh)_mm512_set1_epi32(seed);
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) sum[k] = _mm512_setzero_ps();
    for (int64_t i = 0; i < iterations; i++)
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++) {
            sum[k] = _mm512_dpbf16_ps(sum[k], a, b);
            __asm__ volatile("" : "+v"(sum[k])); /* keeps every one of them */
        }
    volatile float last = 0;
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) last = _mm512_cvtss_f32(sum[k]);
    (void)last;
    return 12.0 * 64.0 * (double)iterations;
}

/* Of products that take three. */
static double peak_exact(int64_t iterations) { return peak(iterations) / 3; }

const fab_nn_kernels fab_nn_kernels_bf16_avx512 = BF16_KERNELS("bf16-avx512", conv, peak);
const fab_nn_kernels fab_nn_kernels_exact_avx512 =
    EXACT_KERNELS("exact-avx512", conv_exact, peak_exact);
