/* kernels_avx512.c - AVX-512F kernels (this file alone is compiled with -mavx512f). */
#include <immintrin.h>

typedef __m512 wide;
#define wide_load(p) _mm512_loadu_ps(p)
#define wide_store(p, a) _mm512_storeu_ps((p), (a))
#define wide_splat(s) _mm512_set1_ps(s)
#define wide_fma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define wide_add(a, b) _mm512_add_ps((a), (b))
#define wide_sub(a, b) _mm512_sub_ps((a), (b))
#define wide_mul(a, b) _mm512_mul_ps((a), (b))
#define wide_max(a, b) _mm512_max_ps((a), (b))
#define wide_min(a, b) _mm512_min_ps((a), (b))
#define wide_choose(z, a, b)                                                                      \
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask((z), _mm512_setzero_ps(), _CMP_GT_OQ), (b), (a))
#define wide_power_of_two(a)                                                                      \
    _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(a), 23),           \
                                         _mm512_set1_epi32(NN_ONE_BITS)))
#define WIDE_KEEP(a) __asm__ volatile("" : "+v"(a))
#define WIDE_KERNELS fab_nn_kernels_avx512
#define WIDE_NAME "avx512"

#include "kernels_wide.h"
