/* bf16_avx512.h - sixteen lanes for bf16_rows.h; row_round with AVX512_BF16 if it may be used. */
#include <immintrin.h>
#include <stdint.h>

#define ROW_LANES 16
typedef __m512 row_vec;
#define row_load(p) _mm512_loadu_ps(p)
#define row_store(p, a) _mm512_storeu_ps((p), (a))
#define row_splat(s) _mm512_set1_ps(s)
#define row_fma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define row_add(a, b) _mm512_add_ps((a), (b))
#define row_sub(a, b) _mm512_sub_ps((a), (b))
#define row_mul(a, b) _mm512_mul_ps((a), (b))
#define row_max(a, b) _mm512_max_ps((a), (b))

static inline __m512 row_widen(const uint16_t *p)
{
    const __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

static inline void row_round(uint16_t *p, __m512 a)
{
#ifdef __AVX512BF16__
    const __m256i out = (__m256i)_mm512_cvtneps_pbh(a);
#else
    const __m512i bits = _mm512_castps_si512(a), high = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), odd);
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    const __m512i size = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
    const __mmask16 is_nan = _mm512_cmpgt_epi32_mask(size, _mm512_set1_epi32(0x7f800000));
    const __mmask16 is_small = _mm512_cmplt_epi32_mask(size, _mm512_set1_epi32(0x00800000));
    const __m512i nan = _mm512_mask_or_epi32(rounded, is_nan, high, _mm512_set1_epi32(0x40));
    const __m512i all = _mm512_mask_and_epi32(nan, is_small, high, _mm512_set1_epi32(0x8000));
    const __m256i out = _mm512_cvtepi32_epi16(all);
#endif
    _mm256_storeu_si256((__m256i *)(void *)p, out);
}
