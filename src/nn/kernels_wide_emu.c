/* kernels_wide_emu.c - the AVX-512 kernels with every 16-float vector as two AVX2 halves.
 *
 * Proves the control flow, addressing and sums of kernels_wide.h on machines without AVX-512. It
 * spills registers and is slower than kernels_avx2.c: never chosen by itself.
 */
#include <immintrin.h>

#include "nn_internal.h"

typedef struct wide {
    __m256 low, high;
} wide;

#define WIDE_BINARY(name, op)                                                                     \
    static inline wide wide_##name(wide a, wide b)                                                \
    {                                                                                             \
        return (wide){op(a.low, b.low), op(a.high, b.high)};                                      \
    }
WIDE_BINARY(add, _mm256_add_ps)
WIDE_BINARY(sub, _mm256_sub_ps)
WIDE_BINARY(mul, _mm256_mul_ps)
WIDE_BINARY(max, _mm256_max_ps)
WIDE_BINARY(min, _mm256_min_ps)

static inline wide wide_load(const float *p)
{
    return (wide){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

static inline void wide_store(float *p, wide a)
{
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
}

static inline wide wide_splat(float s)
{
    return (wide){_mm256_set1_ps(s), _mm256_set1_ps(s)};
}

static inline wide wide_fma(wide a, wide b, wide c)
{
    return (wide){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

static inline __m256 half_choose(__m256 z, __m256 a, __m256 b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(z, _mm256_setzero_ps(), _CMP_GT_OQ));
}

static inline wide wide_choose(wide z, wide a, wide b)
{
    return (wide){half_choose(z.low, a.low, b.low), half_choose(z.high, a.high, b.high)};
}

static inline __m256 half_power_of_two(__m256 a)
{
    const __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(a), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(NN_ONE_BITS)));
}

static inline wide wide_power_of_two(wide a)
{
    return (wide){half_power_of_two(a.low), half_power_of_two(a.high)};
}

#define WIDE_KEEP(a) __asm__ volatile("" : "+x"((a).low), "+x"((a).high))
#define WIDE_KERNELS fab_nn_kernels_wide_emu
#define WIDE_NAME "wide-emulated"

#include "kernels_wide.h"
