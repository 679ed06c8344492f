/* bf16_avx2.h - eight lanes for bf16_rows.h. */
#include <immintrin.h>
#include <stdint.h>

#define ROW_LANES 8
typedef __m256 row_vec;
#define row_load(p) _mm256_loadu_ps(p)
#define row_store(p, a) _mm256_storeu_ps((p), (a))
#define row_splat(s) _mm256_set1_ps(s)
#define row_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define row_add(a, b) _mm256_add_ps((a), (b))
#define row_sub(a, b) _mm256_sub_ps((a), (b))
#define row_mul(a, b) _mm256_mul_ps((a), (b))
#define row_max(a, b) _mm256_max_ps((a), (b))

static inline __m256 row_widen(const uint16_t *p)
{
    const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

static inline void row_round(uint16_t *p, __m256 a)
{
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i high = _mm256_srli_epi32(bits, 16), one = _mm256_set1_epi32(1);
    const __m256i half = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(high, one));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    const __m256i size = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
    const __m256i is_nan = _mm256_cmpgt_epi32(size, _mm256_set1_epi32(0x7f800000));
    const __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x00800000), size);
    const __m256i nan = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i zero = _mm256_and_si256(high, _mm256_set1_epi32(0x8000));
    const __m256i out = _mm256_blendv_epi8(_mm256_blendv_epi8(rounded, nan, is_nan), zero,
                                           is_small);
    _mm_storeu_si128((__m128i *)(void *)p, _mm_packus_epi32(_mm256_castsi256_si128(out),
                                                            _mm256_extracti128_si256(out, 1)));
}
