/* kernels_half_avx512.c - tensors of bf16 with AVX-512F's fp32 arithmetic. */
#include "bf16_avx512.h"

#include "bf16_rows.h"

FORWARD(avx512)

const fab_nn_kernels fab_nn_kernels_half_avx512 = BF16_TENSORS_KERNELS("bf16-tensors-avx512");
